//! The gateway's own settings.

use crate::world::{Reply, World};
use protocol::remoting::{RequestCode, ResponseCode};

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_listed_as_properties() {
    let world = World::start_with(|settings| settings.auto_create_groups = false).await;
    let reply = world.broker().await.ask(RequestCode::GET_BROKER_CONFIG, &[], "").await;
    assert!(reply.ext.get("version").is_some());
    let text = String::from_utf8(reply.expect_success().body.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let port = world.gateway.addresses().broker.port();
    for line in [
        "brokerClusterName=DefaultCluster".to_owned(),
        "brokerIP1=127.0.0.1".to_owned(),
        format!("listenPort={port}"),
        "autoCreateSubscriptionGroup=false".to_owned(),
        format!("stratamqJournalCapacityBytes={}", 128 << 20),
    ] {
        assert!(lines.contains(&&*line), "{line} is not in {text}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_not_changed_and_it_says_what_to_do_instead() {
    let world = World::start().await;
    let body = "autoCreateSubscriptionGroup=false\n";
    let reply = world.broker().await.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], body).await;
    let (code, remark) = reply.refused();
    assert_eq!(code, ResponseCode::NO_PERMISSION);
    assert!(remark.contains("stratamq serve --help"), "{remark}");
    assert!(world.gateway.broker().settings.auto_create_groups);
    world.stop().await;
}
