//! Each request code of the Remoting front, over real sockets, against a whole gateway.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clients;
mod counts;
mod frames;
mod groups;
mod messages;
mod progress;
mod routes;
mod settings;
mod topics;
mod world;
