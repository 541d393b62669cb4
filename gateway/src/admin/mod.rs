//! The HTTP front: health, and the administration that command line, console and automation share.
//! JSON in and out.
//!
//! [`api`] has the bodies, for the command line as well.
pub mod api;
