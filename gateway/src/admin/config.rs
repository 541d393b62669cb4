//! The settings that this gateway runs with.

use super::api;
use crate::broker::Broker;
use axum::Json;
use axum::extract::State;
use std::sync::Arc;

pub(super) async fn show(State(broker): State<Arc<Broker>>) -> Json<api::Config> {
    let (settings, at) = (&broker.settings, &broker.addresses);
    Json(api::Config {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: settings.cluster.clone(),
        gateway: settings.gateway.clone(),
        data: settings.data.display().to_string(),
        grpc: at.grpc.to_string(),
        nameserver: at.nameserver.to_string(),
        broker: at.broker.to_string(),
        http: at.http.to_string(),
        http_names: settings.http_names.clone(),
        advertise_grpc: settings.advertise.grpc.as_ref().map(ToString::to_string),
        advertise_remoting: settings.advertise.remoting.as_ref().map(ToString::to_string),
        tls_certificate: settings.tls.as_ref().map(|files| files.certificate.display().to_string()),
        placement_groups: broker.catalog.cluster().pgs,
        journal_capacity_bytes: settings.journal.capacity,
        journal_segment_bytes: settings.journal.segment_bytes,
        auto_create_groups: settings.auto_create_groups,
    })
}
