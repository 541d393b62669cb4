//! What a growing counter showed at the last two midnights, as RocketMQ's runtime info has it.
//! Pure.

use storage::env::Timestamp;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A counter at the beginning of a day, UTC; 0 where the process did not count yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mornings {
    /// When yesterday began (`msgPutTotalYesterdayMorning`).
    pub yesterday: u64,
    /// When today began (`msgPutTotalTodayMorning`).
    pub today: u64,
}

/// The mornings of one counter.
#[derive(Debug, Default)]
pub(super) struct Days {
    day: Option<u64>,
    mornings: Mornings,
}

impl Days {
    /// Takes note that the counter shows `count` at `now`; called several times a day. A clock that
    /// goes back a day starts no day anew.
    pub(super) fn see(&mut self, now: Timestamp, count: u64) {
        let day = now.0 / DAY_MS;
        self.mornings = match self.day {
            None => Mornings::default(),
            Some(known) if day <= known => return,
            Some(known) if day == known + 1 => {
                Mornings { yesterday: self.mornings.today, today: count }
            }
            Some(_) => Mornings { yesterday: count, today: count },
        };
        self.day = Some(day);
    }

    pub(super) fn mornings(&self) -> Mornings {
        self.mornings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_moves_today_to_yesterday() {
        let mut days = Days::default();
        let at = |day: u64, hour: u64| Timestamp(day * DAY_MS + hour * 3_600_000);
        days.see(at(7, 3), 0);
        days.see(at(7, 23), 100);
        assert_eq!(days.mornings(), Mornings { yesterday: 0, today: 0 });
        days.see(at(8, 0), 120);
        days.see(at(8, 9), 300);
        assert_eq!(days.mornings(), Mornings { yesterday: 0, today: 120 });
        days.see(at(9, 0), 310);
        assert_eq!(days.mornings(), Mornings { yesterday: 120, today: 310 });
        days.see(at(8, 23), 320);
        assert_eq!(days.mornings(), Mornings { yesterday: 120, today: 310 });
    }

    #[test]
    fn days_without_a_look_had_no_traffic_of_their_own() {
        let mut days = Days::default();
        days.see(Timestamp(0), 0);
        days.see(Timestamp(5 * DAY_MS), 50);
        assert_eq!(days.mornings(), Mornings { yesterday: 50, today: 50 });
    }
}
