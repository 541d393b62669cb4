//! What an operator may choose, as data: checked once at the start, then only read.

use crate::listen::TlsFiles;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use storage::collect::CollectSettings;
use storage::reader::{CATCH_UP_BYTES, THREADS};
use storage::tier::compact::CompactionSettings;

/// The smallest journal segment, in bytes. The largest atomic group is a quarter of a segment, and it must hold a
/// request of several messages of 4 MiB.
pub const SEGMENT_BYTES_MIN: u64 = 32 * MIB;
/// Segments that a journal has at least: one being written, two spare, one to free.
pub const SEGMENTS_MIN: u64 = 4;
/// Placement groups of a cluster at most (design: 64 by default in a cluster, 4 embedded).
pub const PLACEMENT_GROUPS_MAX: u32 = 4096;

/// Threads that may read the object store.
const READ_THREADS_MAX: usize = 64;
/// The least that catching up may have under way: a piece as it is read where a cursor is at its fastest.
const CATCH_UP_BYTES_MIN: u64 = 4 * MIB;
/// The longest that a message may wait for its bundle: a journal that never fills still ends up in the store.
const BUNDLE_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

const MIB: u64 = 1 << 20;

/// Everything a gateway is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's name, as `mqadmin -c` takes it.
    pub cluster: String,
    /// This gateway's name in the metadata store; stable over restarts.
    pub gateway: String,
    /// The folder of journal, metadata and certificate.
    pub data: PathBuf,
    /// Where clients are awaited.
    pub listen: Listen,
    /// Names beside addresses, `localhost` and the advertised ones by which the HTTP port may be
    /// reached.
    pub http_names: Vec<String>,
    /// What routes say instead of what the gateway can see of itself.
    pub advertise: Advertise,
    /// The certificate; self-signed and made in `data` when not given.
    pub tls: Option<TlsFiles>,
    /// Placement groups, when the store is created; fixed from then on.
    pub placement_groups: u32,
    /// The journal's size.
    pub journal: JournalSettings,
    /// How what the journal has comes into the object store, and out again.
    pub tiering: TieringSettings,
    /// Whether a consumer group comes to be when a client first names it.
    pub auto_create_groups: bool,
}

/// The four ports. Port 0 takes any free one.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// gRPC clients.
    pub grpc: SocketAddr,
    /// The NameServer role, Remoting.
    pub nameserver: SocketAddr,
    /// The broker role, Remoting.
    pub broker: SocketAddr,
    /// Health and administration.
    pub http: SocketAddr,
}

impl Listen {
    /// The standard ports on `ip`.
    pub fn standard(ip: IpAddr) -> Listen {
        Listen {
            grpc: SocketAddr::new(ip, 8081),
            nameserver: SocketAddr::new(ip, 9876),
            broker: SocketAddr::new(ip, 10911),
            http: SocketAddr::new(ip, 8082),
        }
    }
}

/// Addresses to put into routes.
#[derive(Clone, Debug, Default)]
pub struct Advertise {
    /// For gRPC clients; else the address that they asked for.
    pub grpc: Option<HostPort>,
    /// For Remoting clients; else the address that they reached.
    pub remoting: Option<HostPort>,
}

