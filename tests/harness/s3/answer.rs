//! Answers, as HTTP and S3's XML.

use super::body::{Sending, Spoilt};
use super::date;
use super::objects::{Object, Page, Refused};
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED,
};
use hyper::http::response::Builder;
use hyper::{Response, StatusCode};
use std::fmt::Write as _;

pub(super) type Answer = Response<Sending>;

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACE: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

fn with(builder: Builder, body: Sending) -> Answer {
    builder.body(body).unwrap()
}

pub(super) fn empty(status: StatusCode) -> Answer {
    with(Response::builder().status(status), Sending::text(""))
}

fn xml(status: StatusCode, text: &str) -> Answer {
    let builder = Response::builder().status(status).header(CONTENT_TYPE, "application/xml");
    with(builder, Sending::text(format!("{XML}{text}")))
}

pub(super) fn stored(etag: &str) -> Answer {
    with(Response::builder().header(ETAG, etag), Sending::text(""))
}

fn described(object: &Object, status: StatusCode) -> Builder {
    Response::builder()
        .status(status)
        .header(ETAG, &object.etag)
        .header(LAST_MODIFIED, date::http(object.stored_at))
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_TYPE, "application/octet-stream")
}

pub(super) fn head(object: &Object) -> Answer {
    let builder = described(object, StatusCode::OK);
    with(builder.header(CONTENT_LENGTH, object.body.len()), Sending::text(""))
}

/// `span`: what of it is sent, where a range was asked for.
pub(super) fn got(object: &Object, span: Option<(u64, u64)>, spoilt: Spoilt) -> Answer {
    let len = object.body.len();
    let (from, to) = span.unwrap_or((0, len));
    let builder = match span {
        Some(_) => described(object, StatusCode::PARTIAL_CONTENT)
            .header(CONTENT_RANGE, format!("bytes {from}-{}/{len}", to - 1)),
        None => described(object, StatusCode::OK),
    };
    let body = Sending::new(object.body.clone(), from, to, spoilt);
    with(builder.header(CONTENT_LENGTH, to - from), body)
}

pub(super) fn refused(refused: Refused, resource: &str) -> Answer {
    let (status, message) = match refused {
        Refused::NoSuchBucket => (404, "The specified bucket does not exist"),
        Refused::NoSuchKey => (404, "The specified key does not exist."),
        Refused::NoSuchUpload => (404, "The specified multipart upload does not exist."),
        Refused::PreconditionFailed => (412, "A pre-condition that you specified did not hold"),
        Refused::InvalidRange => (416, "The requested range is not satisfiable"),
        Refused::InvalidPart => (400, "One or more of the specified parts could not be found."),
        Refused::EntityTooSmall => (400, "A part is smaller than the minimum allowed size"),
        Refused::NotImplemented => (501, "The service does not implement this"),
        Refused::SlowDown => (503, "Please reduce your request rate."),
        Refused::InternalError => (500, "We encountered an internal error. Please try again."),
    };
    let status = StatusCode::from_u16(status).unwrap();
    let resource = escaped(resource);
    let text = format!(
        "<Error><Code>{refused:?}</Code><Message>{message}</Message>\
         <Resource>{resource}</Resource></Error>"
    );
    xml(status, &text)
}

pub(super) fn begun(bucket: &str, key: &str, upload: &str) -> Answer {
    let key = escaped(key);
    let text = format!(
        "<InitiateMultipartUploadResult {NAMESPACE}><Bucket>{bucket}</Bucket><Key>{key}</Key>\
         <UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
    );
    xml(StatusCode::OK, &text)
}

pub(super) fn completed(bucket: &str, key: &str, etag: &str) -> Answer {
    let (key, etag) = (escaped(key), escaped(etag));
    let text = format!(
        "<CompleteMultipartUploadResult {NAMESPACE}><Bucket>{bucket}</Bucket><Key>{key}</Key>\
         <ETag>{etag}</ETag></CompleteMultipartUploadResult>"
    );
    xml(StatusCode::OK, &text)
}

pub(super) fn deleted(keys: &[String]) -> Answer {
    let mut text = format!("<DeleteResult {NAMESPACE}>");
    for key in keys {
        let _ = write!(text, "<Deleted><Key>{}</Key></Deleted>", escaped(key));
    }
    xml(StatusCode::OK, &(text + "</DeleteResult>"))
}

pub(super) fn listed(bucket: &str, prefix: &str, page: &Page) -> Answer {
    let count = page.objects.len() + page.folders.len();
    let mut text = format!(
        "<ListBucketResult {NAMESPACE}><Name>{bucket}</Name><Prefix>{}</Prefix>\
         <KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>{}</IsTruncated>",
        escaped(prefix),
        page.next.is_some(),
    );
    if let Some(next) = &page.next {
        let next = escaped(next);
        let _ = write!(text, "<NextContinuationToken>{next}</NextContinuationToken>");
    }
    for (key, object) in &page.objects {
        let (key, etag, len) = (escaped(key), escaped(&object.etag), object.body.len());
        let stored_at = date::iso(object.stored_at);
        let _ = write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>{stored_at}</LastModified>\
             <ETag>{etag}</ETag><Size>{len}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    for folder in &page.folders {
        let folder = escaped(folder);
        let _ = write!(text, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
    }
    xml(StatusCode::OK, &(text + "</ListBucketResult>"))
}

fn escaped(text: &str) -> String {
    let marks = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")];
    marks.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
