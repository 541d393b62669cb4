//! A broker of ours in a process of its own.

use super::fresh;
use super::process::Processes;
use super::system::Kit;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);
const PORTS: [&str; 4] =
    ["--grpc-port=0", "--nameserver-port=0", "--broker-port=0", "--http-port=0"];

/// A running one.
pub(crate) struct Broker {
    pub(crate) processes: Processes,
    pub(crate) endpoint: String,
    http: String,
}

impl Broker {
    /// Starts on an empty folder.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub(crate) fn start(kit: &Kit, name: &str, flags: &[&str]) -> io::Result<Broker> {
        let folder = fresh(&kit.work, name)?;
        Broker::start_again(kit, &folder, flags)
    }

    /// Starts on what is in the folder.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub(crate) fn start_again(kit: &Kit, folder: &Path, flags: &[&str]) -> io::Result<Broker> {
        let data = folder.join("data");
        let written = data.join("addresses.json");
        // What an earlier process wrote would be believed otherwise.
        let _ = std::fs::remove_file(&written);
        let began = Instant::now();
        let mut command = Command::new(&kit.stratamq);
        command.arg("serve").args(PORTS).arg("--data").arg(&data).args(flags);
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
        Ok(Broker { processes, endpoint: address("grpc"), http: address("http") })
    }

    /// A topic of eight queues.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn create_topic(&self, kit: &Kit, topic: &str) -> io::Result<()> {
        kit.stratamq(&["topic", "create", topic, "--queues", "8", "--admin", &self.http])
    }
}