/// `HOST[:PORT]`, the port defaulting to the one that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, if it differs from the listening one.
    pub port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<HostPort, String> {
        let refused = || format!("{text:?} is no HOST or HOST:PORT");
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(refused)?)),
            None => match text.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                Some(_) if text.parse::<Ipv6Addr>().is_err() => return Err(refused()),
                Some(_) | None => (text, None),
            },
        };
        let unspecified = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
        if host.is_empty() || unspecified {
            return Err(format!("{text:?} is no address that a client could connect to"));
        }
        let port = port.map(u16::from_str).transpose().map_err(|_| refused())?;
        Ok(HostPort { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, None) => f.write_str(host),
            (host, Some(port)) if host.contains(':') => write!(f, "[{host}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

/// The journal's measures, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct JournalSettings {
    /// All segments together; when they are full, sends are refused and nothing is dropped.
    pub capacity: u64,
    /// One segment.
    pub segment_bytes: u64,
    /// Segments that are zeroed ahead of the one being written.
    pub spare_segments: u32,
    /// Memory for the queue indexes; when nine tenths are taken, sends are refused.
    pub index_bytes: u64,
}

impl JournalSettings {
    /// A journal of `capacity` bytes in segments of 64 MiB, or smaller ones where the capacity is small; and the share
    /// of it in memory that its queue indexes may take.
    pub fn of_capacity(capacity: u64) -> JournalSettings {
        let segment_bytes = (capacity / 8).next_power_of_two().clamp(SEGMENT_BYTES_MIN, 64 * MIB);
        let index_bytes = storage::index_bytes_for(capacity);
        JournalSettings { capacity, segment_bytes, spare_segments: 2, index_bytes }
    }
}

/// The way into the object store, and out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TieringSettings {
    /// Bytes of logs that make a bundle.
    pub bundle_bytes: u64,
    /// How long a message waits in the journal, at most, before a bundle with it is uploaded.
    pub bundle_age: Duration,
    /// Bytes of the newest segments that stay in the journal as well, for consumers that are a little behind.
    pub keep_bytes: u64,
    /// Memory for what was read from the store, in bytes.
    pub cache_memory: u64,
    /// Disk for it, below the data folder, in bytes; 0: none.
    pub cache_disk: u64,
    /// Bytes that all who read much of the store, consumers far behind and replays, may have under way together.
    pub catch_up_memory: u64,
    /// Threads that fetch and decode what is read from the store: so many cores it may take.
    pub read_threads: usize,
    /// How the store is kept in shape.
    pub maintenance: MaintenanceSettings,
}

/// How what is in the object store is merged, let go and deleted. An operator chooses the rate; the rest is for tests,
/// which have no hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaintenanceSettings {
    /// Bytes that merges move each second, read and written ones together; `None`: as many as come.
    pub bytes_per_second: Option<u64>,
    /// How often it is looked whether something is to be merged.
    pub look_every: Duration,
    /// How often all of a placement group's manifest is looked over: what is past, and what is in no key summary.
    pub look_over_every: Duration,
    /// How often it is looked what objects keep for nobody.
    pub survey_every: Duration,
    /// The time between two walks through all names, for objects that nothing refers to.
    pub sweep_every: Duration,
    /// When those go.
    pub collect: CollectSettings,
    /// What is merged when.
    pub compaction: CompactionSettings,
    /// How often a snapshot of consumption is made, if there is anything new. Operations before it may go; and a start
    /// replays what comes behind it.
    pub snapshot_every: Duration,
    /// Runs in no key summary for which one is made: a search looks into each of them.
    pub summary_runs: usize,
}

impl Default for MaintenanceSettings {
    /// 64 MiB/s; a look each 5 s, all of it each 5 min, surveys daily, sweeps hourly; summaries of 256 runs on.
    fn default() -> MaintenanceSettings {
        MaintenanceSettings {
            bytes_per_second: Some(64 * MIB),
            look_every: Duration::from_secs(5),
            look_over_every: Duration::from_secs(300),
            survey_every: Duration::from_secs(24 * 3600),
            sweep_every: Duration::from_secs(3600),
            collect: CollectSettings::default(),
            compaction: CompactionSettings::default(),
            snapshot_every: Duration::from_secs(300),
            summary_runs: 256,
        }
    }
}

/// Of the journal, the share that stays though it is in the store: a quarter, and not more than a restart reads in a
/// moment.
const KEEP_BYTES_MAX: u64 = 256 * MIB;

impl TieringSettings {
    /// The defaults beside a journal of this capacity: bundles of 64 MiB, or of what came within 10 s.
    pub fn beside(journal: &JournalSettings) -> TieringSettings {
        TieringSettings {
            bundle_bytes: 64 * MIB,
            bundle_age: Duration::from_secs(10),
            keep_bytes: (journal.capacity / 4).min(KEEP_BYTES_MAX),
            cache_memory: 64 * MIB,
            cache_disk: 0,
            maintenance: MaintenanceSettings::default(),
            catch_up_memory: CATCH_UP_BYTES,
            read_threads: THREADS,
        }
    }
}

