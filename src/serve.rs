//! `stratamq serve`: a gateway with embedded metadata and journal, until SIGTERM.

use crate::log::Log;
use anyhow::{Context, bail};
use clap::Args;
use gateway::listen::TlsFiles;
use gateway::settings::{
    Advertise, HostPort, JournalSettings, Listen, MaintenanceSettings, Settings, TieringSettings,
};
use gateway::tiering::{Locking, ObjectLocks};
use gateway::{Addresses, Gateway, ObjectStore, StartError};
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use storage::env::{Env, Timestamp};
use storage::object::{Bucket, Name, StoreUrl};
use storage::reader::THREADS;

/// The whole stop, from signal to exit.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Start a broker: everything in one process, its data in one folder.
///
/// Clients connect to gRPC port 8081 (TLS or plaintext), mqadmin to the name server on 9876.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stratamq serve                                   on 127.0.0.1, data in ./stratamq-data
  stratamq serve --listen 0.0.0.0 --advertise-remoting mq.example.org
  stratamq serve --journal-capacity 8GiB --data /var/lib/stratamq
  stratamq serve --store s3://mq-prod/eu           sealed data in a bucket of S3
  STRATAMQ_LOG=debug stratamq serve                more in the log: error, warn, info (default), debug

It ends with 0 after SIGTERM or Ctrl-C; with 2 when a setting is wrong, with 1 when anything else is.")]
pub(crate) struct Serve {
    /// Folder of journal, metadata and certificate; made when missing
    #[arg(long, env = "STRATAMQ_DATA", default_value = "stratamq-data", value_name = "DIR")]
    data: PathBuf,
    /// Address to listen on, for all ports but HTTP where it is not loopback
    #[arg(long, env = "STRATAMQ_LISTEN", default_value = "127.0.0.1", value_name = "IP",
        value_parser = parse_ip)]
    listen: IpAddr,
    /// Port of gRPC clients; 0 takes any free one, here and below
    #[arg(long, default_value_t = 8081, value_name = "PORT")]
    grpc_port: u16,
    /// Port of the name server (Remoting)
    #[arg(long, default_value_t = 9876, value_name = "PORT")]
    nameserver_port: u16,
    /// Port of the broker (Remoting)
    #[arg(long, default_value_t = 10911, value_name = "PORT")]
    broker_port: u16,
    /// Port of health and administration (HTTP)
    #[arg(long, default_value_t = 8082, value_name = "PORT")]
    http_port: u16,
    /// Address of the HTTP port, which knows no passwords: --listen where that is loopback, else
    /// loopback
    #[arg(long, value_name = "IP", value_parser = parse_ip)]
    http_listen: Option<IpAddr>,
    /// A host name by which the HTTP port may be asked, beside addresses and localhost; may be
    /// repeated
    #[arg(long = "http-name", value_name = "NAME")]
    http_names: Vec<String>,
    /// What routes name to gRPC clients; else the address that the client used
    #[arg(long, value_name = "HOST[:PORT]")]
    advertise_grpc: Option<HostPort>,
    /// What routes name to Remoting clients; else the address that the client reached
    #[arg(long, value_name = "HOST[:PORT]")]
    advertise_remoting: Option<HostPort>,
    /// Certificate chain, PEM; without it a self-signed one is made
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, requires = "tls_certificate", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Journal size, such as 512MiB or 8GiB; when it is full, sends are refused. Its index takes up to
    /// a thirty-second of it in memory, at least 64 MiB
    #[arg(long, default_value = "1GiB", value_parser = parse_bytes, value_name = "SIZE")]
    journal_capacity: u64,
    /// Object store that sealed data is kept in: a folder, or s3://bucket/prefix; else `store` in the data folder.
    /// Endpoint, region and credentials of a service as the AWS tools find them
    #[arg(long, env = "STRATAMQ_STORE", value_name = "URL")]
    store: Option<StoreUrl>,
    /// How long a message waits in the journal, at most, before it is put into the object store, such as 10s or 500ms
    #[arg(long, default_value = "10s", value_parser = parse_time, value_name = "TIME")]
    bundle_age: Duration,
    /// Bytes that merging objects in the object store moves each second, read and written ones together; 0: no limit
    #[arg(long, default_value = "64MiB", value_parser = parse_bytes, value_name = "SIZE")]
    compaction_rate: u64,
    /// Memory for what is read from the object store
    #[arg(long, default_value = "64MiB", value_parser = parse_bytes, value_name = "SIZE")]
    cache_memory: u64,
    /// Disk for what is read from an object store that is no folder; 0 for none
    #[arg(long, default_value = "1GiB", value_parser = parse_bytes, value_name = "SIZE")]
    cache_disk: u64,
    /// Memory for what consumers far behind and replays have under way from the object store, all together
    #[arg(long, default_value = "256MiB", value_parser = parse_bytes, value_name = "SIZE")]
    catch_up_memory: u64,
    /// Threads that read the object store: so many cores may catching up, replays and searches take
    #[arg(long, default_value_t = THREADS, value_name = "COUNT")]
    read_threads: usize,
    /// Whether a consumer group comes to be when a client first names it
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    auto_create_groups: bool,
    /// Cluster name, as mqadmin -c takes it
    #[arg(long, default_value = "DefaultCluster", value_name = "NAME")]
    cluster: String,
    /// Log lines as JSON
    #[arg(long)]
    pub(crate) log_json: bool,
    #[cfg(feature = "otel")]
    #[command(flatten)]
    pub(crate) traces: crate::traces::TraceFlags,
}

