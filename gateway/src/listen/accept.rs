//! Accepting: each connection is opened (PROXY prefix, TLS) in a task of its own, so that a slow peer delays nobody.

use super::connection::{Connection, ConnectionInfo};
use super::proxy_header::{self, Prefix, V2_BYTES_MAX};
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use storage::env::Env;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

/// Connections that one port keeps open; one more is closed at once.
pub const CONNECTIONS_MAX: usize = 20_000;
/// How long a peer may take for PROXY prefix and TLS handshake together.
pub const OPENING_TIME_MAX: Duration = Duration::from_secs(10);

/// Opened connections that wait for their protocol to take them.
const OPENED_MAX: usize = 64;
/// The pause after the operating system refused to accept, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The pause between two looks at a PROXY prefix that has come in part.
const PARTIAL_PREFIX_PAUSE: Duration = Duration::from_millis(1);
/// The first byte of a TLS record that carries a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A bound port.
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    tls: Arc<ServerConfig>,
    env: Env,
}

impl Listener {
    /// Binds `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// When the address is taken or not ours, as the operating system says it.
    pub async fn bind(address: SocketAddr, tls: Arc<ServerConfig>, env: Env) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let local = socket.local_addr()?;
        Ok(Listener { socket, local, tls, env })
    }

    /// The address that is listened on.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Accepts until the receiver is dropped.
    pub fn connections(self) -> mpsc::Receiver<Connection> {
        let (opened, receiver) = mpsc::channel(OPENED_MAX);
        let env = self.env.clone();
        env.spawn("accept", async move {
            let gone = opened.clone();
            tokio::select! {
                () = self.accept_all(opened) => {}
                () = gone.closed() => {}
            }
        });
        receiver
    }

    async fn accept_all(self, opened: mpsc::Sender<Connection>) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let acceptor = TlsAcceptor::from(Arc::clone(&self.tls));
        loop {
            let (socket, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, local = %self.local, "accept failed");
                    self.env.sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                tracing::warn!(%peer, limit = CONNECTIONS_MAX, "connection refused: too many are open");
                continue;
            };
            let (acceptor, opened, env) = (acceptor.clone(), opened.clone(), self.env.clone());
            self.env.spawn("open connection", async move {
                let opening = open(socket, peer, acceptor, slot, env);
                match tokio::time::timeout(OPENING_TIME_MAX, opening).await {
                    // A closed channel means that the server is stopping.
                    Ok(Ok(connection)) => drop(opened.send(connection).await),
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "connection did not open"),
                    Err(_) => tracing::debug!(%peer, "connection did not open in time"),
                }
            });
        }
    }
}

async fn open(
    mut socket: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    slot: OwnedSemaphorePermit,
    env: Env,
) -> io::Result<Connection> {
    socket.set_nodelay(true)?;
    let local = socket.local_addr()?;
    let (peer, first) = skip_proxy_prefix(&mut socket, peer, &env).await?;
    if first == TLS_HANDSHAKE {
        let stream = acceptor.accept(socket).await?;
        return Ok(Connection::tls(stream, ConnectionInfo { peer, local, tls: true }, slot));
    }
    Ok(Connection::plain(socket, ConnectionInfo { peer, local, tls: false }, slot))
}

/// Takes the PROXY prefix off the stream, if there is one. Returns the client's address and the byte that comes next,
/// which stays unread.
async fn skip_proxy_prefix(
    socket: &mut TcpStream,
    mut peer: SocketAddr,
    env: &Env,
) -> io::Result<(SocketAddr, u8)> {
    let mut buffer = [0; V2_BYTES_MAX];
    let mut known = 0;
    loop {
        known = peek_beyond(socket, &mut buffer, known, env).await?;
        match proxy_header::parse(&buffer[..known]) {
            Prefix::Absent => return Ok((peer, buffer[0])),
            Prefix::Incomplete => {}
            Prefix::Malformed => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed PROXY prefix"));
            }
            Prefix::Present { bytes, peer: named } => {
                socket.read_exact(&mut buffer[..bytes]).await?;
                peer = named.unwrap_or(peer);
                peek_beyond(socket, &mut buffer, 0, env).await?;
                return Ok((peer, buffer[0]));
            }
        }
    }
}

/// Peeks until more than `known` bytes are there; says how many are.
///
/// # Errors
/// `UnexpectedEof` when the peer closed first.
async fn peek_beyond(
    socket: &TcpStream,
    buffer: &mut [u8],
    known: usize,
    env: &Env,
) -> io::Result<usize> {
    loop {
        match socket.peek(buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            seen if seen > known => return Ok(seen),
            // The socket stays readable while bytes lie unread, so only time shows whether more follow: a prefix cut
            // in two, which is as rare as it is legal.
            _ => env.sleep(PARTIAL_PREFIX_PAUSE).await,
        }
    }
}