impl Default for JournalSettings {
    fn default() -> JournalSettings {
        JournalSettings::of_capacity(1024 * MIB)
    }
}

impl Settings {
    /// The embedded default on the loopback address, with its data in `data`.
    pub fn embedded(data: PathBuf) -> Settings {
        Settings {
            cluster: "DefaultCluster".to_owned(),
            gateway: "gateway-0".to_owned(),
            data,
            listen: Listen::standard(Ipv4Addr::LOCALHOST.into()),
            http_names: Vec::new(),
            advertise: Advertise::default(),
            tls: None,
            placement_groups: 4,
            journal: JournalSettings::default(),
            tiering: TieringSettings::beside(&JournalSettings::default()),
            auto_create_groups: true,
        }
    }

    /// Whether a gateway can be started with these.
    ///
    /// # Errors
    /// A sentence that names the setting and says what it may be.
    pub fn check(&self) -> Result<(), String> {
        let journal = self.journal;
        if self.tiering.bundle_age > BUNDLE_AGE_MAX {
            return Err(format!("bundle age: give at most {} h", BUNDLE_AGE_MAX.as_secs() / 3600));
        }
        if self.tiering.catch_up_memory < CATCH_UP_BYTES_MIN {
            return Err(format!("catch-up memory: give at least {} MiB", CATCH_UP_BYTES_MIN / MIB));
        }
        if !(1..=READ_THREADS_MAX).contains(&self.tiering.read_threads) {
            return Err(format!("read threads: give 1 to {READ_THREADS_MAX}"));
        }
        if journal.segment_bytes < SEGMENT_BYTES_MIN
            || journal.capacity < SEGMENTS_MIN * journal.segment_bytes
        {
            return Err(format!(
                "journal capacity: {} MiB is too small; give at least {} MiB",
                journal.capacity / MIB,
                SEGMENTS_MIN * journal.segment_bytes.max(SEGMENT_BYTES_MIN) / MIB,
            ));
        }
        if !(1..=PLACEMENT_GROUPS_MAX).contains(&self.placement_groups) {
            return Err(format!("placement groups: give 1 to {PLACEMENT_GROUPS_MAX}"));
        }
        let named = |text: &str| {
            (1..=100).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !named(&self.cluster) {
            return Err("cluster name: give 1 to 100 letters, digits, '-', '_' or '.'".to_owned());
        }
        if !named(&self.gateway) {
            return Err("gateway name: give 1 to 100 letters, digits, '-', '_' or '.'".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_told_apart() {
        let parsed = |text: &str| text.parse::<HostPort>().map(|found| (found.host, found.port));
        assert_eq!(parsed("mq.example.org"), Ok(("mq.example.org".into(), None)));
        assert_eq!(parsed("mq.example.org:80"), Ok(("mq.example.org".into(), Some(80))));
        assert_eq!(parsed("[2001:db8::1]:80"), Ok(("2001:db8::1".into(), Some(80))));
        assert_eq!(parsed("2001:db8::1"), Ok(("2001:db8::1".into(), None)));
        for text in ["", ":80", "a:b:c", "host:port", "0.0.0.0", "0.0.0.0:80", "[::]:80", "[::1]80"]
        {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_embedded_default_passes_its_own_check() {
        assert_eq!(Settings::embedded("data".into()).check(), Ok(()));
    }

    #[test]
    fn a_tiny_journal_is_refused_with_the_least_size() {
        let mut settings = Settings::embedded("data".into());
        settings.journal = JournalSettings::of_capacity(MIB);
        assert!(settings.check().unwrap_err().contains("at least 128 MiB"));
        settings.journal = JournalSettings::of_capacity(128 * MIB);
        assert_eq!(settings.check(), Ok(()));
    }
}
