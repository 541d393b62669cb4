//! `stratamq cluster`.

use super::connect::AdminAddress;
use super::failure::Failure;
use super::print::{Printer, bytes, fields, table, time};
use clap::{Args, Subcommand};
use gateway::admin::api::{BrokerState, Cluster};

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the cluster, its brokers and how full the journal is
    #[command(after_help = "Examples:
  stratamq cluster info
  stratamq cluster info --json | jq .journal
  stratamq cluster info --context prod")]
    Info(Info),
}

#[derive(Args, Debug)]
pub(crate) struct Info {
    #[command(flatten)]
    address: AdminAddress,
}

impl ClusterCommand {
    pub(super) fn json(&self) -> bool {
        let ClusterCommand::Info(info) = self;
        info.address.json
    }
}

pub(super) async fn execute(command: ClusterCommand, printer: &mut Printer) -> Result<(), Failure> {
    let ClusterCommand::Info(info) = command;
    let cluster: Cluster = info.address.open()?.get("/v1/cluster").await?;
    printer.show(&cluster, || described(&cluster))
}

fn described(cluster: &Cluster) -> String {
    let journal = &cluster.journal;
    let share = journal.used_bytes.saturating_mul(100) / journal.capacity_bytes.max(1);
    let (used, capacity) = (bytes(journal.used_bytes), bytes(journal.capacity_bytes));
    let (index, index_limit) = (bytes(journal.index_bytes), bytes(journal.index_limit_bytes));
    let mut state = journal.state.clone();
    if journal.disk_full {
        state.push_str(", and the disk is full");
    }
    let pairs = [
        ("cluster", cluster.name.clone()),
        ("version", cluster.version.clone()),
        ("gateway", cluster.gateway.clone()),
        ("created", time(cluster.created_ms)),
        ("topics", cluster.topics.to_string()),
        ("groups", cluster.groups.to_string()),
        ("journal", format!("{used} of {capacity} ({share} %), {state}")),
        ("queue index", format!("{index} of {index_limit} of memory")),
    ];
    let row = |broker: &BrokerState| {
        vec![broker.name.clone(), broker.epoch.to_string(), bytes(broker.log_bytes)]
    };
    let rows: Vec<Vec<String>> = cluster.brokers.iter().map(row).collect();
    format!("{}\n{}", fields(&pairs), table(&["BROKER", "EPOCH", "WRITTEN"], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::admin::api::Journal;

    #[test]
    fn a_cluster_reads_in_units_that_people_use() {
        let broker = BrokerState { name: "strata-0000".into(), epoch: 2, log_bytes: 3 << 20 };
        let journal = Journal {
            used_bytes: 512 << 20,
            capacity_bytes: 1 << 30,
            state: "open".into(),
            disk_full: false,
            index_bytes: 3 << 20,
            index_limit_bytes: 64 << 20,
        };
        let text = described(&Cluster {
            name: "DefaultCluster".into(),
            version: "0.1.0".into(),
            gateway: "gateway-0".into(),
            created_ms: 0,
            topics: 2,
            groups: 1,
            brokers: vec![broker],
            journal,
        });
        assert!(text.contains("journal      512.0 MiB of 1.0 GiB (50 %), open\n"), "{text}");
        assert!(text.contains("queue index  3.0 MiB of 64.0 MiB of memory\n"), "{text}");
        assert!(text.ends_with("strata-0000      2  3.0 MiB\n"), "{text}");
    }
}
