//! The cluster as the gateway that answers sees it.

use super::api;
use crate::broker::Broker;
use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use storage::FillState;

pub(super) async fn describe(State(broker): State<Arc<Broker>>) -> Json<api::Cluster> {
    let cluster = broker.catalog.cluster();
    let fill = broker.store.fill();
    let state = match fill.state {
        FillState::Open => "open",
        FillState::RefusingMessages => "refusing messages",
        FillState::RefusingAll => "refusing all",
    };
    Json(api::Cluster {
        name: cluster.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        gateway: broker.settings.gateway.clone(),
        created_ms: cluster.created.0,
        topics: broker.catalog.topics().len(),
        groups: broker.catalog.groups().len(),
        brokers: broker
            .owned
            .all()
            .map(|pg| api::BrokerState {
                name: pg.broker_name.clone(),
                epoch: pg.log.epoch().0.into(),
                log_bytes: pg.log.end().since(pg.id.first_lsn()),
            })
            .collect(),
        journal: api::Journal {
            used_bytes: fill.used,
            capacity_bytes: fill.capacity,
            state: state.to_owned(),
            disk_full: fill.disk_full,
            index_bytes: fill.index.used,
            index_limit_bytes: fill.index.limit,
        },
    })
}
