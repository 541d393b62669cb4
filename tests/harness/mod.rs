//! A broker as a process of its own, for the suites that need a whole one.
#![expect(dead_code, reason = "each suite takes the part that it needs")]

pub(crate) mod history;
pub(crate) mod s3;
pub(crate) mod shell;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a start or stop may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const FREE_PORTS: [&str; 4] =
    ["--grpc-port=0", "--nameserver-port=0", "--broker-port=0", "--http-port=0"];

/// The object store of the broker whose data is in `data`: a folder in it or, where the run is given
/// a service, a place of its own there.
pub(crate) fn store_of(data: &Path) -> String {
    let Ok(service) = std::env::var("STRATAMQ_TEST_STORE") else {
        return data.join("store").display().to_string();
    };
    let mut place = DefaultHasher::new();
    data.hash(&mut place);
    format!("{service}/{}-{:016x}", std::process::id(), place.finish())
}

/// A running broker on free ports. Killed when dropped.
pub(crate) struct Broker {
    child: Child,
    addresses: Addresses,
}

#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub(crate) struct Addresses {
    pub(crate) grpc: SocketAddr,
    pub(crate) nameserver: SocketAddr,
    pub(crate) broker: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Broker {
    /// Starts a broker whose data is in `data`, and waits until it serves.
    pub(crate) fn start(data: &Path) -> Broker {
        Broker::start_with(data, &[])
    }

    /// The same with more flags.
    pub(crate) fn start_with(data: &Path, flags: &[&str]) -> Broker {
        let written = data.join("addresses.json");
        // What an earlier process wrote would be believed otherwise.
        let _ = std::fs::remove_file(&written);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data.with_extension("log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_stratamq"))
            .args(["serve", "--data"])
            .arg(data)
            .args(
                (!flags.iter().any(|flag| flag.starts_with("--store")))
                    .then(|| ["--store".to_owned(), store_of(data)])
                    .into_iter()
                    .flatten(),
            )
            .args(if flags.iter().any(|flag| flag.contains("-port=")) {
                &[][..]
            } else {
                &FREE_PORTS
            })
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut broker = Broker { child, addresses: Addresses::none() };
        broker.addresses = wait_for("the broker to serve", || {
            if let Some(status) = broker.child.try_wait().unwrap() {
                let log = std::fs::read_to_string(data.with_extension("log")).unwrap_or_default();
                panic!("the broker ended with {status}:\n{log}");
            }
            let text = std::fs::read(&written).ok()?;
            serde_json::from_slice(&text).ok()
        });
        broker
    }

    /// Starts again where `before` was, so that clients find it; with more flags.
    pub(crate) fn start_again(data: &Path, before: Addresses, flags: &[&str]) -> Broker {
        let port = |name: &str, address: SocketAddr| format!("--{name}-port={}", address.port());
        let ports = [
            port("grpc", before.grpc),
            port("nameserver", before.nameserver),
            port("broker", before.broker),
            port("http", before.http),
        ];
        let ports = ports.each_ref().map(String::as_str);
        Broker::start_with(data, &[&ports[..], flags].concat())
    }

    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs an operator's command against this broker; it must succeed.
    pub(crate) fn command(&self, words: &[&str]) {
        let status = Command::new(env!("CARGO_BIN_EXE_stratamq"))
            .args(words)
            .env("STRATAMQ_ADMIN", self.addresses.http.to_string())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{words:?}");
    }

    /// SIGKILL: nothing is drained, nothing is synced.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns how long the process took and its exit code.
    pub(crate) fn stop(mut self) -> (Duration, Option<i32>) {
        let began = Instant::now();
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: a signal to a child that was not yet waited for.
        #[expect(unsafe_code, reason = "the standard library sends SIGKILL only")]
        unsafe {
            libc::kill(pid, libc::SIGTERM);
        }
        let status = wait_for("the broker to stop", || self.child.try_wait().unwrap());
        (began.elapsed(), status.code())
    }

    /// Whether the process is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Addresses {
    fn none() -> Addresses {
        let none = SocketAddr::from(([127, 0, 0, 1], 0));
        Addresses { grpc: none, nameserver: none, broker: none, http: none }
    }
}

/// Looks every few milliseconds until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the long suites were asked for (`tests/run --long`).
pub(crate) fn long() -> bool {
    std::env::var("STRATAMQ_TEST_LONG").is_ok_and(|value| !value.is_empty())
}

/// A folder of a test's own inside the build folder, so that its files lie on the disk that is built on.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
