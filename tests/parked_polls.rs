//! Ten thousand parked long polls: what they cost while nothing comes, and who wakes when one message does.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of a real process runs on the real clock"
)]

mod harness;

use client::{Config, Endpoint, Message, Producer};
use harness::Broker;
use protocol::grpc::v2::messaging_service_client::MessagingServiceClient;
use protocol::grpc::v2::{self as pb, receive_message_response::Content};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::transport::Channel;

const TOPIC: &str = "parked";
const CONNECTIONS: usize = 10;
const POLLS_PER_CONNECTION: usize = 1_000;
const POLLS: usize = CONNECTIONS * POLLS_PER_CONNECTION;
const WAIT: Duration = Duration::from_secs(20);
/// Memory of one parked poll in the broker, its HTTP/2 stream included.
const BYTES_A_POLL_MAX: u64 = 12 << 10;
/// Share of one core that all of them may take while nothing comes.
const CORE_SHARE_MAX: f64 = 0.05;

#[test]
fn ten_thousand_parked_polls_cost_next_to_nothing() {
    let folder = harness::folder("parked-polls");
    let broker = Broker::start(&folder);
    let addresses = broker.addresses();
    broker.command(&["topic", "create", TOPIC]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let before = resident_bytes(broker.pid());
    let (mut polls, began) = (runtime.block_on(park(addresses.grpc)), Instant::now());

    // All are parked once the broker has become quiet.
    harness::wait_for("the polls to be parked", || {
        let share = core_share(broker.pid(), Duration::from_millis(500));
        (share < CORE_SHARE_MAX).then_some(())
    });
    let share = core_share(broker.pid(), Duration::from_secs(2));
    let grown = resident_bytes(broker.pid()).saturating_sub(before) / POLLS as u64;
    println!("{POLLS} parked polls: {grown} bytes each, {:.2} % of a core", share * 100.0);
    assert!(began.elapsed() < WAIT, "it took so long that polls have ended");
    assert!(grown <= BYTES_A_POLL_MAX, "a parked poll takes {grown} bytes");
    assert!(share < CORE_SHARE_MAX, "parked polls take {share} of a core");

    // Each group gets the message once; nobody else is disturbed.
    let mut answered = runtime.block_on(async {
        send_one(addresses.grpc).await;
        let mut answered = Vec::new();
        while answered.len() < CONNECTIONS {
            let poll = tokio::time::timeout(Duration::from_secs(5), polls.join_next()).await;
            answered.push(poll.expect("a poll of each group must wake").unwrap().unwrap());
        }
        answered
    });
    answered.sort_unstable();
    let each_group_once: Vec<_> = (0..CONNECTIONS).map(|group| (group, 1)).collect();
    assert_eq!(answered, each_group_once);
    assert!(runtime.block_on(async { polls.try_join_next() }).is_none(), "others woke too");
    polls.abort_all();
}

/// Opens the polls, a group to each connection. Each ends with (group, messages received).
async fn park(grpc: SocketAddr) -> JoinSet<(usize, usize)> {
    let mut polls = JoinSet::new();
    for group in 0..CONNECTIONS {
        let channel = Channel::from_shared(format!("http://{grpc}")).unwrap();
        let client = MessagingServiceClient::new(channel.connect().await.unwrap());
        for _ in 0..POLLS_PER_CONNECTION {
            let mut client = client.clone();
            polls.spawn(async move {
                let answer = client.receive_message(request(group)).await;
                let mut stream = answer.unwrap().into_inner();
                let mut messages = 0;
                while let Some(part) = stream.message().await.unwrap() {
                    match part.content {
                        Some(Content::Message(_)) => messages += 1,
                        Some(Content::Status(_) | Content::DeliveryTimestamp(_)) | None => {}
                    }
                }
                (group, messages)
            });
        }
    }
    polls
}

fn request(group: usize) -> tonic::Request<pb::ReceiveMessageRequest> {
    let resource = |name: String| Some(pb::Resource { name, ..Default::default() });
    let duration = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let mut request = tonic::Request::new(pb::ReceiveMessageRequest {
        group: resource(format!("parked-{group}")),
        message_queue: Some(pb::MessageQueue {
            topic: resource(TOPIC.to_owned()),
            id: -1,
            ..Default::default()
        }),
        filter_expression: Some(pb::FilterExpression {
            r#type: pb::FilterType::Tag as i32,
            expression: "*".to_owned(),
        }),
        batch_size: 32,
        invisible_duration: duration(30),
        long_polling_timeout: duration(WAIT.as_secs().cast_signed()),
        ..Default::default()
    });
    request.set_timeout(WAIT * 2);
    request.metadata_mut().insert("x-mq-client-id", format!("parked-{group}").parse().unwrap());
    request
}

async fn send_one(grpc: SocketAddr) {
    let config = Config::new(grpc.to_string().parse::<Endpoint>().unwrap());
    let producer = Producer::start(config, [TOPIC]).await.unwrap();
    producer.send(Message::new(TOPIC, "wake up")).await.unwrap();
    producer.close().await;
}

/// CPU seconds per second of the whole process, over `window`.
fn core_share(pid: u32, window: Duration) -> f64 {
    let before = cpu_seconds(pid);
    std::thread::sleep(window);
    (cpu_seconds(pid) - before) / window.as_secs_f64()
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The fields after the command name, which may hold spaces; utime and stime are the 14th and 15th of all.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    // USER_HZ, which Linux fixes at 100 for user space.
    ticks / 100.0
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}
