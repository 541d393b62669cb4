//! What a message costs by counting, which a busy machine does not move: system calls of ours under
//! strace, allocations and copied bytes as `tests/guard.rs` finds them. Once for a run.

use super::round::{LOAD, Numbers};
use super::system::{Kit, System};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const MESSAGES: u32 = 40_000;
/// Told apart by name; all others are in the sum.
const NAMED: [&str; 6] = ["futex", "fdatasync", "pwrite64", "writev", "recvfrom", "epoll_wait"];
/// Until strace has every thread.
const ATTACHED: Duration = Duration::from_secs(1);

/// Ours only.
pub(crate) fn measure(kit: &Kit, numbers: &mut Numbers) -> io::Result<()> {
    guard(numbers)?;
    if Command::new("strace").arg("-V").output().is_err() {
        return writeln!(io::stderr(), "SKIPPED system calls a message: strace is missing");
    }
    let system = kit.ours()?;
    for (name, topic) in [("ours.local", "send"), ("ours.async", "send-async")] {
        let messages = format!("--messages={MESSAGES}");
        let words = [&["bench", "send", topic, &messages], &LOAD[..]].concat();
        counted(kit, &system, &format!("{name}.send"), &words, numbers)?;
    }
    let fill = format!("--messages={MESSAGES}");
    let words = ["bench", "send", "receive", &fill, "--batch=32", "--in-flight=16", "--size=1KiB"];
    bench(kit, &system, &words)?;
    let words = ["bench", "receive", "receive", &fill, "--duration=20s", "--ack=each"];
    let words = [&words[..], &["--receivers=16", "--connections=4"]].concat();
    counted(kit, &system, "ours.receive_ack", &words, numbers)
}

/// Runs the load with strace attached, and notes calls a message.
fn counted(
    kit: &Kit,
    system: &System,
    name: &str,
    words: &[&str],
    numbers: &mut Numbers,
) -> io::Result<()> {
    let Some(pid) = system.processes.last_pid() else { return Ok(()) };
    let summary = kit.work.join("strace");
    let mut tracer = Command::new("strace")
        .args(["-c", "-f", "-p", &pid.to_string(), "-o"])
        .arg(&summary)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(ATTACHED);
    let ran = bench(kit, system, words);
    end(&mut tracer)?;
    ran?;
    let text = std::fs::read_to_string(&summary)?;
    let calls = |of: &str| {
        let line = text.lines().find(|line| line.split_whitespace().last() == Some(of));
        let calls = line.and_then(|line| line.split_whitespace().nth(3));
        calls.and_then(|calls| calls.parse::<f64>().ok())
    };
    let mut note = |what: &str, calls: f64| {
        numbers.insert(format!("{name}_syscalls{what}"), calls / f64::from(MESSAGES));
    };
    if let Some(all) = calls("total") {
        note("", all);
    }
    for of in NAMED {
        note(&format!("_{of}"), calls(of).unwrap_or(0.0));
    }
    Ok(())
}

fn bench(kit: &Kit, system: &System, words: &[&str]) -> io::Result<()> {
    kit.stratamq(&[words, &["--timeout=20s", "--json", "--endpoint", &system.endpoint]].concat())
}

/// It writes its summary when it is interrupted.
fn end(tracer: &mut Child) -> io::Result<()> {
    if let Ok(pid) = libc::pid_t::try_from(tracer.id()) {
        // SAFETY: a signal to a child that was not yet waited for.
        #[expect(unsafe_code, reason = "the standard library sends SIGKILL only")]
        unsafe {
            libc::kill(pid, libc::SIGINT);
        }
    }
    tracer.wait().map(drop)
}

/// Lines `counted NAME NUMBER` of the guard.
fn guard(numbers: &mut Numbers) -> io::Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["test", "--test", "guard", "--", "--nocapture", "a_message_costs"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()?;
    if !output.status.success() {
        return writeln!(io::stderr(), "SKIPPED allocations and copies: the guard fails");
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for line in text.lines().filter_map(|line| line.strip_prefix("counted ")) {
        if let Some((name, value)) = line.split_once(' ')
            && let Ok(value) = value.parse()
        {
            numbers.insert(format!("ours.{name}"), value);
        }
    }
    Ok(())
}