impl Serve {
    /// Where sealed data is kept.
    fn store_url(&self) -> StoreUrl {
        self.store.clone().unwrap_or_else(|| StoreUrl::Folder(self.data.join("store")))
    }

    pub(crate) fn settings(self) -> Settings {
        let address = |port| SocketAddr::new(self.listen, port);
        let http = self.http_listen.unwrap_or_else(|| near(self.listen));
        let journal = JournalSettings::of_capacity(self.journal_capacity);
        let is_folder = matches!(self.store_url(), StoreUrl::Folder(_));
        Settings {
            cluster: self.cluster,
            listen: Listen {
                grpc: address(self.grpc_port),
                nameserver: address(self.nameserver_port),
                broker: address(self.broker_port),
                http: SocketAddr::new(http, self.http_port),
            },
            http_names: self.http_names,
            advertise: Advertise { grpc: self.advertise_grpc, remoting: self.advertise_remoting },
            tls: self
                .tls_certificate
                .zip(self.tls_key)
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            tiering: TieringSettings {
                bundle_age: self.bundle_age,
                cache_memory: self.cache_memory,
                // The pages of a folder are in the kernel's cache already.
                cache_disk: if is_folder { 0 } else { self.cache_disk },
                maintenance: MaintenanceSettings {
                    bytes_per_second: (self.compaction_rate > 0).then_some(self.compaction_rate),
                    ..MaintenanceSettings::default()
                },
                catch_up_memory: self.catch_up_memory,
                read_threads: self.read_threads,
                ..TieringSettings::beside(&journal)
            },
            journal,
            auto_create_groups: self.auto_create_groups,
            ..Settings::embedded(self.data)
        }
    }
}

