//! A RocketMQ 5 client: a [`Producer`] and a [`SimpleConsumer`] over gRPC (`apache.rocketmq.v2`).
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
//!   tells the two apart, and the client itself sends again only what certainly did not happen.
//! - An error carries what the server said (its code, its words) and what the caller may do:
//!   [`Error::advice`].
//! - Nothing is checked here that the server checks: its refusal is the answer.
//!
//! It does not: compress or decompress bodies ([`Delivery::encoding`] says what came), verify
//! digests, sign requests.
mod config;
mod consumer;
mod door;
mod error;
mod identity;
mod message;
mod producer;
mod route;
mod rpc;
mod session;
mod telemetry;
mod transport;

pub use config::{Config, Endpoint, Tls};
pub use consumer::{Delivery, Filter, Receive, SimpleConsumer};
pub use error::{Advice, Error, Outcome, Refusal};
pub use message::{BodyEncoding, Message, Receipt};
pub use producer::Producer;
pub use protocol::grpc::v2::{Code, MessageType};
