//! One HTTP/2 connection, with as little around it as there can be.
//!
//! Not the client crate's: that retries, looks up routes, makes ids and sends each request through
//! tonic's channel, a queue and a task of its own. All of it is right for a client, and all of it
//! would be measured here on the cores that the server needs. This one is hyper's connection, and
//! tonic's codecs above it.

use crate::cli::failure::Failure;
use client::{Config, Endpoint};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response, Uri, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use protocol::grpc::v2::messaging_service_client::MessagingServiceClient;
use rustls::pki_types::ServerName;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;

/// Calls over one connection; clones share it.
pub(super) type Stub = MessagingServiceClient<Connection>;

/// As the official Java client's and this project's own.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const ANSWER_BYTES_MAX: usize = 160 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// hyper's connection as the service that tonic's stub wants. It does not come back when it is
/// lost: a run over a lost connection measures nothing.
#[derive(Clone)]
pub(super) struct Connection(SendRequest<Body>);

impl tower::Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Connects to the access point of `config`.
pub(super) async fn connect(config: &Config, env: &storage::env::Env) -> Result<Stub, Failure> {
    let endpoint = &config.access_point;
    let lost = |reason: &dyn std::fmt::Display| unreachable(endpoint, reason);
    let connecting = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    let socket = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    let socket = socket.map_err(|_| lost(&"no answer"))?.map_err(|error| lost(&error))?;
    socket.set_nodelay(true).map_err(|error| lost(&error))?;
    let (scheme, requests) = match config.tls.client_config()? {
        None => ("http", handshake(socket, env).await.map_err(|error| lost(&error))?),
        Some(tls) => {
            let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| lost(&error))?;
            let socket = TlsConnector::from(tls).connect(name, socket).await;
            let socket = socket.map_err(|error| lost(&error))?;
            ("https", handshake(socket, env).await.map_err(|error| lost(&error))?)
        }
    };
    let origin = format!("{scheme}://{endpoint}").parse::<Uri>().map_err(|error| lost(&error))?;
    let stub = MessagingServiceClient::with_origin(Connection(requests), origin);
    Ok(stub.max_decoding_message_size(ANSWER_BYTES_MAX))
}

fn unreachable(endpoint: &Endpoint, reason: &dyn std::fmt::Display) -> Failure {
    Failure::from(client::Error::Unreachable {
        endpoint: endpoint.clone(),
        reason: reason.to_string(),
    })
}

async fn handshake<S>(socket: S, env: &storage::env::Env) -> hyper::Result<SendRequest<Body>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .handshake(TokioIo::new(socket))
        .await?;
    // Ends with the connection; its error reaches whoever waits for an answer.
    env.spawn("bench connection", async move {
        let _ = connection.await;
    });
    Ok(requests)
}
