//! The process, as `/proc` shows it. Where there is no `/proc` these metrics have no samples.

use crate::Broker;
use crate::observe::Exposition;
use crate::observe::names;
use std::fs;

/// Clock ticks a second in `/proc`: `USER_HZ`, which Linux fixes at 100 for user space.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn write(to: &mut Exposition, broker: &Broker) {
    to.family(&names::BUILD_INFO).value(&[env!("CARGO_PKG_VERSION")], 1);
    to.value(&names::START_TIME, broker.stats.started().0 as f64 / 1000.0);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (metric, field) in
        [(&names::RESIDENT_MEMORY, "VmRSS:"), (&names::ANONYMOUS_MEMORY, "RssAnon:")]
    {
        let mut family = to.family(metric);
        if let Some(kibibytes) = number(&status, field) {
            family.value(&[], kibibytes * 1024);
        }
    }
    let mut family = to.family(&names::CPU_SECONDS);
    if let Some(ticks) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_ticks) {
        family.value(&[], ticks as f64 / TICKS_PER_SECOND);
    }
    let mut family = to.family(&names::OPEN_FILES);
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder that is being read.
        family.value(&[], open.count().saturating_sub(1));
    }
}

/// The first number behind `field` at the beginning of a line.
fn number(status: &str, field: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// User and system time: fields 14 and 15 of `/proc/self/stat` (proc(5)). The second field is the
/// command's name in parentheses, in which there may be anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(field(11)? + field(12)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_whatever_the_command_is_called() {
        let status = "Name:\tx\nVmRSS:\t  12 kB\nRssAnon:\t    7 kB\n";
        assert_eq!(number(status, "RssAnon:"), Some(7));
        assert_eq!(number(status, "VmHWM:"), None);
        let stat = "1 (a) b (c) S 2 3 4 5 6 7 8 9 10 11 140 60 0 0 20 0 1";
        assert_eq!(cpu_ticks(stat), Some(200));
    }
}
