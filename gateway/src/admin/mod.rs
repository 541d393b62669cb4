//! The HTTP front: health, and the administration that command line, console and automation share.
//! JSON in and out.
//!
//! ```text
//! GET    /healthz  /readyz  /metrics               the last as Prometheus' text
//! GET    /v1/cluster
//! GET    /v1/topics          /v1/groups
//! GET    /v1/topics/{name}   /v1/groups/{name}
//! PUT    /v1/topics/{name}   /v1/groups/{name}     201, or 200 if it was there
//! DELETE /v1/topics/{name}   /v1/groups/{name}     204
//! ```
//!
//! A PUT says what shall be: fields left out take their default in a new resource and stay as they
//! are in one that exists, so that repeating it changes nothing. Whatever is refused is answered
//! with `{"error", "hint"}`: 400 for a body that is not JSON, 404 for what does not exist, 409 for
//! what cannot become of what exists, 412 for
//! what exists and should not (`If-None-Match: *`), 422 for what can never
//! be, 503 for what may be asked again. There is no authentication; the port is meant for the
//! loopback address.
//!
//! [`api`] has the bodies, for the command line as well. This front parses and renders; the rules
//! are the catalog's.
pub mod api;
mod cluster;
mod groups;
mod health;
mod metrics;
mod problem;
mod topics;

use crate::Broker;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::routing::get;
use problem::Problem;
use std::sync::Arc;

/// A topic with a hundred long attributes stays far below this.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Everything that the HTTP port answers.
pub fn router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::scrape))
        .route("/v1/cluster", get(cluster::describe))
        .route("/v1/topics", get(topics::list))
        .route("/v1/topics/{name}", get(topics::describe).put(topics::put).delete(topics::delete))
        .route("/v1/groups", get(groups::list))
        .route("/v1/groups/{name}", get(groups::describe).put(groups::put).delete(groups::delete))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(broker)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::missing(format!("there is nothing at {}", uri.path()))
        .hint("GET /v1/topics, /v1/groups and /v1/cluster say what there is")
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::method(format!("{} does not take {method}", uri.path()))
        .hint("lists and the cluster take GET; one topic or group takes GET, PUT and DELETE")
}
