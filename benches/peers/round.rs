//! One round: every system once, each on a fresh folder, and the floor.
//!
//! What a round finds is a flat list of named numbers, so that medians are taken of all of them
//! alike. Names are `system.measure_unit`.

use super::floor;
use super::process::Usage;
use super::system::{ECHO, ECHO_SMALL_WINDOWS, Kit, System};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Numbers by name.
pub(crate) type Numbers = BTreeMap<String, f64>;

/// How much is done of each.
pub(crate) struct Amount {
    /// Of one throughput measurement.
    pub(crate) seconds: u64,
    /// Sent one by one before anything is measured.
    pub(crate) warm_messages: u64,
    /// Sent and received before anything is measured.
    pub(crate) warm_fill: u64,
    /// To be received; the time may end first.
    pub(crate) fill: u64,
    /// Of each measurement of the floor.
    pub(crate) floor: Duration,
}

/// The shape of every closed load, in one place.
pub(crate) const LOAD: [&str; 3] = ["--connections=4", "--in-flight=256", "--size=1KiB"];
const GROUPS: [u64; 6] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// A round in progress.
pub(crate) struct Round<'a> {
    pub(crate) kit: &'a Kit,
    pub(crate) amount: &'a Amount,
    pub(crate) numbers: Numbers,
    /// Commands of the load generator, each once.
    pub(crate) commands: &'a mut Vec<String>,
}

