//! The `stratamq` command.
fn main() {}
