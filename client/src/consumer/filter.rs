//! Which messages a consumer wants.

use protocol::grpc::v2 as pb;

/// Which messages of a topic a consumer group takes. All consumers of a group should say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// By tag: `a`, `a || b`, or `*` for all.
    Tag(String),
    /// By an SQL92 condition on the properties.
    Sql(String),
}

impl Filter {
    /// Every message.
    pub fn all() -> Filter {
        Filter::Tag("*".to_owned())
    }

    pub(crate) fn to_wire(&self) -> pb::FilterExpression {
        let (kind, expression) = match self {
            Filter::Tag(expression) => (pb::FilterType::Tag, expression),
            Filter::Sql(expression) => (pb::FilterType::Sql, expression),
        };
        pb::FilterExpression { r#type: kind as i32, expression: expression.clone() }
    }
}
