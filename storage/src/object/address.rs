//! Where a bucket is: what `--store` takes.
use super::{Name, NameRefused};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a bucket: a folder of this machine, or a bucket of an S3-compatible service with
/// a prefix inside it.
///
/// `s3://bucket/prefix`, `file:///folder`, or a plain path. Endpoint, region and credentials of a
/// service come from the usual `AWS_` variables, never from the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder; relative ones are meant from where the process runs.
    Folder(PathBuf),
    /// A bucket of an S3-compatible service.
    S3 {
        /// The bucket's name, 3 to 63 characters.
        bucket: String,
        /// What all names in it begin with; `None` is the whole bucket.
        prefix: Option<Name>,
    },
}

/// Why an address is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlRefused {
    /// Nothing there.
    #[error("the store's address is empty: give a folder, or s3://bucket/prefix")]
    Empty,
    /// Not a kind of store that is known.
    #[error("{0:?} is no known kind of store: give a folder, file:///folder or s3://bucket/prefix")]
    Scheme(String),
    /// A `file:` address with a host, or without an absolute path.
    #[error("{0:?} names no folder of this machine: write file:///folder, with three slashes")]
    File(String),
    /// Not what S3 takes for a bucket.
    #[error(
        "{0:?} is no bucket name: 3 to 63 characters, small letters, digits, dots and hyphens, \
         with a letter or digit at both ends"
    )]
    Bucket(String),
    /// Not what names may begin with.
    #[error("the prefix {prefix:?} cannot begin names: {source}")]
    Prefix {
        /// What was given.
        prefix: String,
        /// What is wrong with it.
        source: NameRefused,
    },
}

impl FromStr for StoreUrl {
    type Err = StoreUrlRefused;

    fn from_str(text: &str) -> Result<StoreUrl, StoreUrlRefused> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return s3(rest);
        }
        if let Some(rest) = text.strip_prefix("file:") {
            return file(text, rest);
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(StoreUrlRefused::Scheme(format!("{scheme}://"))),
            None if text.is_empty() => Err(StoreUrlRefused::Empty),
            None => Ok(StoreUrl::Folder(text.into())),
        }
    }
}

fn s3(rest: &str) -> Result<StoreUrl, StoreUrlRefused> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_bucket(bucket) {
        return Err(StoreUrlRefused::Bucket(bucket.to_owned()));
    }
    let prefix = match prefix.trim_end_matches('/') {
        "" => None,
        prefix => Some(
            Name::parse(prefix)
                .map_err(|source| StoreUrlRefused::Prefix { prefix: prefix.to_owned(), source })?,
        ),
    };
    Ok(StoreUrl::S3 { bucket: bucket.to_owned(), prefix })
}

/// The rules of general purpose buckets, less the rare ones that the service itself names.
fn is_bucket(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|c| plain(*c) || b".-".contains(c))
        && bytes.first().is_some_and(|c| plain(*c))
        && bytes.last().is_some_and(|c| plain(*c))
}

/// `file:/x`, `file:///x` and, as people write it, `file:x`; a host is refused, for it would be
/// taken for a folder.
fn file(text: &str, rest: &str) -> Result<StoreUrl, StoreUrlRefused> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err(StoreUrlRefused::File(text.to_owned())),
        None if rest.is_empty() => return Err(StoreUrlRefused::File(text.to_owned())),
        None => rest,
    };
    Ok(StoreUrl::Folder(path.into()))
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Folder(path) => write!(f, "{}", path.display()),
            StoreUrl::S3 { bucket, prefix: None } => write!(f, "s3://{bucket}"),
            StoreUrl::S3 { bucket, prefix: Some(prefix) } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_folder_or_a_bucket() {
        for (text, shown) in [
            ("data/store", "data/store"),
            ("/var/lib/store", "/var/lib/store"),
            ("file:///var/lib/store", "/var/lib/store"),
            ("file:/var/lib/store", "/var/lib/store"),
            ("file:store", "store"),
            ("s3://mq-prod", "s3://mq-prod"),
            ("s3://mq-prod/", "s3://mq-prod"),
            ("s3://mq.prod/a/b/", "s3://mq.prod/a/b"),
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<StoreUrl>().unwrap(), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for text in [
            "",
            "gs://bucket",
            "s3://",
            "s3://ab",
            "s3://Bucket",
            "s3://-bucket",
            "s3://bucket//x",
            "s3://bucket/a b",
            "s3://bucket/../x",
            "file:",
            "file://host/x",
            "http://x",
        ] {
            assert!(text.parse::<StoreUrl>().is_err(), "{text}");
        }
        let error = "gs://bucket".parse::<StoreUrl>().unwrap_err().to_string();
        assert!(error.contains("s3://bucket/prefix"), "{error}");
    }
}
