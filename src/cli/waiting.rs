//! A line on standard error for who waits, at most once a second.

use std::io::{IsTerminal as _, Write};
use std::time::Duration;
use storage::env::Env;

const EVERY: Duration = Duration::from_secs(1);

/// The line; not drawn where nobody sees it.
pub(super) struct Waiting {
    shown: bool,
    env: Env,
    last: Option<Duration>,
    drawn: bool,
}

impl Waiting {
    pub(super) fn new(quiet: bool, env: Env) -> Waiting {
        let shown = !quiet && std::io::stderr().is_terminal();
        Waiting { shown, env, last: None, drawn: false }
    }

    /// Draws the line if its time has come.
    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        let now = self.env.monotonic();
        let is_early = self.last.is_some_and(|last| now < last + EVERY);
        if !self.shown || is_early {
            return;
        }
        (self.last, self.drawn) = (Some(now), true);
        // It is only a courtesy.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", line());
    }

    /// Leaves the terminal clean.
    pub(super) fn end(&mut self) {
        if self.drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
