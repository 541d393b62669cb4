//! As much of an HTTP/1.1 client as the admin API needs: one request, one connection.

use super::failure::{Failure, NAMES, START_ONE, is_illegal_name};
use client::Endpoint;
use gateway::admin::api::ErrorBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;

/// The whole request: longer than an answer may be waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the API is asked to wait for a message.
pub(super) const WAIT_MS: u64 = 15_000;
/// A list of 100,000 topics is below this.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The admin API at one address.
pub(super) struct Admin {
    address: Endpoint,
    /// Who said so; empty where nobody did.
    origin: String,
}

/// An answer that is not a refusal.
pub(super) struct Answer {
    status: StatusCode,
    tag: Option<HeaderValue>,
    body: Bytes,
}

/// What a PUT asks for besides.
pub(super) enum Only {
    /// It does not exist.
    New,
    /// It is as an answer to GET said.
    If(Option<HeaderValue>),
    /// Nothing.
    Anyhow,
}

impl Answer {
    /// The state that was answered, for [`Only::If`].
    pub(super) fn tag(&self) -> Option<HeaderValue> {
        self.tag.clone()
    }

    /// Whether the request made something.
    pub(super) fn created(&self) -> bool {
        self.status == StatusCode::CREATED
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::refused(format!("the broker's answer cannot be read: {error}"))
                .hint("are broker and command of the same version?")
        })
    }
}

impl Admin {
    pub(super) fn at(address: Endpoint, origin: String) -> Admin {
        Admin { address, origin }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.fetch(path).await?.read()
    }

    /// The same, with what is said about it.
    pub(super) async fn fetch(&self, path: &str) -> Result<Answer, Failure> {
        self.call(Method::GET, path, None, Bytes::new()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.call(Method::DELETE, path, None, Bytes::new()).await.map(drop)
    }

    pub(super) async fn put(
        &self,
        path: &str,
        body: &impl Serialize,
        only: Only,
    ) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::usage(format!("the request cannot be written: {error}")))?;
        let condition = match only {
            Only::New => Some((IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Only::If(tag) => tag.map(|tag| (IF_MATCH, tag)),
            Only::Anyhow => None,
        };
        self.call(Method::PUT, path, condition, Bytes::from(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| Failure::usage(format!("{}{path}: {error}", self.address)))?;
        let answer = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        let answer = answer
            .unwrap_or_else(|_| {
                Err(self.lost(&format!("no answer within {} s", PATIENCE.as_secs())))
            })
            .map_err(|failure| failure.led_by(&self.origin))?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refusal(&answer)) }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await;
        let stream = stream.map_err(|error| {
            Failure::unreachable(format!("no broker answers at {}: {error}", self.address))
                .hint(START_ONE)
        })?;
        let lost = |error: hyper::Error| self.lost(&error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(lost)?;
            let status = answer.status();
            let tag = answer.headers().get(ETAG).cloned();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.lost(&error.to_string()))?.to_bytes();
            Ok(Answer { status, tag, body })
        };
        tokio::pin!(answer);
        // The connection has to be driven while the answer is awaited; when it ends first, the
        // answer knows why.
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            _ = connection => {}
        }
        answer.await
    }

    fn lost(&self, reason: &str) -> Failure {
        Failure::unreachable(format!("the request to {} was lost: {reason}", self.address))
            .hint("is this the broker's HTTP port (8082 by default)? see --admin")
    }

    fn refusal(&self, answer: &Answer) -> Failure {
        match serde_json::from_slice::<ErrorBody>(&answer.body) {
            Ok(body) if is_illegal_name(&body.error) => Failure::refused(body.error).hint(NAMES),
            Ok(body) => Failure::refused(body.error).hint(body.hint),
            Err(_) => Failure::refused(format!("{} answered {}", self.address, answer.status))
                .hint("is this the broker's HTTP port (8082 by default)? see --admin"),
        }
    }
}

/// `/v1/topics/` and a name, with whatever a path cannot have escaped.
pub(super) fn path(collection: &str, name: &str) -> String {
    format!("/v1/{collection}/{}", escaped(name))
}

/// A name or a value, with whatever a path or a query cannot have escaped.
pub(super) fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(path("topics", "%DLQ%a b/ü"), "/v1/topics/%25DLQ%25a%20b%2F%C3%BC");
    }
}
