//! A line on standard error, once a second, for who waits.

use super::run::Run;
use super::tally::{Running, as_f64};
use std::io::{IsTerminal as _, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);

/// The line; not drawn where nobody sees it.
pub(super) struct Progress {
    shown: bool,
    name: &'static str,
    last: Duration,
    sent: u64,
    received: u64,
    drawn: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool, name: &'static str) -> Progress {
        let shown = !quiet && std::io::stderr().is_terminal();
        Progress { shown, name, last: Duration::ZERO, sent: 0, received: 0, drawn: false }
    }

    /// Draws the line if its time has come.
    pub(super) fn look(&mut self, elapsed: Duration, run: &Run) {
        if !self.shown || elapsed < self.last + EVERY {
            return;
        }
        let seconds = (elapsed - self.last).as_secs_f64();
        let count = |running: &Running| running.messages.load(Ordering::Relaxed);
        let (sent, received) = (count(&run.sent), count(&run.received));
        let rate = |now: u64, before: u64| as_f64(now - before) / seconds;
        let mut line = format!("{} {:4.0} s", self.name, elapsed.as_secs_f64());
        if run.plan.send.is_some() {
            let rate = rate(sent, self.sent);
            line.push_str(&format!("   sent {sent} ({rate:.0}/s)"));
        }
        if run.plan.receive.is_some() {
            let rate = rate(received, self.received);
            line.push_str(&format!("   acknowledged {received} ({rate:.0}/s)"));
        }
        let refused =
            run.sent.refused.load(Ordering::Relaxed) + run.received.refused.load(Ordering::Relaxed);
        if refused > 0 {
            line.push_str(&format!("   refused {refused}"));
        }
        (self.last, self.sent, self.received, self.drawn) = (elapsed, sent, received, true);
        // It is only a courtesy.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    /// Leaves the terminal clean.
    pub(super) fn end(&mut self) {
        if self.drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
