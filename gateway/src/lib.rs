//! The stateless broker: fronts parse, features decide, logs keep. Nothing here outlives the process but through
//! `storage` and `metadata`.
pub mod admin;
mod broker;
pub mod consume;
mod gateway;
pub mod group;
pub mod grpc;
pub mod history;
pub mod listen;
pub mod observe;
pub mod ownership;
pub mod produce;
pub mod query;
mod record;
pub mod remoting;
pub mod replay;
pub mod settings;
pub mod tiering;
mod topic;
mod varint;

pub use broker::{Addresses, Broker};
pub use gateway::{Gateway, StartError};
pub use tiering::ObjectStore;
