//! The stateless broker: fronts parse, features decide, logs keep. Nothing here outlives the process but through
//! `storage` and `metadata`.
pub mod admin;
pub mod consume;
pub mod group;
pub mod listen;
pub mod observe;
pub mod ownership;
pub mod produce;
pub mod settings;
