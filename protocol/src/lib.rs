//! RocketMQ's wire formats and nothing else: validated names, gRPC v2 messages, Remoting frames and
//! stored-message bytes. No IO, no clock, no randomness: the same input always gives the same output,
//! and no input from network or disk can make a decoder panic.

pub mod grpc;
pub mod names;
pub mod remoting;
pub mod stored;
