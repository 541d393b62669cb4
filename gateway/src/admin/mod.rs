//! The HTTP front: health, and the administration that command line, console and automation share.
//! JSON in and out.
//!
//! | path | methods |
//! |---|---|
//! | `/healthz`, `/readyz` | GET |
//! | `/v1/cluster` | GET |
//! | `/v1/topics`, `/v1/groups` | GET |
//! | `/v1/topics/{name}`, `/v1/groups/{name}` | GET, PUT (idempotent), DELETE |
//!
//! [`api`] has the bodies, for the command line as well; what goes wrong is answered as [`api::ErrorBody`].
pub mod api;
mod cluster;
mod groups;
mod health;
mod problem;
mod topics;

use crate::Broker;
use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::get;
use problem::Problem;
use std::sync::Arc;

/// Every path.
pub fn router(broker: Arc<Broker>) -> Router {
    let topic = get(topics::describe).put(topics::put).delete(topics::delete);
    let group = get(groups::describe).put(groups::put).delete(groups::delete);
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/v1/cluster", get(cluster::describe))
        .route("/v1/topics", get(topics::list))
        .route("/v1/topics/{name}", topic)
        .route("/v1/groups", get(groups::list))
        .route("/v1/groups/{name}", group)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(broker)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::missing(format!("there is nothing at {}", uri.path()))
        .hint("paths begin with /v1/topics, /v1/groups or /v1/cluster")
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::method(format!("{} does not take {method}", uri.path()))
}
