//! Moments as HTTP and as S3's XML write them.

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Moment {
    days: u64,
    year: u64,
    month: usize,
    day: u64,
    clock: [u64; 3],
}

impl Moment {
    fn of(time: SystemTime) -> Moment {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        // Howard Hinnant's civil_from_days, for days after 1970: years begin in March.
        let from_march = days + 719_468;
        let era = from_march / 146_097;
        let of_era = from_march % 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Moment {
            days,
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month: usize::try_from(month).unwrap(),
            day: of_year - (153 * shifted + 2) / 5 + 1,
            clock: [rest / 3_600, rest / 60 % 60, rest % 60],
        }
    }
}

/// As in `Last-Modified`.
pub(super) fn http(time: SystemTime) -> String {
    let Moment { days, year, month, day, clock: [hour, minute, second] } = Moment::of(time);
    let name = DAYS[usize::try_from(days % 7).unwrap()];
    let month = MONTHS[month - 1];
    format!("{name}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// As in `<LastModified>`.
pub(super) fn iso(time: SystemTime) -> String {
    let Moment { year, month, day, clock: [hour, minute, second], .. } = Moment::of(time);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}
