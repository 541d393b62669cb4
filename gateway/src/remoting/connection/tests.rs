//! Frames in pieces, in heaps, and what is none, over an in-memory stream.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use protocol::remoting::{Encoding, FRAME_BYTES_MAX};
use tokio::io::DuplexStream;

/// Deadline of every test here; what is expected takes milliseconds.
const SOON: Duration = Duration::from_secs(10);

fn request(opaque: i32) -> Frame {
    Frame::request(105, opaque)
}

fn bytes(frames: impl IntoIterator<Item = Frame>) -> Vec<u8> {
    frames.into_iter().flat_map(|frame| remoting::encode(&frame).unwrap()).collect()
}

/// Answers every request with its own opaque number, in its own encoding; oneway ones with nothing.
struct Echo;

impl Answers for Echo {
    async fn answer(&mut self, request: Frame) -> Option<Frame> {
        let mut reply = Frame::reply_to(&request, 0);
        reply.body = request.body.clone();
        (!request.is_oneway()).then_some(reply)
    }
}

async fn echo(connection: DuplexStream, stop: CancellationToken) -> End {
    run(connection, &stop, &mut Echo).await
}

/// Everything sent at once and the stream closed: the replies, and why the connection ended.
async fn exchange(sent: Vec<u8>) -> (Vec<Frame>, End) {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let talk = async {
        // A server that ended early breaks the pipe; the replies before that are still there to be
        // read.
        drop(client.write_all(&sent).await);
        drop(client.shutdown().await);
        let mut received = BytesMut::new();
        while client.read_buf(&mut received).await.unwrap_or(0) > 0 {}
        received
    };
    let both = async { tokio::join!(talk, echo(server, CancellationToken::new())) };
    let (mut received, end) = tokio::time::timeout(SOON, both).await.expect("the connection ends");
    let mut replies = Vec::new();
    while let Some(reply) = remoting::decode(&mut received).expect("replies are frames") {
        replies.push(reply);
    }
    assert!(received.is_empty(), "a reply is cut off");
    (replies, end)
}

fn opaques(replies: &[Frame]) -> Vec<i32> {
    replies.iter().map(|reply| reply.opaque).collect()
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (replies, end) = exchange(bytes((0..1000).map(request))).await;
    assert_eq!(opaques(&replies), (0..1000).collect::<Vec<_>>());
    assert!(matches!(end, End::Closed), "{end}");
}

#[tokio::test]
async fn each_reply_has_the_encoding_of_its_request() {
    let mut binary = request(2);
    binary.encoding = Encoding::Binary;
    let (replies, _) = exchange(bytes([request(1), binary, request(3)])).await;
    let encodings: Vec<_> = replies.iter().map(|reply| reply.encoding).collect();
    assert_eq!(encodings, [Encoding::Json, Encoding::Binary, Encoding::Json]);
}

#[tokio::test]
async fn a_oneway_request_gets_no_reply() {
    let mut oneway = request(2);
    oneway.flag |= Frame::ONEWAY;
    let (replies, _) = exchange(bytes([request(1), oneway, request(3)])).await;
    assert_eq!(opaques(&replies), [1, 3]);
}

#[tokio::test]
async fn a_frame_may_come_byte_by_byte() {
    let (mut client, server) = tokio::io::duplex(1);
    let stop = CancellationToken::new();
    let talk = async {
        client.write_all(&bytes([request(7)])).await.unwrap();
        let mut received = BytesMut::new();
        loop {
            client.read_buf(&mut received).await.unwrap();
            if let Some(reply) = remoting::decode(&mut received).unwrap() {
                return reply.opaque;
            }
        }
    };
    let answered = async {
        tokio::select! { opaque = talk => opaque, end = echo(server, stop) => panic!("{end}") }
    };
    assert_eq!(tokio::time::timeout(SOON, answered).await.unwrap(), 7);
}

#[tokio::test]
async fn an_oversized_frame_ends_the_connection_after_the_replies_before_it() {
    let mut sent = bytes([request(1)]);
    sent.extend_from_slice(&(FRAME_BYTES_MAX as u32 + 1).to_be_bytes());
    let (replies, end) = exchange(sent).await;
    assert_eq!(opaques(&replies), [1]);
    assert!(matches!(end, End::Malformed(_)), "{end}");
}

#[tokio::test]
async fn a_truncated_frame_is_a_broken_connection() {
    let mut sent = bytes([request(1), request(2)]);
    sent.pop();
    let (replies, end) = exchange(sent).await;
    assert_eq!(opaques(&replies), [1]);
    assert!(matches!(end, End::Broken(_)), "{end}");
}

#[tokio::test]
async fn a_reply_larger_than_every_buffer_arrives_whole() {
    let mut large = request(1);
    large.body = Bytes::from(vec![7; 1 << 20]);
    let (replies, _) = exchange(bytes([large])).await;
    assert_eq!(replies[0].body.len(), 1 << 20);
}

#[tokio::test]
async fn the_gateways_stop_ends_a_silent_connection() {
    let (_client, server) = tokio::io::duplex(64);
    let stop = CancellationToken::new();
    stop.cancel();
    let end = tokio::time::timeout(SOON, echo(server, stop)).await.unwrap();
    assert!(matches!(end, End::Stopping), "{end}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_ends_the_connection(sent in prop::collection::vec(any::<u8>(), 0..512)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(exchange(sent));
    }

    #[test]
    fn a_damaged_frame_ends_the_connection_or_is_answered(at in 0usize..200, with in any::<u8>()) {
        let mut sent = bytes([request(1)]);
        let at = at % sent.len();
        sent[at] = with;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (replies, _) = runtime.block_on(exchange(sent));
        prop_assert!(replies.len() <= 1);
    }
}
