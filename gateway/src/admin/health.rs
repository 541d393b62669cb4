//! Whether this process lives, and whether clients should come to it.

use super::problem::Problem;
use crate::broker::Broker;
use axum::extract::State;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The process answers. A restart would not help.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Clients are served: not before the start is done, and not from the moment on that the stop
/// begins. A full journal is not a reason to be passed by: consumers are what empties it.
pub(super) async fn ready(State(broker): State<Arc<Broker>>) -> Result<&'static str, Problem> {
    if broker.ready.load(Ordering::Acquire) {
        Ok("ready\n")
    } else {
        Err(Problem::unavailable("this gateway is starting or stopping")
            .hint("wait, or ask another gateway"))
    }
}
