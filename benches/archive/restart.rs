//! From the launch of a broker that was killed to its first acknowledged send: with a long history,
//! and, as the limit, with none.

use super::broker::Broker;
use super::load::{Body, Load, fill, send_one};
use super::stores::Place;
use super::system::Kit;
use super::{Amount, Numbers};
use std::io;
use std::path::PathBuf;
use std::time::Instant;
use storage::object::{Kind, Purpose};

const HISTORY: &str = "history";
const FRESH: &str = "fresh";
/// As brokers have it by default.
const FLAGS: [&str; 1] = ["--journal-capacity=1GiB"];

/// Kills and starts each several times.
pub(crate) async fn measure(kit: &Kit, amount: &Amount, numbers: &mut Numbers) -> io::Result<()> {
    for (name, bytes) in [("empty", 0), ("history", amount.history_bytes)] {
        let (place, store) = Place::folder(kit, "restart-store")?;
        let broker = Broker::start(kit, "restart", &place, &FLAGS)?;
        broker.create_topic(kit, HISTORY)?;
        broker.create_topic(kit, FRESH)?;
        send_one(&broker.endpoint, FRESH).await?;
        let mut note = |what: &str, value: f64| {
            numbers.insert(format!("restart.{name}_{what}"), value);
        };
        if bytes > 0 {
            let size = 4 << 10;
            let load = Load { topic: HISTORY, bytes, size, body: Body::Noise, bytes_per_s: None };
            note("sent_bytes_per_s", fill(&broker.endpoint, load).await?);
            note("sent_bytes", load.body_bytes());
        }
        // At once: what is not in the store yet is in the journal.
        note("tiered_bytes", broker.metrics()?.sum("stratamq_tiered_bytes_total", &[]));
        let mut folder = broker.kill();
        let mut starts = Vec::new();
        for _ in 0..amount.restarts {
            let (start, left) = restart(kit, &place, folder).await?;
            folder = left;
            starts.push(start);
        }
        starts.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        if let (Some(middle), Some(worst)) = (starts.get((starts.len() - 1) / 2), starts.last()) {
            note("first_send_ms", middle.ms);
            note("first_send_ms_max", worst.ms);
            note("start_gets", middle.gets);
            note("start_received_bytes", middle.received);
        }
        for path in [folder, store] {
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

struct Start {
    ms: f64,
    gets: f64,
    received: f64,
}

async fn restart(kit: &Kit, place: &Place, folder: PathBuf) -> io::Result<(Start, PathBuf)> {
    let began = Instant::now();
    let broker = Broker::start_in(kit, folder, place, &FLAGS)?;
    send_one(&broker.endpoint, FRESH).await?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let metrics = broker.metrics()?;
    let of = |what: fn(&super::metrics::Metrics, Purpose, Kind) -> f64| {
        Purpose::ALL.iter().map(|purpose| what(&metrics, *purpose, Kind::Get)).sum()
    };
    let (gets, received) =
        (of(super::metrics::Metrics::requests), of(super::metrics::Metrics::received));
    Ok((Start { ms, gets, received }, broker.kill()))
}
