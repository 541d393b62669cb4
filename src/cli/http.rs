//! As much of an HTTP/1.1 client as the admin API needs: one request, one connection.

use super::failure::{Failure, START_ONE};
use client::Endpoint;
use gateway::admin::api::ErrorBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;

/// The whole request.
const PATIENCE: Duration = Duration::from_secs(10);
/// A list of 100,000 topics is below this.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The admin API at one address.
pub(super) struct Admin<'a> {
    address: &'a Endpoint,
}

/// An answer that is not a refusal.
pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
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

impl<'a> Admin<'a> {
    pub(super) fn at(address: &'a Endpoint) -> Admin<'a> {
        Admin { address }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, None, Bytes::new()).await?.read()
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.call(Method::DELETE, path, None, Bytes::new()).await.map(drop)
    }

    /// PUT; with `only_new`, refused when it exists.
    pub(super) async fn put(
        &self,
        path: &str,
        body: &impl Serialize,
        only_new: bool,
    ) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::usage(format!("the request cannot be written: {error}")))?;
        let condition = only_new.then_some(("if-none-match", "*"));
        self.call(Method::PUT, path, condition, Bytes::from(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        header: Option<(&'static str, &'static str)>,
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
            .map_err(|_| self.lost(&format!("no answer within {} s", PATIENCE.as_secs())))??;
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
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.lost(&error.to_string()))?.to_bytes();
            Ok(Answer { status, body })
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
            Ok(body) => Failure::refused(body.error).hint(body.hint),
            Err(_) => Failure::refused(format!("{} answered {}", self.address, answer.status))
                .hint("is this the broker's HTTP port (8082 by default)? see --admin"),
        }
    }
}

/// `/v1/topics/` and a name, with whatever a path cannot have escaped.
pub(super) fn path(collection: &str, name: &str) -> String {
    let mut path = format!("/v1/{collection}/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(path("topics", "%DLQ%a b/ü"), "/v1/topics/%25DLQ%25a%20b%2F%C3%BC");
    }
}
