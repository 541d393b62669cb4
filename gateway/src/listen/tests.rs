//! One port, every way in.

use super::{Connection, Listener, TlsIdentity};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use storage::env::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

struct Port {
    address: SocketAddr,
    opened: mpsc::Receiver<Connection>,
    connector: TlsConnector,
    _folder: tempfile::TempDir,
}

async fn port() -> Port {
    let folder = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::self_signed(folder.path()).unwrap();
    let tls = identity.server_config(&[b"h2"]).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(any, tls, Env::system()).await.unwrap();
    Port {
        address: listener.local(),
        opened: listener.connections(),
        connector: trusting(folder.path()),
        _folder: folder,
    }
}

fn trusting(folder: &std::path::Path) -> TlsConnector {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("certificate.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

impl Port {
    async fn opened(&mut self) -> (Connection, [u8; 5]) {
        let mut connection = self.opened.recv().await.unwrap();
        let mut said = [0; 5];
        connection.read_exact(&mut said).await.unwrap();
        (connection, said)
    }
}

#[tokio::test]
async fn plaintext_comes_through_untouched() {
    let mut port = port().await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let (mut connection, said) = port.opened().await;
    assert_eq!(&said, b"hello");
    assert!(!connection.info().tls);
    assert_eq!(connection.info().peer, stream.local_addr().unwrap());
    connection.write_all(b"world").await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"world");
}

#[tokio::test]
async fn tls_is_told_by_its_first_byte() {
    let mut port = port().await;
    let stream = TcpStream::connect(port.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = port.connector.connect(name, stream).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let (connection, said) = port.opened().await;
    assert_eq!(&said, b"hello");
    assert!(connection.info().tls);
}

#[tokio::test]
async fn a_proxy_prefix_in_pieces_names_the_client_before_tls() {
    let mut port = port().await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in [&b"PRO"[..], b"XY TCP4 192.0.2.7 127.0.0.1 50123 ", b"8081\r\n"] {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = port.connector.connect(name, stream).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let (connection, said) = port.opened().await;
    assert_eq!(&said, b"hello");
    assert_eq!(connection.info().peer, "192.0.2.7:50123".parse().unwrap());
}

#[tokio::test]
async fn a_malformed_prefix_closes_only_its_own_connection() {
    let mut port = port().await;
    let mut bad = TcpStream::connect(port.address).await.unwrap();
    bad.write_all(b"PROXY NONSENSE\r\n").await.unwrap();
    assert_eq!(bad.read(&mut [0]).await.unwrap_or(0), 0, "the broker must hang up");
    let mut good = TcpStream::connect(port.address).await.unwrap();
    good.write_all(b"hello").await.unwrap();
    assert_eq!(&port.opened().await.1, b"hello");
}
