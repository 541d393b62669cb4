//! Clients as the gateway knows them.
mod client_id;

pub use client_id::ClientId;