impl Round<'_> {
    pub(crate) fn ours(&mut self) -> io::Result<()> {
        let system = self.kit.ours()?;
        self.note("ours.launch_ms", system.launch.as_secs_f64() * 1e3);
        self.warm(&system)?;
        self.send("ours.local", &system, "send")?;
        self.send("ours.async", &system, "send-async")?;
        self.receive("ours", &system)?;
        self.one_by_one("ours", &system)?;
        self.end_to_end("ours", &system)?;
        self.deep("ours", &system)
    }

    pub(crate) fn apache(&mut self) -> io::Result<()> {
        let Some(jars) = self.kit.jars.clone() else { return Ok(()) };
        let system = self.kit.apache(&jars, "SYNC_FLUSH")?;
        self.note("apache.launch_ms", system.launch.as_secs_f64() * 1e3);
        self.warm(&system)?;
        self.send("apache.sync", &system, "send")?;
        self.receive("apache", &system)?;
        self.one_by_one("apache", &system)?;
        self.end_to_end("apache", &system)?;
        drop(system);
        let system = self.kit.apache(&jars, "ASYNC_FLUSH")?;
        self.warm(&system)?;
        self.send("apache.async", &system, "send")
    }

    pub(crate) fn floor(&mut self) -> io::Result<()> {
        let each = self.amount.floor;
        for disk in floor::disk::measure(&self.kit.work, &GROUPS, each)? {
            let name = format!("floor.disk_{}_kib_bytes_per_s", disk.group_bytes >> 10);
            self.note(&name, disk.bytes_per_second);
            if disk.group_bytes == GROUPS[0] {
                self.note("floor.disk_sync_p50_us", as_f64(disk.p50_us));
                self.note("floor.disk_sync_p99_us", as_f64(disk.p99_us));
            }
        }
        let memory = floor::memory::measure(1 << 10, each);
        self.note("floor.memcpy_crc32c_bytes_per_s", memory.bytes_per_second);
        let tcp = floor::tcp::measure(4, 64, each)?;
        self.note("floor.tcp_echo_per_s", tcp.requests_per_second);
        let modes = [("floor.echo", ECHO), ("floor.echo_small_windows", ECHO_SMALL_WINDOWS)];
        for (name, mode) in modes {
            let echo = self.kit.echo(mode)?;
            self.send(name, &echo, "send")?;
            self.deep(name, &echo)?;
        }
        Ok(())
    }

    fn note(&mut self, name: &str, value: f64) {
        self.numbers.insert(name.to_owned(), value);
    }

    fn warm(&mut self, system: &System) -> io::Result<()> {
        let Amount { warm_messages, warm_fill, .. } = self.amount;
        let messages = format!("--messages={warm_messages}");
        self.bench(system, &["send", "warm", &messages], &LOAD)?;
        let fill = format!("--fill={warm_fill}");
        self.bench(system, &["receive", "warm", &fill, "--ack=each", "--duration=10s"], &[])?;
        Ok(())
    }

    fn send(&mut self, name: &str, system: &System, topic: &str) -> io::Result<()> {
        let time = format!("--duration={}s", self.amount.seconds);
        let before = system.processes.wakeups()?;
        let (result, usage) = self.bench(system, &["send", topic, &time, "--warm-up=1s"], &LOAD)?;
        let wakeups = system.processes.wakeups()? - before;
        self.took_all(name, &result, "send")?;
        self.note(&format!("{name}.send_per_s"), number(&result, "send", "messages_per_second"));
        self.latency(name, "send", &result, "send");
        // The server worked for the warm-up too.
        let all = number(&result, "send", "messages_per_second") * as_f64(self.amount.seconds);
        self.note(&format!("{name}.send_server_wakeups"), wakeups / all);
        self.note(&format!("{name}.send_server_cpu_us"), usage.cpu.as_secs_f64() * 1e6 / all);
        self.client(name, "send", &result, all);
        self.memory(name, usage);
        Ok(())
    }

    fn receive(&mut self, name: &str, system: &System) -> io::Result<()> {
        let fill = format!("--fill={}", self.amount.fill);
        // Filled by itself, so that the servers' CPU is that of receiving.
        let batch = ["--batch=32", "--in-flight=16", "--size=1KiB"];
        let messages = format!("--messages={}", self.amount.fill);
        self.bench(system, &["send", "receive", &messages], &batch)?;
        let time = format!("--duration={}s", self.amount.seconds);
        let target = fill.replace("--fill", "--messages");
        let words = ["receive", "receive", &target, &time, "--ack=each", "--receivers=16"];
        let before = system.processes.wakeups()?;
        let (result, usage) = self.bench(system, &words, &["--connections=4"])?;
        let acks = number(&result, "ack", "messages");
        let wakeups = system.processes.wakeups()? - before;
        self.note(&format!("{name}.receive_ack_server_wakeups"), wakeups / acks);
        self.note(
            &format!("{name}.receive_ack_per_s"),
            number(&result, "ack", "messages_per_second"),
        );
        let cpu = usage.cpu.as_secs_f64() * 1e6 / acks;
        self.note(&format!("{name}.receive_ack_server_cpu_us"), cpu);
        self.client(name, "receive_ack", &result, acks);
        self.memory(name, usage);
        Ok(())
    }

    fn one_by_one(&mut self, name: &str, system: &System) -> io::Result<()> {
        let time = format!("--duration={}s", self.amount.seconds);
        let words = ["send", "one", &time, "--warm-up=1s", "--in-flight=1", "--size=1KiB"];
        let (result, _) = self.bench(system, &words, &[])?;
        self.latency(name, "one", &result, "send");
        Ok(())
    }

    fn end_to_end(&mut self, name: &str, system: &System) -> io::Result<()> {
        let time = format!("--duration={}s", self.amount.seconds + 1);
        let words = ["end-to-end", "through", &time, "--warm-up=1s", "--rate=1000", "--size=1KiB"];
        let (result, _) = self.bench(system, &words, &["--receivers=16"])?;
        self.latency(name, "end_to_end", &result, "end_to_end");
        self.note(&format!("{name}.end_to_end_missing"), top(&result, "missing"));
        self.note(&format!("{name}.end_to_end_unserved"), top(&result, "unserved"));
        Ok(())
    }

    /// Batched sends with deep queues, to be read against the disk at the group size that they made,
    /// and against an echo of the same requests.
    fn deep(&mut self, name: &str, system: &System) -> io::Result<()> {
        let time = format!("--duration={}s", self.amount.seconds);
        let words = ["send", "deep", &time, "--warm-up=1s", "--batch=32", "--connections=4"];
        let before = groups(system);
        let (result, usage) = self.bench(system, &words, &["--in-flight=128", "--size=1KiB"])?;
        self.note(&format!("{name}.deep_bytes_per_s"), number(&result, "send", "bytes_per_second"));
        let all = number(&result, "send", "messages_per_second") * as_f64(self.amount.seconds);
        let cpu = usage.cpu.as_secs_f64() * 1e6 / all;
        self.note(&format!("{name}.deep_server_cpu_us"), cpu);
        self.client(name, "deep", &result, all);
        if let (Some((bytes, count)), Some((bytes_before, count_before))) = (groups(system), before)
            && count > count_before
        {
            self.note(
                &format!("{name}.deep_group_bytes"),
                (bytes - bytes_before) / (count - count_before),
            );
        }
        Ok(())
    }

    fn latency(&mut self, name: &str, measure: &str, result: &Value, series: &str) {
        for at in ["p50", "p99", "p999"] {
            let us = result[series]["latency_us"][at].as_f64().unwrap_or(f64::NAN);
            self.note(&format!("{name}.{measure}_{at}_us"), us);
        }
    }

    fn client(&mut self, name: &str, measure: &str, result: &Value, messages: f64) {
        let us = top(result, "client_cpu_seconds") * 1e6 / messages;
        self.note(&format!("{name}.{measure}_client_cpu_us"), us);
    }

    /// The most that was seen under any load.
    fn memory(&mut self, name: &str, usage: Usage) {
        let system = name.split('.').next().unwrap_or(name);
        for (kind, mib) in [("anonymous", usage.anonymous), ("resident", usage.resident)] {
            let entry = self.numbers.entry(format!("{system}.{kind}_mib")).or_default();
            *entry = entry.max(mib);
        }
    }

    /// A refusal would make a rate of something else.
    fn took_all(&self, name: &str, result: &Value, series: &str) -> io::Result<()> {
        let refused = &result[series]["refused"];
        if refused.as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(());
        }
        Err(io::Error::other(format!("{name} refused sends: {refused}")))
    }

    /// Runs the load generator; the servers' CPU time is that of its run, their memory its peak.
    fn bench(
        &mut self,
        system: &System,
        words: &[&str],
        more: &[&str],
    ) -> io::Result<(Value, Usage)> {
        let shown = format!("stratamq bench {} {}", words.join(" "), more.join(" "));
        let shown = shown.trim_end().to_owned();
        if !self.commands.contains(&shown) {
            self.commands.push(shown.clone());
        }
        let before = system.processes.usage()?;
        let mut child = Command::new(&self.kit.stratamq)
            .arg("bench")
            .args(words)
            .args(more)
            .args(["--json", "--timeout=10s", "--endpoint", &system.endpoint])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut peak = Usage::default();
        let status = loop {
            let now = system.processes.usage()?;
            peak.anonymous = peak.anonymous.max(now.anonymous);
            peak.resident = peak.resident.max(now.resident);
            match child.try_wait()? {
                Some(status) => break status,
                None => std::thread::sleep(SAMPLE_EVERY),
            }
        };
        peak.cpu = system.processes.usage()?.cpu - before.cpu;
        let output = child.wait_with_output()?;
        if !status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(io::Error::other(format!("{shown}: {complaint}")));
        }
        Ok((serde_json::from_slice(&output.stdout)?, peak))
    }
}

fn number(result: &Value, series: &str, name: &str) -> f64 {
    result[series][name].as_f64().unwrap_or(f64::NAN)
}

fn top(result: &Value, name: &str) -> f64 {
    result[name].as_f64().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Bytes and number of the groups that the journal has synced, from `/metrics`; `None` where that
/// is not served.
fn groups(system: &System) -> Option<(f64, f64)> {
    let mut socket = TcpStream::connect(system.http.as_ref()?).ok()?;
    write!(socket, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    let value = |end: &str| {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let line = lines.find(|line| {
            let name = line.split([' ', '{']).next().unwrap_or_default();
            name.contains("journal_group_size_bytes") && name.ends_with(end)
        })?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    Some((value("_sum")?, value("_count")?))
}
