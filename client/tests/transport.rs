//! What a caller learns from servers that are not there, say nothing, or are no servers.

use client::{Advice, Config, Error, Outcome, Producer, Tls};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

fn config(address: SocketAddr) -> Config {
    let endpoint = address.to_string().parse().expect("an address is an endpoint");
    Config { request_timeout: Duration::from_millis(400), ..Config::new(endpoint) }
}

async fn start_error(config: Config) -> Error {
    match Producer::start(config, ["topic"]).await {
        Ok(_) => panic!("started without a server"),
        Err(error) => error,
    }
}

/// A server that does to each connection what `greet` says; it ends with the value.
struct Server {
    address: SocketAddr,
    _accepting: tokio::task::JoinSet<()>,
}

async fn server<F, Fut>(greet: F) -> Server
where
    F: Fn(tokio::net::TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let mut accepting = tokio::task::JoinSet::new();
    accepting.spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(greet(stream));
        }
    });
    Server { address, _accepting: accepting }
}

#[tokio::test]
async fn nobody_listens_and_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = start_error(config(address)).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(matches!(error.advice(), Advice::Retry { .. }));
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_the_outcome_unknown() {
    let server = server(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let error = start_error(config(server.address)).await;
    assert!(matches!(error, Error::TimedOut { rpc: "QueryRoute", .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_server_that_hangs_up_leaves_the_outcome_unknown() {
    let server = server(|mut stream| async move {
        // More than the preface and its settings: the request has gone out.
        let mut taken = 0;
        while taken < 200 {
            taken += stream.read(&mut [0; 64]).await.unwrap();
        }
    })
    .await;
    let error = start_error(config(server.address)).await;
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_server_of_another_protocol_is_an_error_and_no_hang() {
    let server = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let error = start_error(config(server.address)).await;
    assert!(matches!(error, Error::Broken { .. } | Error::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn tls_with_a_server_that_has_none_is_a_connection_that_was_never_made() {
    let server = server(|mut stream| async move {
        let _ = stream.write_all(b"220 not TLS\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let error = start_error(Config { tls: Tls::TrustAll, ..config(server.address) }).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

#[tokio::test]
async fn tls_without_roots_is_a_mistake_of_the_caller() {
    let config = config("127.0.0.1:1".parse().unwrap());
    let error = start_error(Config { tls: Tls::Roots(Vec::new()), ..config }).await;
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
}
