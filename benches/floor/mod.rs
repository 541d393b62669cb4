//! What the hardware and the transport allow: the floor that results are read against.
//!
//! Each measurement is the least that a broker must do of one kind, and nothing else of it: bytes
//! to the disk, bytes through memory and checksum, a packet there and back, a gRPC request there
//! and back.
pub(crate) mod disk;
pub(crate) mod echo;
pub(crate) mod memory;
pub(crate) mod tcp;
