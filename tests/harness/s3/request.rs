//! Requests as the service understands them, and sets of them as tests name them.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, RANGE};
use hyper::{Method, Request};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Put,
    Get,
    Head,
    List,
    /// Of one object, or of many at once.
    Delete,
    /// An upload in parts begins.
    Begin,
    Part,
    /// Parts become an object.
    Complete,
    Abort,
    /// About the bucket itself.
    Bucket,
}

/// What of an object is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    All,
    /// Both ends included, as HTTP says it; an open end is the greatest number.
    Of(u64, u64),
    Last(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Put { create_only: bool },
    Get(Range),
    Head,
    List(List),
    Delete,
    DeleteMany,
    Begin,
    Part { upload: String, number: usize },
    Complete { upload: String, create_only: bool },
    Abort { upload: String },
    BucketHead,
    BucketCreate,
    Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) after: Option<String>,
    pub(super) keys_max: usize,
}

/// A request, as hooks see it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    /// What it concerns, below the store's prefix; of a list, what names begin with.
    pub(crate) names: Vec<String>,
    pub(super) bucket: String,
    /// The whole keys.
    pub(super) keys: Vec<String>,
    pub(super) operation: Operation,
}

impl Asked {
    /// The first name.
    pub(crate) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    pub(super) fn key(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }

    /// Says which objects it is about. `prefix`: what the store's keys begin with, with its slash.
    pub(super) fn about(&mut self, keys: Vec<String>, prefix: &str) {
        let name = |key: &String| key.strip_prefix(prefix).unwrap_or(key).to_owned();
        self.names = keys.iter().map(name).collect();
        self.keys = keys;
    }
}

/// Some requests, by kind and by what names begin with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Which {
    /// None: all.
    kinds: Vec<Kind>,
    below: String,
}

impl Which {
    pub(crate) fn any() -> Which {
        Which::default()
    }

    pub(crate) fn of(kinds: &[Kind]) -> Which {
        Which { kinds: kinds.to_vec(), below: String::new() }
    }

    /// All that stores something, in one piece or in parts.
    pub(crate) fn writes() -> Which {
        Which::of(&[Kind::Put, Kind::Begin, Kind::Part, Kind::Complete])
    }

    /// Of them, those about names that begin so: `l0/`, `manifest/`.
    pub(crate) fn below(self, prefix: &str) -> Which {
        Which { below: prefix.to_owned(), ..self }
    }

    pub(super) fn has(&self, kind: Kind, name: &str) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind)) && name.starts_with(&self.below)
    }

    pub(super) fn matches(&self, asked: &Asked) -> bool {
        asked.names.iter().any(|name| self.has(asked.kind, name))
    }
}

/// Understands a request but for its body. `prefix`: see [`Asked::about`].
pub(super) fn parse<B>(request: &Request<B>, prefix: &str) -> Asked {
    let path = decoded(request.uri().path().trim_start_matches('/'), false);
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let query = Query::of(request.uri().query().unwrap_or(""));
    let (kind, operation) = if key.is_empty() {
        of_bucket(request.method(), &query)
    } else {
        of_object(request, &query)
    };
    let subject = if let Operation::List(list) = &operation { &list.prefix } else { key };
    let keys = vec![subject.to_owned()];
    let bucket = bucket.to_owned();
    let mut asked = Asked { kind, names: Vec::new(), bucket, keys: Vec::new(), operation };
    asked.about(keys, prefix);
    asked
}

fn of_bucket(method: &Method, query: &Query) -> (Kind, Operation) {
    match *method {
        Method::GET if query.get("list-type") == Some("2") => {
            let text = |name: &str| query.get(name).map(str::to_owned);
            let list = List {
                prefix: text("prefix").unwrap_or_default(),
                delimiter: text("delimiter"),
                after: text("continuation-token").or_else(|| text("start-after")),
                keys_max: query.number("max-keys").unwrap_or(1_000).min(1_000),
            };
            (Kind::List, Operation::List(list))
        }
        Method::POST if query.has("delete") => (Kind::Delete, Operation::DeleteMany),
        Method::HEAD => (Kind::Bucket, Operation::BucketHead),
        Method::PUT if query.0.is_empty() => (Kind::Bucket, Operation::BucketCreate),
        _ => (Kind::Bucket, Operation::Unknown),
    }
}

fn of_object<B>(request: &Request<B>, query: &Query) -> (Kind, Operation) {
    let create_only = header(request, IF_NONE_MATCH) == Some("*");
    let conditional = header(request, IF_MATCH).is_some();
    let upload = query.get("uploadId").map(str::to_owned);
    match (request.method(), upload) {
        (&Method::PUT, Some(upload)) => match query.number("partNumber") {
            Some(number) => (Kind::Part, Operation::Part { upload, number }),
            None => (Kind::Part, Operation::Unknown),
        },
        (&Method::POST, Some(upload)) => {
            (Kind::Complete, Operation::Complete { upload, create_only })
        }
        (&Method::DELETE, Some(upload)) => (Kind::Abort, Operation::Abort { upload }),
        (&Method::POST, None) if query.has("uploads") => (Kind::Begin, Operation::Begin),
        (&Method::PUT, None) if query.0.is_empty() && !conditional => {
            (Kind::Put, Operation::Put { create_only })
        }
        (&Method::GET, None) => match header(request, RANGE).map(range) {
            None => (Kind::Get, Operation::Get(Range::All)),
            Some(Some(range)) => (Kind::Get, Operation::Get(range)),
            Some(None) => (Kind::Get, Operation::Unknown),
        },
        (&Method::HEAD, None) => (Kind::Head, Operation::Head),
        (&Method::DELETE, None) => (Kind::Delete, Operation::Delete),
        (&Method::PUT, None) => (Kind::Put, Operation::Unknown),
        _ => (Kind::Bucket, Operation::Unknown),
    }
}

fn header<B>(request: &Request<B>, name: HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// `bytes=3-9`, `bytes=3-` or `bytes=-9`.
fn range(text: &str) -> Option<Range> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    match (from, to) {
        ("", last) => Some(Range::Last(last.parse().ok()?)),
        (from, "") => Some(Range::Of(from.parse().ok()?, u64::MAX)),
        (from, to) => Some(Range::Of(from.parse().ok()?, to.parse().ok()?)),
    }
}

struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name, true), decoded(value, true))
        });
        Query(pairs.filter(|(name, _)| name != "x-id").collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}

/// Text without its percent signs; in a query a plus is a space.
fn decoded(text: &str, in_query: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) if in_query => {
                bytes.push(b' ');
                rest = after;
            }
            (other, _) => {
                bytes.push(*other);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// The texts of all elements of a name, in order.
pub(super) fn elements(xml: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(xml);
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = text.split(&open).skip(1);
    let inner = parts.filter_map(|part| part.split_once(&close)).map(|(inner, _)| inner);
    let plain = |inner: &str| {
        let marks = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'")];
        let text = marks.iter().fold(inner.to_owned(), |text, (from, to)| text.replace(from, to));
        text.replace("&amp;", "&")
    };
    inner.map(plain).collect()
}

/// A body in one piece, read no faster than `bytes_per_second`.
pub(super) async fn body(
    mut incoming: Incoming,
    bytes_per_second: Option<u64>,
) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame?.into_data() {
            if let Some(rate) = bytes_per_second {
                super::body::pause(data.len(), rate).await;
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}
