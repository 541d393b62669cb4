//! How far a cursor reads ahead.

use std::time::Duration;

/// A window at the beginning, and the least.
pub(super) const WINDOW_BYTES: u64 = 512 << 10;
/// The widest.
pub(super) const WINDOW_BYTES_MAX: u64 = 32 << 20;
/// Requests that one cursor has under way.
pub(super) const PIECES_MAX: usize = 8;
/// Bytes of one request, where no block is larger: with the widest window eight of them.
pub(super) const PIECE_BYTES_MAX: u64 = WINDOW_BYTES_MAX / PIECES_MAX as u64;
/// How long a window does not grow after some of it was read in vain.
const COOL_DOWN: Duration = Duration::from_secs(60);

/// A window that grows with what is consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    bytes: u64,
    /// Since it has this width.
    consumed: u64,
    grows_from: Duration,
}

impl Window {
    pub(super) const fn new() -> Window {
        Window { bytes: WINDOW_BYTES, consumed: 0, grows_from: Duration::ZERO }
    }

    /// Its width.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that one request is to have.
    pub(super) fn piece_bytes(&self) -> u64 {
        (self.bytes / PIECES_MAX as u64).clamp(WINDOW_BYTES, PIECE_BYTES_MAX)
    }

    /// Bytes were given out. A window that was consumed as a whole is doubled.
    pub(super) fn consume(&mut self, bytes: u64, now: Duration) {
        self.consumed += bytes;
        if self.consumed >= self.bytes && now >= self.grows_from {
            self.bytes = (2 * self.bytes).min(WINDOW_BYTES_MAX);
            self.consumed = 0;
        }
    }

    /// What was read ahead was dropped before anybody took it.
    pub(super) fn waste(&mut self, now: Duration) {
        self.bytes = (self.bytes / 2).max(WINDOW_BYTES);
        self.consumed = 0;
        self.grows_from = now + COOL_DOWN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_while_it_is_consumed_up_to_a_bound() {
        let mut window = Window::new();
        let mut widths = vec![window.bytes() >> 10];
        for _ in 0..8 {
            window.consume(window.bytes() - 1, Duration::ZERO);
            assert_eq!(window.bytes() >> 10, *widths.last().unwrap());
            window.consume(1, Duration::ZERO);
            widths.push(window.bytes() >> 10);
        }
        assert_eq!(widths, [512, 1024, 2048, 4096, 8192, 16384, 32768, 32768, 32768]);
        assert_eq!(window.piece_bytes(), 4 << 20);
        assert_eq!(Window::new().piece_bytes(), 512 << 10);
    }

    #[test]
    fn waste_halves_it_and_cools_it_down() {
        let mut window = Window::new();
        for _ in 0..3 {
            window.consume(window.bytes(), Duration::ZERO);
        }
        window.waste(Duration::from_secs(10));
        assert_eq!(window.bytes(), 2 << 20);
        window.consume(100 << 20, Duration::from_secs(69));
        assert_eq!(window.bytes(), 2 << 20);
        window.consume(1, Duration::from_secs(70));
        assert_eq!(window.bytes(), 4 << 20);
        (0..9).for_each(|_| window.waste(Duration::ZERO));
        assert_eq!(window.bytes(), WINDOW_BYTES);
    }
}
