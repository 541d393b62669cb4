//! A RocketMQ 5 client over gRPC (`apache.rocketmq.v2`), for any server that speaks it: a
//! [`Producer`], a [`PushConsumer`] that calls a listener, a [`SimpleConsumer`] that is called.
//!
//! The package is `stratamq-client`, the library in it `client`. It needs a tokio runtime and
//! neither `protoc` nor OpenSSL:
//!
//! ```toml
//! [dependencies]
//! stratamq-client = { path = "../stratamq/client" }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! ```no_run
//! use client::{Config, Message, Producer};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), client::Error> {
//!     let config = Config::new("127.0.0.1:8081".parse()?);
//!     let producer = Producer::start(config, ["orders"]).await?;
//!     let receipt = producer.send(Message::new("orders", "hello").tag("greeting")).await?;
//!     println!("stored as {} at offset {}", receipt.message_id, receipt.offset);
//!     producer.close().await;
//!     Ok(())
//! }
//! ```
//!
//! # What is where
//!
//! | to | use |
//! |---|---|
//! | send and wait for the receipt | [`Producer::send`]; in one request: [`Producer::send_many`] |
//! | send without waiting | [`Producer::send_one_way`], and [`Producer::flush`] before the end |
//! | send in order, or later | [`Message::group`]; [`Message::deliver_in`], [`Message::deliver_at`] |
//! | have a function called for each message | [`PushConsumer`], bounded by [`PushSettings`] |
//! | receive when you want to | [`SimpleConsumer::receive`], [`SimpleConsumer::ack`] |
//! | hold a message for longer | [`SimpleConsumer::change_invisible`] |
//! | receive only some messages | [`Filter`]: by tag, or by SQL92 where the server has it |
//! | encrypt, sign, wait longer, try again | [`Config`]: [`Tls`], [`Credentials`], time-outs, attempts |
//! | know what a failure means | [`Error::outcome`] (did it happen?), [`Error::advice`] (what now?) |
//! | see what it does | [`Producer::metrics`] and the consumers' like it; `tracing` spans |
//!
//! # Consuming
//!
//! A listener says what became of a message, as a [`Consumed`] or a `Result`; what is not
//! [`Consumed::Done`] comes again.
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! use client::{Config, Consumed, Filter, PushConsumer, PushSettings};
//!
//! let config = Config::new("127.0.0.1:8081".parse()?);
//! let settings = PushSettings::new("billing").subscribe("orders", Filter::all()).concurrency(8);
//! let consumer = PushConsumer::start(config, settings, |delivery| async move {
//!     println!("{}: {} bytes, attempt {}", delivery.id, delivery.body.len(), delivery.attempt);
//!     Consumed::Done
//! })
//! .await?;
//! // ... until the program is to end:
//! consumer.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Or, asking for messages:
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! use client::{Config, Filter, Receive, SimpleConsumer};
//!
//! let config = Config::new("127.0.0.1:8081".parse()?);
//! let consumer = SimpleConsumer::start(config, "billing", [("orders", Filter::all())]).await?;
//! for delivery in consumer.receive(Receive::default()).await? {
//!     println!("{}: {} bytes", delivery.id, delivery.body.len());
//!     consumer.ack(&delivery).await?;
//! }
//! consumer.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # TLS, credentials, metrics
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! use client::{Config, Credentials, Producer, Tls};
//!
//! let config = Config {
//!     // Or Tls::Roots(certificates), which also checks who the server is.
//!     tls: Tls::TrustAll,
//!     credentials: Some(Credentials::new("access key", "secret key")),
//!     ..Config::new("mq.example.org:8081".parse()?)
//! };
//! let producer = Producer::start(config, ["orders"]).await?;
//! let metrics = producer.metrics();
//! println!("{} sent, p99 {:?}", metrics.sent, metrics.send_time.quantile(0.99));
//! # Ok(())
//! # }
//! ```
//!
//! [`tracing`] spans are opened for each `send` and `receive` (level debug) and each `consume`
//! (info); [`Metrics`] is a snapshot of counters and histograms, to be exported by whatever a
//! program uses.
//!
//! # What always holds
//!
//! - A send whose answer did not come in time is *unknown*, never *failed*: [`Error::outcome`]
//!   tells the two apart, and the client itself sends again only what certainly did not happen,
//!   unless [`Config::resend_unknown`] says otherwise.
//! - An endpoint that fails is isolated: others are preferred until it answers again. Connections,
//!   Telemetry streams, routes and settings come back by themselves.
//! - An error carries what the server said (its code, its words) and what the caller may do:
//!   [`Error::advice`].
//! - Nothing is checked here that the server checks: its refusal is the answer.
//! - A message is done with only when somebody says so; whatever is not comes again.
//!
//! # Coming from the official client
//!
//! Against the crate `rocketmq` 5.0.0: a client is connected by `start`, there is no `new` before
//! it, and it is not `mut`; what its `ClientOption` and `ProducerOption` hold is in [`Config`]; a
//! message is a [`Message`] with methods in place of a builder. A second send of what may have been
//! stored has to be asked for, with [`Config::resend_unknown`].
//!
//! It does not: compress or decompress bodies ([`Delivery::encoding`] says what came), verify
//! digests, end transactions, speak of lite topics.
mod advised;
mod backoff;
mod config;
mod consumer;
mod credentials;
mod door;
mod error;
mod identity;
mod message;
mod metrics;
mod peer;
mod producer;
mod route;
mod rpc;
mod session;
mod telemetry;
mod transport;

pub use config::{Config, Endpoint, Tls};
pub use consumer::{
    Consumed, Delivery, Filter, PushConsumer, PushSettings, Receive, SimpleConsumer,
};
pub use credentials::Credentials;
pub use error::{Advice, Error, Outcome, Refusal};
pub use message::{BodyEncoding, Message, Receipt};
pub use metrics::{Histogram, Metrics};
pub use producer::Producer;
pub use protocol::grpc::v2::{Code, MessageType};
