//! Prints the floor as JSON: `cargo bench --bench floor`. With `--echo-server` it is the gRPC echo,
//! which prints its address and serves until it is killed.
#![expect(clippy::disallowed_methods, reason = "a measurement of the machine asks its clock")]

#[path = "mod.rs"]
mod floor;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

const EACH: Duration = Duration::from_secs(1);
const GROUPS: [u64; 6] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];

fn main() -> std::io::Result<()> {
    if std::env::args().any(|argument| argument == "--echo-server") {
        return floor::echo::serve_until_killed(true);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let results = serde_json::json!({
        "disk": floor::disk::measure(folder, &GROUPS, EACH)?,
        "memory": [floor::memory::measure(1 << 10, EACH), floor::memory::measure(64 << 10, EACH)],
        "tcp": floor::tcp::measure(4, 64, EACH)?,
    });
    writeln!(std::io::stdout(), "{results:#}")
}
