//! One HTTP/2 connection, with as little around it as there can be.
//!
//! Not the client crate's: that retries, looks up routes, makes ids and sends each request through
//! tonic's channel, a queue and a task of its own. All of it is right for a client, and all of it
//! would be measured here on the cores that the server needs. This one is hyper's connection, and
//! tonic's codecs above it.

use crate::cli::failure::Failure;
use client::{Config, Endpoint, Tls};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response, Uri, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use protocol::grpc::v2::messaging_service_client::MessagingServiceClient;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::pin::Pin;
use std::sync::Arc;
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
    let (scheme, requests) = match tls(&config.tls)? {
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

fn tls(tls: &Tls) -> Result<Option<Arc<ClientConfig>>, Failure> {
    let provider = Arc::new(ring::default_provider());
    let unusable = |error: rustls::Error| Failure::usage(format!("TLS: {error}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let mut config = match tls {
        Tls::Off => return Ok(None),
        Tls::TrustAll => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAll(provider)))
            .with_no_client_auth(),
        Tls::Roots(roots) => {
            let mut store = RootCertStore::empty();
            for root in roots {
                store.add(root.clone()).map_err(unusable)?;
            }
            builder.with_root_certificates(store).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Some(Arc::new(config)))
}

/// Any certificate will do, but the server must hold its key.
#[derive(Debug)]
struct TrustAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
