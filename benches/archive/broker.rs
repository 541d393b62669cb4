//! A broker of ours in a process of its own.

use super::fresh;
use super::load::said;
use super::metrics::Metrics;
use super::process::Processes;
use super::stores::Place;
use super::system::Kit;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);
const PORTS: [&str; 4] =
    ["--grpc-port=0", "--nameserver-port=0", "--broker-port=0", "--http-port=0"];

/// A running one.
pub(crate) struct Broker {
    pub(crate) processes: Processes,
    pub(crate) endpoint: String,
    pub(crate) http: String,
    folder: PathBuf,
}

impl Broker {
    /// Starts on an empty folder, with its sealed data in `place`.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub(crate) fn start(
        kit: &Kit,
        name: &str,
        place: &Place,
        flags: &[&str],
    ) -> io::Result<Broker> {
        Broker::start_in(kit, fresh(&kit.work, name)?, place, flags)
    }

    /// Kills it with SIGKILL; what [`Broker::start_in`] starts on.
    pub(crate) fn kill(self) -> PathBuf {
        if let Some(pid) = self.processes.last_pid().and_then(|pid| pid.try_into().ok()) {
            // SAFETY: a signal to a child that was not yet waited for.
            #[expect(unsafe_code, reason = "the standard library's kill needs the child itself")]
            unsafe {
                libc::kill(pid, libc::SIGKILL);
            }
        }
        // What is dropped waits for its end.
        self.folder
    }

    /// Starts on what is in the folder.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub(crate) fn start_in(
        kit: &Kit,
        folder: PathBuf,
        place: &Place,
        flags: &[&str],
    ) -> io::Result<Broker> {
        let data = folder.join("data");
        let written = data.join("addresses.json");
        // What an earlier process wrote would be believed otherwise.
        let _ = std::fs::remove_file(&written);
        let began = Instant::now();
        let mut command = Command::new(&kit.stratamq);
        command.arg("serve").args(PORTS).arg("--data").arg(&data).args(flags);
        command.args(["--store", &place.url]).envs(place.variables.iter().cloned());
        let mut processes = Processes::none();
        processes.start(command, &folder.join("log"))?;
        let addresses = loop {
            if let Ok(text) = std::fs::read(&written) {
                break serde_json::from_slice::<serde_json::Value>(&text)?;
            }
            processes.check()?;
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("ours never served"));
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let address = |name: &str| addresses[name].as_str().unwrap_or_default().to_owned();
        Ok(Broker { processes, endpoint: address("grpc"), http: address("http"), folder })
    }

    /// Waits until the store has all that was sent, and has let go of what is old.
    ///
    /// # Errors
    /// When that takes too long.
    pub(crate) fn wait_until_tiered(&mut self) -> io::Result<Metrics> {
        let began = Instant::now();
        loop {
            let metrics = self.metrics()?;
            let object = [("level", "object")];
            if metrics.sum("stratamq_watermark_lag_bytes", &object) == 0.0
                && metrics.sum("stratamq_tiered_bytes_total", &[]) > 0.0
            {
                return Ok(metrics);
            }
            self.processes.check()?;
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("the store never got everything"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn metrics(&self) -> io::Result<Metrics> {
        Metrics::read(&self.http)
    }

    /// CPU seconds that it took so far.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn cpu(&self) -> io::Result<f64> {
        Ok(self.processes.usage()?.cpu.as_secs_f64())
    }

    /// Asks its administration; what is printed as JSON.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn admin(&self, kit: &Kit, words: &[&str]) -> io::Result<serde_json::Value> {
        said(kit, &[words, &["--json", "--admin", &self.http]].concat())
    }

    /// A topic of eight queues.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn create_topic(&self, kit: &Kit, topic: &str) -> io::Result<()> {
        kit.stratamq(&["topic", "create", topic, "--queues", "8", "--admin", &self.http])
    }
}
