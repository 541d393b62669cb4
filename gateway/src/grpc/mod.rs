//! The gRPC front: `apache.rocketmq.v2.MessagingService` over the gateway's features, with health
//! and reflection.
//!
//! Each RPC takes the wire's message apart into checked types, asks one feature, and puts the
//! outcome together again. The order of checks is the same everywhere: the client says who it is,
//! names are names, then the RPC's own rules in the order of spec B. What is refused is a
//! `refused::Refused`; its code is chosen in one function.
//!
//! What always holds:
//! - An application error is a `Status` in the response with gRPC status OK; only Telemetry and
//!   RPCs that are not served end with a gRPC status of their own (spec B.0).
//! - No task beside the server's own for a call: a parked receive is the call itself, a Telemetry
//!   stream its own body.
//! - An unknown enum value or field never fails a request.
//!
//! What is deliberately not here: rules. Limits of messages are in `produce`, of deliveries in
//! `consume`, of names in `protocol`.
mod ack;
mod assignment;
mod call;
mod convert;
mod delivery;
mod front;
mod health;
mod heartbeat;
mod receive;
mod receive_stream;
mod refused;
mod route;
mod rpc;
mod send;
mod service;
mod settings;
mod telemetry;

pub use service::{REQUEST_BYTES_MAX, service};

#[cfg(test)]
mod tests;
