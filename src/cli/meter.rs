//! A line on standard error for who waits for long work: how much is done, of how much.

use std::io::{IsTerminal, Write};
use std::time::Duration;
use storage::env::Env;

/// The line is drawn again at most this often.
const EVERY: Duration = Duration::from_millis(200);
/// Characters of the bar.
const WIDTH: u64 = 24;

/// Draws nothing where nobody sees it, nor for work that is done at once.
pub(super) struct Meter {
    env: Env,
    verb: &'static str,
    /// `None` where nobody knows.
    total: Option<u64>,
    shown: bool,
    next: Duration,
    drawn: bool,
}

impl Meter {
    pub(super) fn new(verb: &'static str, total: Option<u64>, json: bool) -> Meter {
        let env = Env::system();
        // Results on the same terminal would be mixed up with the line.
        let shown = !json && std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
        let next = env.monotonic() + EVERY;
        Meter { env, verb, total, shown, next, drawn: false }
    }

    /// The same, for work that prints nothing before its end.
    pub(super) fn alone(mut self, json: bool) -> Meter {
        self.shown = !json && std::io::stderr().is_terminal();
        self
    }

    /// There is so much to do; 0 where nobody knows.
    pub(super) fn of(&mut self, total: u64) {
        self.total = Some(total);
    }

    /// So much is done.
    pub(super) fn at(&mut self, done: u64) {
        let now = self.env.monotonic();
        if !self.shown || now < self.next {
            return;
        }
        (self.next, self.drawn) = (now + EVERY, true);
        // It is only a courtesy.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", line(self.verb, done, self.total));
    }
}

/// Leaves the terminal clean.
impl Drop for Meter {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(verb: &str, done: u64, total: Option<u64>) -> String {
    let Some(total) = total.filter(|total| *total > 0) else { return format!("{verb} {done}") };
    let filled = (u128::from(done.min(total)) * u128::from(WIDTH) / u128::from(total)) as usize;
    let rest = WIDTH as usize - filled;
    format!("{verb} [{}{}] {done} of {total}", "#".repeat(filled), " ".repeat(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_of_how_much() {
        assert_eq!(line("sent", 7, None), "sent 7");
        assert_eq!(line("sent", 5, Some(10)), "sent [############            ] 5 of 10");
        let over = line("sent", 30, Some(10));
        assert!(over.starts_with("sent [########################]"), "{over}");
    }
}
