//! `GET /metrics`: what Prometheus scrapes. Gathers from the features at the time it is asked,
//! writes every metric of [`names`] once, and keeps nothing.
mod clients;
mod groups;
mod journal;
mod process;
mod store;
mod traffic;

use crate::Broker;
use crate::observe::{CONTENT_TYPE, Exposition, names};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE as HEADER;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The scrape. With many queues it takes milliseconds, so it is written off the runtime.
pub(super) async fn scrape(State(broker): State<Arc<Broker>>) -> Response {
    match tokio::task::spawn_blocking(move || text(&broker)).await {
        Ok(text) => ([(HEADER, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn text(broker: &Broker) -> String {
    let settings = &broker.settings;
    let mut to = Exposition::new(&settings.cluster, &settings.gateway);
    traffic::write(&mut to, broker);
    groups::write(&mut to, broker);
    clients::write(&mut to, broker);
    of_gateway(&mut to, broker);
    journal::write(&mut to, broker);
    store::write(&mut to, broker);
    process::write(&mut to, broker);
    to.into_text()
}

/// What exists, and whether it is served.
fn of_gateway(to: &mut Exposition, broker: &Broker) {
    let ready = broker.ready.load(Ordering::Relaxed);
    to.value(&names::TOPIC_NUMBER, broker.catalog.topics().len());
    to.value(&names::GROUP_NUMBER, broker.catalog.groups().len());
    to.value(&names::BROKER_PERMISSION, if ready { 6 } else { 0 });
    to.value(&names::READY, u8::from(ready));
    to.value(&names::POLLS_PARKED, broker.consume.polls_waiting());
}
