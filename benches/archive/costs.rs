//! What it costs to keep what was sent: requests and bytes of the store by what they are for, with
//! bundles that are full and with bundles that are due, of bodies that get smaller and that do not.

use super::broker::Broker;
use super::load::{Body, Load, bench, fill, number};
use super::metrics::{Metrics, READING};
use super::stores::Place;
use super::system::Kit;
use super::{Amount, Numbers, as_f64};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use storage::object::{Kind, Purpose};

const TOPIC: &str = "paid";
const GB: f64 = 1e9;
/// What is sent while bundles are due and not full.
const SLOW_BYTES_PER_S: u64 = 4 << 20;
/// A quarter of it stays local.
const JOURNAL: &str = "--journal-capacity=1GiB";

/// When a bundle is made.
#[derive(Clone, Copy)]
enum Ripe {
    /// At 64 MiB.
    Full,
    /// When its first message has waited long enough.
    Due,
}

/// All four ways.
pub(crate) async fn measure(kit: &Kit, amount: &Amount, numbers: &mut Numbers) -> io::Result<()> {
    for (ripe, when) in [(Ripe::Full, "full"), (Ripe::Due, "due")] {
        for (body, what) in [(Body::Text, "text"), (Body::Noise, "noise")] {
            let note = |key: &str, value: f64| {
                numbers.insert(format!("costs.{when}_{what}_{key}"), value);
            };
            one(kit, amount, (ripe, body), note).await?;
        }
    }
    Ok(())
}

