//! Server processes: started with their output in a file, measured through /proc, ended by their
//! ids.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);
/// Between SIGTERM and SIGKILL.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// The processes of one system, in the order of their start.
pub(crate) struct Processes(Vec<Child>);

/// What the kernel says about all of them together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Anonymous resident memory, in MiB.
    pub(crate) anonymous: f64,
    /// And with the pages of mapped files.
    pub(crate) resident: f64,
}

impl Processes {
    pub(crate) fn none() -> Processes {
        Processes(Vec::new())
    }

    pub(crate) fn start(&mut self, mut command: Command, log: &Path) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.0.push(child);
        Ok(())
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let mut all = Usage::default();
        for child in &self.0 {
            let proc = Path::new("/proc").join(child.id().to_string());
            let stat = std::fs::read_to_string(proc.join("stat"))?;
            let status = std::fs::read_to_string(proc.join("status"))?;
            all.cpu += cpu(&stat).ok_or_else(|| io::Error::other("an unknown /proc/PID/stat"))?;
            let mib = |name: &str| first_number(&status, name) / 1024.0;
            all.anonymous += mib("RssAnon:");
            all.resident += mib("RssAnon:") + mib("RssFile:") + mib("RssShmem:");
        }
        Ok(all)
    }

    /// How often their threads went to sleep so far, which is how often they were woken. Not cheap
    /// where there are hundreds of threads.
    pub(crate) fn wakeups(&self) -> io::Result<f64> {
        let mut all = 0.0;
        for child in &self.0 {
            let tasks = Path::new("/proc").join(child.id().to_string()).join("task");
            for task in std::fs::read_dir(tasks)? {
                // One that ended meanwhile is not counted.
                if let Ok(status) = std::fs::read_to_string(task?.path().join("status")) {
                    all += first_number(&status, "voluntary_ctxt_switches:");
                }
            }
        }
        Ok(all)
    }

    /// The one that was started last.
    pub(crate) fn last_pid(&self) -> Option<u32> {
        self.0.last().map(Child::id)
    }

    /// Waits until a socket can be connected to at `port` of the loopback address.
    pub(crate) fn wait_for_port(&mut self, port: u16) -> io::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            self.check()?;
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("port {port} never opened")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until a line of the log begins with `words`.
    pub(crate) fn wait_for_line(&mut self, log: &Path, words: &str) -> io::Result<()> {
        let began = Instant::now();
        while !std::fs::read_to_string(log)?.lines().any(|line| line.starts_with(words)) {
            self.check()?;
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("no line {words:?} in {}", log.display())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Lets go of the last one, which has ended; an error if it has not.
    pub(crate) fn forget_ended(&mut self) -> io::Result<()> {
        match self.0.last_mut().map(Child::try_wait).transpose()?.flatten() {
            Some(_) => self.0.truncate(self.0.len() - 1),
            None => return Err(io::Error::other("a server runs and does not open its port")),
        }
        self.check()
    }

    /// An error if one of them has ended.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        for child in &mut self.0 {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("a server ended with {status}")));
            }
        }
        Ok(())
    }
}

impl Drop for Processes {
    /// The last started first: a proxy lets go of its broker.
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            if let Ok(pid) = libc::pid_t::try_from(child.id()) {
                // SAFETY: a signal to a child that was not yet waited for.
                #[expect(unsafe_code, reason = "the standard library sends SIGKILL only")]
                unsafe {
                    libc::kill(pid, libc::SIGTERM);
                }
            }
            let began = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && began.elapsed() < STOP_TIME_MAX {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// User and system time, fields 14 and 15 of /proc/PID/stat.
fn cpu(stat: &str) -> Option<Duration> {
    /// USER_HZ is 100 on every architecture that Rust supports on Linux.
    const TICK: Duration = Duration::from_millis(10);
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(TICK * (user + system))
}

/// The number of a line of /proc/PID/status, memory in KiB; 0 where there is no such line.
fn first_number(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
