//! Sockets: one port takes TLS and plaintext, told apart by the first bytes, with an optional PROXY prefix before
//! either.
//!
//! ```text
//! accept ─► [PROXY v1|v2] ─► 0x16? ─► TLS handshake ─► Connection
//!                               └──► plaintext ──────► Connection
//! ```
//!
//! What always holds: no task outlives the listener's stop but the connections it handed out; a peer that says nothing
//! is dropped after [`OPENING_TIME_MAX`]; at most [`CONNECTIONS_MAX`] connections a port are open, and one more is
//! closed at once. What is deliberately not here: any protocol above TLS.
mod accept;
mod connection;
mod proxy_header;
#[cfg(test)]
mod tests;
mod tls;

pub use accept::{CONNECTIONS_MAX, Listener, OPENING_TIME_MAX};
pub use connection::{Connection, ConnectionInfo};
pub use tls::{TlsFiles, TlsIdentity};
