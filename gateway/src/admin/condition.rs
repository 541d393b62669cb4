//! Conditions of a PUT (RFC 9110, section 13), and the tags that they compare.

use super::problem::Problem;
use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The tag of a resource: of its settings, not of what is counted beside them.
pub(super) fn tag(settings: &impl Serialize) -> String {
    let text = serde_json::to_vec(settings).expect("bodies of the API are plain data");
    let digest = Sha256::digest(&text);
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// What a request says about the state that it expects.
pub(super) struct Condition {
    only_new: bool,
    /// `If-Match`, where there is one.
    matches: Option<String>,
}

impl Condition {
    pub(super) fn read(headers: &HeaderMap) -> Condition {
        let text = |name: HeaderName| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(",")
        };
        let matches = headers.contains_key(IF_MATCH).then(|| text(IF_MATCH));
        Condition { only_new: text(IF_NONE_MATCH).trim() == "*", matches }
    }

    /// Whether it holds for what is there; `what` is how an error names it.
    pub(super) fn check(&self, found: Option<&impl Serialize>, what: &str) -> Result<(), Problem> {
        match (found, &self.matches) {
            (Some(_), _) if self.only_new => {
                Err(Problem::condition(format!("{what} exists already")))
            }
            (Some(found), Some(tags)) if !named(tags, &tag(found)) => {
                Err(Problem::condition(format!("{what} was changed by somebody else"))
                    .hint("look at it again, then decide anew"))
            }
            (None, Some(_)) => Err(Problem::condition(format!("{what} does not exist"))
                .hint("leave If-Match away to make it")),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// Whether a tag is in a list of them. Weak ones never match.
fn named(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|one| one == "*" || one == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn outcome(header: Option<(HeaderName, &str)>, found: Option<&str>) -> Option<StatusCode> {
        let headers = header.map(|(name, value)| (name, value.parse().unwrap()));
        let headers: HeaderMap = headers.into_iter().collect();
        let checked = Condition::read(&headers).check(found.as_ref(), "it");
        checked.err().map(|problem| problem.status)
    }

    #[test]
    fn conditions_hold_for_what_they_name() {
        let refused = Some(StatusCode::PRECONDITION_FAILED);
        let own = tag(&"a");
        assert_eq!((outcome(None, None), outcome(None, Some("a"))), (None, None));
        for (header, value, absent, same, other) in [
            (IF_NONE_MATCH, "*", None, refused, refused),
            (IF_MATCH, "*", refused, None, None),
            (IF_MATCH, own.as_str(), refused, None, refused),
            (IF_MATCH, &format!("\"x\", {own}"), refused, None, refused),
            (IF_MATCH, &format!("W/{own}"), refused, refused, refused),
        ] {
            let of = |found| outcome(Some((header.clone(), value)), found);
            assert_eq!((of(None), of(Some("a")), of(Some("b"))), (absent, same, other), "{value}");
        }
    }
}
