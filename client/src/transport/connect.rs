//! How a channel gets its socket.

use crate::config::{Config, Endpoint, Tls};
use crate::error::Error;
use hyper_util::rt::TokioIo;
use protocol::grpc::v2::messaging_service_client::MessagingServiceClient;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Uri};

/// One HTTP/2 connection that comes back by itself. Cheap to clone.
pub(crate) type Stub = MessagingServiceClient<Channel>;

/// A connection that is not there after this long will not come; shorter than a request's patience,
/// so that the caller learns that nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// As the official Java client: a gRPC server in Java cuts off who pings more often than every five
/// minutes.
const PING_INTERVAL: Duration = Duration::from_secs(300);
const PING_TIMEOUT: Duration = Duration::from_secs(30);
/// Enough for a batch of 32 messages of 4 MiB and their envelopes; the official clients set more.
const ANSWER_BYTES_MAX: usize = 160 << 20;
/// Flow-control windows: a stream may have a full-sized message in flight, a connection several.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Makes connections as the configuration says.
pub(crate) struct Dial {
    tls: Option<TlsConnector>,
    patience: Duration,
}

impl Dial {
    pub(crate) fn new(config: &Config) -> Result<Dial, Error> {
        if let Tls::Roots(roots) = &config.tls
            && roots.is_empty()
        {
            return Err(Error::Invalid { what: "no root certificate was given".to_owned() });
        }
        let tls = config.tls.client_config()?.map(TlsConnector::from);
        Ok(Dial { tls, patience: CONNECT_TIMEOUT.min(config.request_timeout / 2) })
    }

    /// A stub that connects at its first call, and again whenever its connection is lost.
    pub(crate) fn stub(&self, to: &Endpoint) -> Result<Stub, Error> {
        let uri = |scheme: &str| {
            format!("{scheme}://{to}")
                .parse::<Uri>()
                .map_err(|error| Error::Invalid { what: format!("endpoint {to}: {error}") })
        };
        // tonic dials what it takes for plaintext, because TLS is the connector's affair; the
        // requests say what it is.
        let origin = uri(if self.tls.is_some() { "https" } else { "http" })?;
        let channel = tonic::transport::Endpoint::from(uri("http")?)
            .origin(origin)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .connect_with_connector_lazy(Connector {
                to: to.clone(),
                tls: self.tls.clone(),
                patience: self.patience,
            });
        Ok(MessagingServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
    }
}

/// The service that tonic asks for a socket.
struct Connector {
    to: Endpoint,
    tls: Option<TlsConnector>,
    patience: Duration,
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Socket>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (to, tls, patience) = (self.to.clone(), self.tls.clone(), self.patience);
        Box::pin(async move {
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
            let socket =
                tokio::time::timeout(patience, dial(to, tls)).await.map_err(|_| late())??;
            Ok(TokioIo::new(socket))
        })
    }
}

async fn dial(to: Endpoint, tls: Option<TlsConnector>) -> io::Result<Socket> {
    let tcp = TcpStream::connect((to.host.as_str(), to.port)).await?;
    tcp.set_nodelay(true)?;
    match tls {
        None => Ok(Socket::Plain(tcp)),
        Some(tls) => {
            let name = ServerName::try_from(to.host)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            Ok(Socket::Tls(Box::new(tls.connect(name, tcp).await?)))
        }
    }
}

/// A connected socket, encrypted or not.
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Socket::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Socket::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Socket::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Plain(io) => io.is_write_vectored(),
            Socket::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_flush(cx),
            Socket::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Socket::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
