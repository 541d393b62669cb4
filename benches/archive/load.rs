//! The load generator, `stratamq bench`.

use super::system::Kit;
use serde_json::Value;
use std::io;
use std::process::Command;

/// Runs it, and says what it printed.
///
/// # Errors
/// When it fails; with its complaint.
pub(crate) fn bench(kit: &Kit, endpoint: &str, words: &[&str]) -> io::Result<Value> {
    let output = Command::new(&kit.stratamq)
        .arg("bench")
        .args(words)
        .args(["--json", "--timeout=10s", "--endpoint", endpoint])
        .output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("bench {}: {complaint}", words.join(" "))));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A number of a series.
pub(crate) fn number(result: &Value, series: &str, name: &str) -> f64 {
    result[series][name].as_f64().unwrap_or(f64::NAN)
}