async fn one(
    kit: &Kit,
    amount: &Amount,
    (ripe, body): (Ripe, Body),
    mut note: impl FnMut(&str, f64),
) -> io::Result<()> {
    let (place, store) = Place::folder(kit, "costs-store")?;
    let age = match ripe {
        Ripe::Full => "--bundle-age=5m".to_owned(),
        Ripe::Due => format!("--bundle-age={}s", amount.bundle_seconds),
    };
    let (bytes, bytes_per_s) = match ripe {
        Ripe::Full => (amount.cost_bytes, None),
        Ripe::Due => (SLOW_BYTES_PER_S * amount.bundle_seconds * 3, Some(as_f64(SLOW_BYTES_PER_S))),
    };
    let mut broker = Broker::start(kit, "costs", &place, &[JOURNAL, &age])?;
    broker.create_topic(kit, TOPIC)?;
    let load = Load { topic: TOPIC, bytes, size: 1 << 10, body, bytes_per_s };
    let before = broker.metrics()?;
    fill(&broker.endpoint, load).await?;
    let after = match ripe {
        // The last bundle never fills: what is in the store is what counts.
        Ripe::Full => broker.metrics()?,
        Ripe::Due => broker.wait_until_tiered()?,
    };
    let tiered = |metrics: &Metrics| metrics.sum("stratamq_tiered_bytes_total", &[]);
    let lag = after.sum("stratamq_watermark_lag_bytes", &[("level", "object")]);
    let log_bytes = tiered(&after) - tiered(&before);
    // Of what was sent, the part that is in the store.
    let bodies = load.body_bytes() * log_bytes / (log_bytes + lag);
    note("sent_bytes", load.body_bytes());
    note("stored_bytes_of_bodies", bodies);
    note("log_bytes_per_byte", log_bytes / bodies);
    written(&before, &after, bodies, &mut note);
    note("stored_per_byte", as_f64(size_of(&store)?) / bodies);
    // Everything that was read is forgotten; the page cache is the folder's own matter.
    let folder = broker.kill();
    let broker = Broker::start_in(kit, folder.clone(), &place, &[JOURNAL, &age])?;
    read_back(kit, &broker, load, &mut note)?;
    drop(broker);
    for path in [folder, store] {
        std::fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// Requests per GB of bodies, bytes per byte of them: in all, and for what.
fn written(before: &Metrics, after: &Metrics, bodies: f64, note: &mut impl FnMut(&str, f64)) {
    let requests = |purpose, kind| after.requests(purpose, kind) - before.requests(purpose, kind);
    let sent = |purpose| after.sent(purpose, Kind::Put) - before.sent(purpose, Kind::Put);
    let sum = |kind| Purpose::ALL.iter().map(|purpose| requests(*purpose, kind)).sum::<f64>();
    for kind in Kind::ALL {
        note(&format!("{}s_per_gb", kind.label()), sum(kind) / bodies * GB);
    }
    for purpose in Purpose::ALL {
        let (puts, bytes) = (requests(purpose, Kind::Put), sent(purpose));
        if puts > 0.0 {
            note(&format!("puts_per_gb_{}", purpose.label()), puts / bodies * GB);
            note(&format!("written_per_byte_{}", purpose.label()), bytes / bodies);
        }
    }
    let all = Purpose::ALL.iter().map(|purpose| sent(*purpose)).sum::<f64>();
    note("written_per_byte", all / bodies);
    note("written_per_byte_without_compaction", (all - sent(Purpose::Compaction)) / bodies);
}

/// From front to back by a new group; the newest is still in the journal, so it is a GB of the store
/// that GETs are counted for.
fn read_back(
    kit: &Kit,
    broker: &Broker,
    load: Load<'_>,
    note: &mut impl FnMut(&str, f64),
) -> io::Result<()> {
    let before = broker.metrics()?;
    let messages = format!("--messages={}", load.messages());
    let words = ["receive", TOPIC, "--group=accountant", &messages, "--duration=120s"];
    let read = bench(kit, &broker.endpoint, &[&words[..], &["--connections=4"]].concat())?;
    let after = broker.metrics()?;
    let sum = |what: fn(&Metrics, Purpose, Kind) -> f64| {
        let of = |purpose: &Purpose| {
            what(&after, *purpose, Kind::Get) - what(&before, *purpose, Kind::Get)
        };
        READING.iter().map(of).sum::<f64>()
    };
    let (gets, received) = (sum(Metrics::requests), sum(Metrics::received));
    note("read_bytes_per_s", number(&read, "receive", "bytes_per_second"));
    note("read_store_bytes", received);
    note("read_store_gets", gets);
    if received > 0.0 {
        note("read_gets_per_stored_gb", gets / received * GB);
    }
    Ok(())
}

/// Bytes of all files.
fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        bytes += if kind.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Amazon's list for S3 Standard: dollars a million requests, and a GB and month.
const MILLION_PUTS_DOLLARS: f64 = 5.0;
const MILLION_GETS_DOLLARS: f64 = 0.4;
const GB_MONTH_DOLLARS: f64 = 0.023;
const EXAMPLE_BYTES_PER_S: f64 = 100e6;
const MONTH_S: f64 = 30.0 * 86_400.0;

/// A month at 100 MB/s with what was measured, as Markdown; nothing where it was not.
pub(crate) fn page(numbers: &Numbers) -> String {
    let gb = EXAMPLE_BYTES_PER_S * MONTH_S / GB;
    let mut text = format!(
        "A month of 100 MB/s has {gb:.0} GB. It costs\n\n\
         ```text\n\
         PUTs      GB x PUTs/GB x {MILLION_PUTS_DOLLARS} $ / million\n\
         GETs      GB x (GETs/GB of its own + times read x stored/byte x GETs/stored GB) x \
         {MILLION_GETS_DOLLARS} $ / million\n\
         storage   GB x stored/byte x months kept x {GB_MONTH_DOLLARS} $\n\
         ```\n\n\
         | bundles, bodies | PUTs/GB | GETs/GB | GETs/stored GB read | stored/byte | PUTs, $ | \
         GETs, $, all read once | storage, $, kept a month |\n|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for name in ["full_text", "full_noise", "due_text", "due_noise"] {
        let of = |what: &str| numbers.get(&format!("costs.{name}_{what}")).copied();
        let (Some(puts), Some(gets), Some(stored)) =
            (of("puts_per_gb"), of("gets_per_gb"), of("stored_per_byte"))
        else {
            continue;
        };
        let read = of("read_gets_per_stored_gb");
        let all_gets = gb * (gets + stored * read.unwrap_or(0.0));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {puts:.1} | {gets:.1} | {} | {stored:.2} | {:.2} | {:.2} | {:.0} |",
            name.replace('_', ", "),
            read.map_or_else(|| "-".to_owned(), |read| format!("{read:.1}")),
            gb * puts * MILLION_PUTS_DOLLARS / 1e6,
            all_gets * MILLION_GETS_DOLLARS / 1e6,
            gb * stored * GB_MONTH_DOLLARS,
        );
    }
    text
}
