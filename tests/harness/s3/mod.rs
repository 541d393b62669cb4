//! An S3-compatible service in the test's own process, which fails as the test says.
//!
//! It speaks what the broker uses: conditional PUT, ranged GET, HEAD, LIST version 2, DELETE of one
//! or many, uploads in parts. Signatures are not checked, so any credentials do.
//!
//! ```text
//!   server        the port, up and down                  what a test holds
//!      │
//!   exchange      one request: faults, hooks, counts     faults, counts, hooks
//!      │
//!   request, answer, body        HTTP and XML in and out
//!      │
//!   objects       names and bytes; each request is decided under one lock
//! ```
//!
//! INV-S3-1: of PUTs that may only create, exactly one succeeds as long as the object is there.
//! INV-S3-2: after [`server::Server::down`] has returned, nothing changes until
//! [`server::Server::up`].
mod answer;
mod body;
mod counts;
mod date;
mod exchange;
pub(crate) mod faults;
mod objects;
pub(crate) mod request;
pub(crate) mod server;
