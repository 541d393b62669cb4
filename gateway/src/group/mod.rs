//! Who is connected: the clients that this gateway has heard of lately, what each of them publishes
//! or consumes, and the way to reach it through its Telemetry stream.
//!
//! A client exists from its first settings (gRPC) or heartbeat (Remoting) until it says goodbye or
//! has not been heard of for [`LIVENESS`]. Losing a stream does not end it. All of this belongs to
//! one gateway and is lost with it: clients notice by UNRECOGNIZED_CLIENT_TYPE at their next
//! heartbeat and say again who they are. Nothing here decides what a group is or may do; that is
//! the group's metadata.
mod client;
mod client_id;
mod service;
mod state;

pub use client::{Consumer, Front, Kind, Registration, Role, Subscription};
pub use client_id::ClientId;
pub use service::{CLIENT_OUTBOX_COMMANDS_MAX, Clients, NotReached};
pub use state::{CLIENTS_MAX, LIVENESS, RegisterRefused, SUBSCRIPTIONS_MAX};
