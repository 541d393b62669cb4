//! Where and of what a measurement is.

use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// A look at the machine and the clone.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// Of HEAD; `+` after it where the clone has changes.
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) java: String,
    /// The averages of 1, 5 and 15 minutes.
    pub(crate) load: String,
    /// UTC.
    pub(crate) date: String,
}

impl Machine {
    pub(crate) fn look(root: &Path) -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let git = |arguments: &[&str]| said(Command::new("git").current_dir(root).args(arguments));
        let changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let load = read("/proc/loadavg");
        let commit = git(&["rev-parse", "--short=12", "HEAD"]);
        Machine {
            commit: format!("{commit}{}", if changed { "+" } else { "" }),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            java: said(Command::new("java").arg("--version")),
            load: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
            date: said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"])),
        }
    }
}

/// The first line of what a command prints; empty where it cannot be run.
fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}
