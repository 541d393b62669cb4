//! Frames, whatever they ask for.

use crate::world::{Client, Reply, World};
use protocol::remoting::body::TopicRouteData;
use protocol::remoting::{Encoding, RequestCode, ResponseCode};
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_port_does_not_serve_is_refused_with_apaches_remark() {
    let world = World::start().await;
    let (mut nameserver, mut broker) = (world.nameserver().await, world.broker().await);
    for code in [RequestCode::SEND_MESSAGE_V2, RequestCode::PULL_MESSAGE, -7, 999_999] {
        let want = (
            ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            format!(" request type {code} not supported"),
        );
        assert_eq!(nameserver.ask(code, &[], "").await.refused(), want);
        assert_eq!(broker.ask(code, &[], "").await.refused(), want);
    }
    let code = RequestCode::GET_BROKER_RUNTIME_INFO;
    assert_eq!(
        nameserver.ask(code, &[], "").await.refused().0,
        ResponseCode::REQUEST_CODE_NOT_SUPPORTED
    );
    let code = RequestCode::GET_BROKER_CLUSTER_INFO;
    assert_eq!(
        broker.ask(code, &[], "").await.refused().0,
        ResponseCode::REQUEST_CODE_NOT_SUPPORTED
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_request_gets_a_binary_reply() {
    let world = World::start().await;
    let mut client = world.nameserver().await;
    client.encoding = Encoding::Binary;
    let route: TopicRouteData = client.route("DefaultCluster").await.body_as();
    assert_eq!(route.broker_datas.len(), 4);
    assert_eq!(client.route("Missing").await.refused().0, ResponseCode::TOPIC_NOT_EXIST);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_closes_its_connection_and_no_other() {
    let world = World::start().await;
    let mut other = world.broker().await;
    for to in [world.gateway.addresses().nameserver, world.gateway.addresses().broker] {
        for garbage in [
            &b"\x7f\xff\xff\xff\x00"[..],
            b"\x00\x00\x00\x08\x00\x00\x00\x04nope",
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            let mut client = Client::connect(to).await;
            client.stream.write_all(garbage).await.unwrap();
            assert_eq!(client.receive().await, None);
        }
    }
    other.ask(RequestCode::GET_BROKER_RUNTIME_INFO, &[], "").await.expect_success();
    world.stop().await;
}
