//! Traces, as a collector gets them from the broker's process (feature `otel`).
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

use bytes::Bytes;
use client::{Config, Message, Producer};
use harness::Broker;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Command;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A collector that passes on what it is sent, call by call.
async fn collector() -> (SocketAddr, mpsc::Receiver<(String, Bytes)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (got, calls) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let got = got.clone();
            let answer = service_fn(move |request: Request<Incoming>| {
                let got = got.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let _ = got.send((path, body)).await;
                    Ok::<_, Infallible>(taken())
                }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(socket), answer));
        }
    });
    (address, calls)
}

type Parts = tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

/// An empty answer, and gRPC's OK.
fn taken() -> Response<StreamBody<Parts>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let parts = vec![Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(tokio_stream::iter(parts)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_is_a_span_that_says_what_and_whereto_and_what_came_of_it() {
    let (address, mut calls) = collector().await;
    let folder = harness::folder("traces");
    let url = format!("http://{address}");
    let flags = ["--trace-collector", &url, "--trace-share", "1", "--journal-capacity", "128MiB"];
    let broker = Broker::start_with(&folder, &flags);
    let http = broker.addresses().http.to_string();
    let created = Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .args(["topic", "create", "traced-topic", "--admin", &http])
        .status();
    assert!(created.unwrap().success());
    let config = Config::new(broker.addresses().grpc.to_string().parse().unwrap());
    let producer = Producer::start(config, ["traced-topic"]).await.unwrap();
    producer.send(Message::new("traced-topic", "a secret body")).await.unwrap();
    producer.close().await;
    // The stop sends what waits.
    let (_, code) = broker.stop();
    assert_eq!(code, Some(0));
    let mut sent = Vec::new();
    while let Ok((path, body)) = calls.try_recv() {
        assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        sent.extend_from_slice(&body);
    }
    let has = |word: &str| sent.windows(word.len()).any(|window| window == word.as_bytes());
    for word in ["stratamq", "SendMessage", "QueryRoute", "traced-topic", "response_code", "OK"] {
        assert!(has(word), "no span says {word}");
    }
    assert!(!has("a secret body"), "a payload is nobody's business");
}