/// The address itself where only this machine reaches it, else the loopback of its family.
fn near(listen: IpAddr) -> IpAddr {
    match listen {
        near if near.is_loopback() => near,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// Runs the broker until SIGTERM or Ctrl-C. A clean stop is drained and synced, and ends with 0; 2 is a wrong setting,
/// 1 anything else.
pub(crate) fn run(serve: Serve) -> ExitCode {
    match try_run(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A sentence with its causes, for a person; the log has said nothing about it.
            let _ = writeln!(std::io::stderr(), "stratamq serve: {error:#}{}", way_out(&error));
            let wrong_setting =
                matches!(error.downcast_ref::<StartError>(), Some(StartError::Settings(_)));
            ExitCode::from(if wrong_setting { 2 } else { 1 })
        }
    }
}

/// What to do about it, where the error has no word on that.
fn way_out(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref::<StartError>() {
        Some(StartError::Port { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            "; is a broker running already? else choose another port"
        }
        Some(StartError::Journal { .. } | StartError::Metadata { .. })
            if error.root_cause().to_string().ends_with("in use by another process") =>
        {
            "; stop that broker, or give this one a folder of its own with --data"
        }
        Some(_) | None => "",
    }
}

fn try_run(serve: Serve) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("stratamq")
        .build()
        .context("cannot start the runtime")?;
    let clean = {
        let _in_runtime = runtime.enter();
        let log = Log::start(&serve)?;
        let clean = runtime.block_on(serve_until_told(serve));
        log.close();
        clean?
    };
    runtime.shutdown_timeout(Duration::from_millis(100));
    if !clean {
        bail!("the stop took longer than {} s; some work was cut off", STOP_TIME_MAX.as_secs());
    }
    Ok(())
}

async fn serve_until_told(serve: Serve) -> anyhow::Result<bool> {
    let (data, store, env) = (serve.data.clone(), serve.store_url(), Env::system());
    let store = open_store(&store, &env).await?;
    let gateway = Gateway::start(serve.settings(), store, env).await?;
    announce(gateway.addresses(), &data)?;
    told_to_stop().await?;
    tracing::info!("stopping");
    Ok(tokio::time::timeout(STOP_TIME_MAX, gateway.stop()).await.is_ok())
}

/// The object store, with this machine's credentials.
async fn open_store(store: &StoreUrl, env: &Env) -> anyhow::Result<ObjectStore> {
    let access = match store {
        StoreUrl::Folder(_) => None,
        StoreUrl::S3 { .. } => Some(bucket::Access::of_environment(env.clone()).await.for_data()),
    };
    let opened = Bucket::open(store, access, env.clone());
    let fault = |source| StartError::Store { address: store.to_string(), source };
    let bucket = opened.map_err(fault)?;
    // A store that is not there, or does not say, is found out by the gateway's own look at it.
    let locks = bucket::Locks::open(store, env).await.unwrap_or_default();
    let locks = locks.map(|locks| Arc::new(Locks(locks)) as Arc<dyn ObjectLocks>);
    Ok(ObjectStore { bucket, locks })
}

/// The store's locks, as a gateway asks for them.
struct Locks(bucket::Locks);

impl ObjectLocks for Locks {
    fn lock_until<'a>(&'a self, name: &'a Name, until: Timestamp) -> Locking<'a> {
        Box::pin(async move {
            let locked = self.0.lock_until(name, until).await;
            locked.map(drop).map_err(|error| error.to_string())
        })
    }
}

async fn told_to_stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Says where the broker is and what to type next.
fn announce(addresses: &Addresses, data: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let Addresses { grpc, nameserver, broker, http } = addresses;
    let stratamq = as_typed(std::env::args().next());
    let (grpc_near, http_near) = (from_here(*grpc), from_here(*http));
    // The commands look at the standard places by themselves.
    let (grpc_flag, admin_flag) = (
        if is_standard(grpc_near, 8081) {
            String::new()
        } else {
            format!(" --endpoint {grpc_near}")
        },
        if is_standard(http_near, 8082) { String::new() } else { format!(" --admin {http_near}") },
    );
    writeln!(
        out,
        "StrataMQ is up, data in {}

  gRPC clients   {grpc}  (TLS and plaintext)
  name server    {nameserver}
  broker         {broker}
  HTTP           http://{http}/healthz

Try, in another terminal:

  {stratamq} topic create hello{admin_flag}
  {stratamq} message send hello \"first message\"{grpc_flag}
  {stratamq} message receive hello --group readers{grpc_flag}
",
        data.display()
    )?;
    if !http.ip().is_loopback() {
        writeln!(out, "The HTTP port knows no passwords: whoever reaches {http} administers.\n")?;
    }
    out.flush()?;
    Ok(())
}

/// The command as it was typed, where a shell takes it as it is: the folder of the build is on nobody's path.
fn as_typed(program: Option<String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    program
        .filter(|name| name.contains('/') && name.chars().all(plain))
        .unwrap_or_else(|| "stratamq".to_owned())
}

/// An address that a command on this host connects to; `0.0.0.0` is none.
fn from_here(address: SocketAddr) -> SocketAddr {
    let loopback = match address {
        _ if !address.ip().is_unspecified() => return address,
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(loopback, address.port())
}

/// Where the other commands look unless told.
fn is_standard(address: SocketAddr, port: u16) -> bool {
    address == SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "give an address of this machine: 127.0.0.1, or 0.0.0.0 for all".to_owned())
}

/// `512MiB`, `8GiB`, `1073741824`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 =
        digits.trim().parse().map_err(|_| format!("{text:?} is no size; try 512MiB or 8GiB"))?;
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        other => return Err(format!("unknown unit {other:?}; use KiB, MiB, GiB or TiB")),
    };
    number.checked_mul(unit).ok_or_else(|| format!("{text:?} is too large"))
}

/// `10s`, `500ms`, `2m`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is no time; try 10s or 500ms");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| refused())?;
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refused()),
    };
    let time = number.checked_mul(unit).map(Duration::from_millis).ok_or_else(refused)?;
    if time.is_zero() { Err(refused()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administration_stays_on_this_machine_unless_told_otherwise() {
        for (listen, http) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.7", "127.0.0.7"),
            ("0.0.0.0", "127.0.0.1"),
            ("10.0.0.7", "127.0.0.1"),
            ("::", "::1"),
        ] {
            let listen: IpAddr = listen.parse().unwrap();
            assert_eq!(near(listen).to_string(), http);
        }
    }

    #[test]
    fn lines_to_paste_name_the_command_as_it_was_typed() {
        let typed = |name: &str| as_typed(Some(name.to_owned()));
        assert_eq!(typed("target/release/stratamq"), "target/release/stratamq");
        assert_eq!(typed("stratamq"), "stratamq");
        assert_eq!(typed("/a b/stratamq"), "stratamq", "no quoting to get wrong");
        assert_eq!(as_typed(None), "stratamq");
    }

    #[test]
    fn lines_to_paste_name_an_address_that_can_be_reached() {
        let near = |text: &str| from_here(text.parse().unwrap()).to_string();
        assert_eq!(near("0.0.0.0:8081"), "127.0.0.1:8081");
        assert_eq!(near("[::]:8081"), "[::1]:8081");
        assert_eq!(near("192.0.2.1:8081"), "192.0.2.1:8081");
        assert!(!is_standard("192.0.2.1:8081".parse().unwrap(), 8081));
    }

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("8G"), Ok(8 << 30));
        assert_eq!(parse_bytes("100"), Ok(100));
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "s", "10", "1.5s", "0s", "10x"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        for text in ["", "GiB", "1.5GiB", "8GB", "-1", "99999999TiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
