//! A RocketMQ 5 client over gRPC (`apache.rocketmq.v2`), for any server that speaks it: a
//! [`Producer`], a [`PushConsumer`] that calls a listener, a [`SimpleConsumer`] that is called.
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! use client::{Config, Message, Producer};
//!
//! let config = Config::new("127.0.0.1:8081".parse()?);
//! let producer = Producer::start(config, ["orders"]).await?;
//! let receipt = producer.send(Message::new("orders", "hello").tag("greeting")).await?;
//! println!("stored as {} at offset {}", receipt.message_id, receipt.offset);
//! producer.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! What always holds:
//! - A send whose answer did not come in time is *unknown*, never *failed*: [`Error::outcome`]
//!   tells the two apart, and the client itself sends again only what certainly did not happen,
//!   unless [`Config::resend_unknown`] says otherwise.
//! - An endpoint that fails is isolated: others are preferred until it answers again. Connections,
//!   Telemetry streams, routes and settings come back by themselves.
//! - An error carries what the server said (its code, its words) and what the caller may do:
//!   [`Error::advice`].
//! - Nothing is checked here that the server checks: its refusal is the answer.
//!
//! - A message is done with only when somebody says so; whatever is not comes again.
//!
//! [`tracing`] spans are opened for each `send` and `receive` (level debug) and each `consume`
//! (info); [`Metrics`] is a snapshot of counters and histograms, to be exported by whatever a
//! program uses.
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
