//! Connections to one endpoint: TCP, TLS where asked for, HTTP/2 above.
//!
//! TLS goes through tokio-rustls on ring, not through tonic's own features, so that the tree has
//! one TLS stack and one crypto provider and no process-wide default is needed.
mod connect;
mod tls;

pub(crate) use connect::{Dial, Stub};
