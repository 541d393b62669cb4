//! One call: its headers, its patience, and what its failure means.

use crate::config::Endpoint;
use crate::credentials::{Credentials, Signer};
use crate::error::{self, Error};
use crate::identity;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::metadata::AsciiMetadataValue;
use tonic::{ConnectError, Request, Response, Status, TimeoutExpired};

/// The generation of official clients whose behaviour this one has. Servers compare it, as text, to
/// tell what a client understands, so it is not this crate's version.
pub(crate) const CLIENT_VERSION: &str = "5.2.0";

/// The headers of every request (spec B.1).
pub(crate) struct Headers {
    client_id: AsciiMetadataValue,
    namespace: AsciiMetadataValue,
    signer: Option<Signer>,
    requests: AtomicU64,
}

impl Headers {
    pub(crate) fn new(
        client_id: &str,
        namespace: &str,
        credentials: Option<Credentials>,
    ) -> Result<Headers, Error> {
        let ascii = |text: &str| {
            AsciiMetadataValue::try_from(text)
                .map_err(|_| Error::Invalid { what: format!("`{text}` cannot be a header value") })
        };
        Ok(Headers {
            client_id: ascii(client_id)?,
            namespace: ascii(namespace)?,
            signer: credentials.map(Signer::new).transpose()?,
            requests: AtomicU64::new(0),
        })
    }

    /// `body` as a request; with `patience`, the server learns how long its answer is of use.
    pub(crate) fn request<T>(&self, body: T, patience: Option<Duration>) -> Request<T> {
        let mut request = Request::new(body);
        if let Some(patience) = patience {
            request.set_timeout(patience);
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let headers = request.metadata_mut();
        headers.insert("x-mq-client-id", self.client_id.clone());
        headers.insert("x-mq-namespace", self.namespace.clone());
        headers.insert("x-mq-language", AsciiMetadataValue::from_static("RUST"));
        headers.insert("x-mq-protocol", AsciiMetadataValue::from_static("v2"));
        headers.insert("x-mq-client-version", AsciiMetadataValue::from_static(CLIENT_VERSION));
        // Unique together with the client id.
        headers.insert("x-mq-request-id", AsciiMetadataValue::from(number));
        if let Some(signer) = &self.signer {
            signer.add_to(headers);
        }
        request
    }
}

/// Who is asked for what, and how long the caller waits.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) rpc: &'static str,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) patience: Duration,
}

impl Call<'_> {
    /// Waits for the answer of a unary call, or for the beginning of a stream.
    pub(crate) async fn answer<T>(
        self,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Error> {
        match self.within(answer).await? {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.failure(&status)),
        }
    }

    /// Waits for `step`, no longer than the call may take.
    pub(crate) async fn within<T>(self, step: impl Future<Output = T>) -> Result<T, Error> {
        tokio::time::timeout(self.patience, step).await.map_err(|_| self.timed_out())
    }

    /// What a gRPC status means to the caller.
    pub(crate) fn failure(self, status: &Status) -> Error {
        if let Some(reason) = never_sent(status) {
            return Error::Unreachable { endpoint: self.endpoint.clone(), reason };
        }
        let deadline = status.code() == tonic::Code::DeadlineExceeded;
        if deadline || cause::<TimeoutExpired>(status).is_some() {
            return self.timed_out();
        }
        let (rpc, code) = (self.rpc, status.code());
        if error::declines(code) {
            return Error::Declined { rpc, code, reason: status.message().to_owned() };
        }
        Error::Broken { rpc, endpoint: self.endpoint.clone(), code, reason: reason_of(status) }
    }

    fn timed_out(self) -> Error {
        let endpoint = self.endpoint.clone();
        Error::TimedOut { rpc: self.rpc, endpoint, after: self.patience }
    }
}

/// The reason, if the call failed because there was no connection to send it over: none could be
/// made, or the old one was found dead while the request still waited for its turn, which is what
/// hyper calls cancelled.
fn never_sent(status: &Status) -> Option<String> {
    if let Some(ConnectError(reason)) = cause(status) {
        return Some(reason.to_string());
    }
    let waiting = cause::<hyper::Error>(status).filter(|error| error.is_canceled());
    waiting.map(|_| "the connection was lost before the request went out".to_owned())
}

/// The first error of type `E` among the causes.
fn cause<E: StdError + 'static>(status: &Status) -> Option<&E> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The status's words, and below them those of the error that knows best: the innermost one.
fn reason_of(status: &Status) -> String {
    let mut innermost = status.source();
    while let Some(deeper) = innermost.and_then(StdError::source) {
        innermost = Some(deeper);
    }
    match innermost.map(ToString::to_string) {
        Some(inner) if inner != status.message() => format!("{}: {inner}", status.message()),
        _ => status.message().to_owned(),
    }
}

/// What this process says of itself in its settings.
pub(crate) fn user_agent() -> protocol::grpc::v2::Ua {
    protocol::grpc::v2::Ua {
        language: protocol::grpc::v2::Language::Rust as i32,
        version: CLIENT_VERSION.to_owned(),
        platform: std::env::consts::OS.to_owned(),
        hostname: identity::hostname().to_owned(),
    }
}
