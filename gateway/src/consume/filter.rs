//! Which messages a subscription wants.
//!
//! A tag filter is decided twice: by hash where the queue's index is scanned, so that no unwanted
//! message is read, and by text once a message is decoded, because two tags may hash alike (`"Aa"`
//! and `"BB"`).

use protocol::stored::tag_hash;

/// The language of a filter expression (`FilterType` in definition.proto, `ExpressionType` in
/// Remoting).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterLanguage {
    /// `*`, or tags between `||`.
    Tag,
    /// A condition over message properties.
    Sql92,
}

/// A subscription's filter, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Every message.
    All,
    /// Messages that carry one of these tags.
    Tags(TagSet),
}

/// Tags with their hashes, sorted by hash, without repetition; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSet(Vec<(u64, Box<str>)>);

/// Why an expression is no filter. Displays as the text that the user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterRefused {
    /// SQL is not served yet.
    #[error("SQL92 filter expressions are not supported by this version, use a tag expression")]
    Sql,
    /// Only separators and blanks.
    #[error("the tag expression names no tag")]
    NoTag,
}

impl Filter {
    /// Reads an expression: empty or `*` is every message, otherwise tags between `||`, trimmed,
    /// case-sensitive, empty ones dropped (spec B.19).
    ///
    /// # Errors
    /// [`FilterRefused`], which a front answers as ILLEGAL_FILTER_EXPRESSION.
    pub fn parse(language: FilterLanguage, expression: &str) -> Result<Filter, FilterRefused> {
        match language {
            FilterLanguage::Sql92 => Err(FilterRefused::Sql),
            FilterLanguage::Tag => parse_tags(expression),
        }
    }

    /// Whether a message whose tag has this hash may be wanted. No unwanted message is certain to
    /// be told here, no wanted one is refused.
    pub fn admits(&self, hash: u64) -> bool {
        match self {
            Filter::All => true,
            Filter::Tags(TagSet(tags)) => {
                tags.binary_search_by_key(&hash, |(hash, _)| *hash).is_ok()
            }
        }
    }

    /// The hashes of the tags that are wanted, ascending; `None`: all are.
    pub fn hashes(&self) -> Option<impl Iterator<Item = u64> + '_> {
        match self {
            Filter::All => None,
            Filter::Tags(TagSet(tags)) => Some(tags.iter().map(|(hash, _)| *hash)),
        }
    }

    /// Whether a message with this tag is wanted.
    pub fn matches(&self, tag: Option<&str>) -> bool {
        match (self, tag) {
            (Filter::All, _) => true,
            (Filter::Tags(_), None) => false,
            (Filter::Tags(TagSet(tags)), Some(tag)) => tags.iter().any(|(_, text)| **text == *tag),
        }
    }
}

fn parse_tags(expression: &str) -> Result<Filter, FilterRefused> {
    let whole = expression.trim();
    if whole.is_empty() || whole == "*" {
        return Ok(Filter::All);
    }
    let tags = whole.split("||").map(str::trim).filter(|tag| !tag.is_empty());
    let mut tags: Vec<(u64, Box<str>)> = tags.map(|tag| (tag_hash(tag), tag.into())).collect();
    if tags.is_empty() {
        return Err(FilterRefused::NoTag);
    }
    tags.sort();
    tags.dedup();
    Ok(Filter::Tags(TagSet(tags)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(expression: &str) -> Filter {
        Filter::parse(FilterLanguage::Tag, expression).unwrap()
    }

    #[test]
    fn a_star_and_nothing_want_every_message() {
        for expression in ["*", "", "  ", " * "] {
            assert_eq!(tags(expression), Filter::All);
        }
        assert!(Filter::All.matches(None));
    }

    #[test]
    fn tags_are_trimmed_and_case_sensitive() {
        let filter = tags(" a || b||  ||c d ");
        for tag in ["a", "b", "c d"] {
            assert!(filter.admits(tag_hash(tag)) && filter.matches(Some(tag)));
        }
        for tag in ["A", "", "c"] {
            assert!(!filter.matches(Some(tag)));
        }
        assert!(!filter.matches(None));
    }

    #[test]
    fn tags_that_hash_alike_are_told_apart_by_text() {
        let filter = tags("Aa");
        assert!(filter.admits(tag_hash("BB")));
        assert!(!filter.matches(Some("BB")));
        let both = tags("Aa || BB");
        assert!(both.matches(Some("BB")) && both.matches(Some("Aa")));
    }

    #[test]
    fn sql_and_an_expression_without_a_tag_are_refused() {
        assert_eq!(Filter::parse(FilterLanguage::Sql92, "a = 1"), Err(FilterRefused::Sql));
        assert_eq!(Filter::parse(FilterLanguage::Tag, " || "), Err(FilterRefused::NoTag));
    }
}
