//! The HTTP front: health, and the administration that command line, console and automation share.
//! JSON in and out.
//!
//! ```text
//! GET    /healthz  /readyz  /openapi.json
//! GET    /v1/cluster  /v1/config
//! GET    /v1/topics          /v1/groups
//! GET    /v1/topics/{name}   /v1/groups/{name}
//! PUT    /v1/topics/{name}   /v1/groups/{name}     201, or 200 if it was there
//! DELETE /v1/topics/{name}   /v1/groups/{name}     204
//! PUT    /v1/topics/{name}/clone                   makes it of another, 201, or 200 if it was there
//! GET    /v1/groups/{name}/progress                 how far a group is
//! GET    /v1/groups/{name}/progress/{topic}
//! PUT    /v1/groups/{name}/progress/{topic}         moves it
//! GET    /v1/messages/{id}                          one message, by its offset message id
//! GET    /v1/topics/{name}/messages                 by key or id
//! GET    /v1/topics/{name}/messages/{broker}/{queue}/{offset}
//! GET    /v1/topics/{name}/tail                     what comes from now on
//! GET    /v1/replays  /v1/replays/{name}            ranges of topics written again elsewhere
//! PUT    /v1/replays/{name}                         begins one; the same again changes nothing
//! PUT    /v1/replays/{name}/pause  .../resume       lets it rest, and go on
//! DELETE /v1/replays/{name}                         ends it; it stays in the list
//! ```
//!
//! A PUT says what shall be: fields left out take their default in a new resource and stay as they
//! are in one that exists, so that repeating it changes nothing. There is no POST: a web page can
//! make a browser send one, but no PUT. `ETag` names the state of a topic's or group's settings,
//! and `If-Match` and `If-None-Match: *` are decided together with the change. Whatever is refused
//! is answered with `{"error", "hint"}`: 400 for what cannot be read, 404 for what does not exist,
//! 409 for what cannot become of what exists, 412 where a condition does not hold, 421 for a Host
//! that is none of ours, 422 for what can never be, 503 for what may be asked again. There is no
//! authentication; the port is meant for the loopback address.
//!
//! [`api`] has the bodies, for the command line as well; `openapi.json` beside this file describes
//! all of it for others, and tests hold it true. This front parses and renders; the rules are the
//! catalog's and the features'.
pub mod api;
mod clones;
mod cluster;
mod condition;
mod config;
mod groups;
mod health;
mod host;
mod messages;
mod metrics;
mod problem;
mod progress;
mod replays;
#[cfg(test)]
mod tests;
mod topics;

use crate::Broker;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, put};
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
        .route("/openapi.json", get(description))
        .route("/v1/cluster", get(cluster::describe))
        .route("/v1/config", get(config::show))
        .route("/v1/topics", get(topics::list))
        .route("/v1/topics/{name}", get(topics::describe).put(topics::put).delete(topics::delete))
        .route("/v1/topics/{name}/clone", put(clones::put))
        .route("/v1/groups", get(groups::list))
        .route("/v1/groups/{name}", get(groups::describe).put(groups::put).delete(groups::delete))
        .route("/v1/groups/{name}/progress", get(progress::of_group))
        .route("/v1/groups/{name}/progress/{topic}", get(progress::of_topic).put(progress::put))
        .route("/v1/messages/{id}", get(messages::by_id))
        .route("/v1/topics/{name}/messages", get(messages::search))
        .route("/v1/topics/{name}/messages/{broker}/{queue}/{offset}", get(messages::by_offset))
        .route("/v1/topics/{name}/tail", get(messages::tail))
        .route("/v1/replays", get(replays::list))
        .route("/v1/replays/{name}", get(replays::show).put(replays::put).delete(replays::cancel))
        .route("/v1/replays/{name}/pause", put(replays::pause))
        .route("/v1/replays/{name}/resume", put(replays::resume))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&broker), host::check))
        .with_state(broker)
}

/// The API for programs (OpenAPI 3.1).
async fn description() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::missing(format!("there is nothing at {}", uri.path()))
        .hint("GET /openapi.json says what there is")
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::method(format!("{} does not take {method}", uri.path()))
        .hint("GET /openapi.json says what each path takes")
}
