//! How long a topic keeps its messages: the attribute `retention`.

use std::fmt;
use std::time::Duration;

const DAY: u64 = 24 * 3600;
/// The longest age and lock, in seconds: a hundred years.
const SECONDS_MAX: u64 = 36_525 * DAY;

/// How long messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Retention {
    /// For ever.
    #[default]
    Forever,
    /// So long after they were stored, at least.
    Age(Duration),
    /// While newer ones of their queue take fewer bytes than this in the bucket.
    Size(u64),
    /// Of each queue, the newest of every key, at least.
    Compacted,
    /// For ever, and for so long after they were stored nobody can delete them: not even who may delete the bucket's
    /// objects.
    Locked(Duration),
}

impl Retention {
    /// What [`Retention::parse`] takes, for an error's text.
    pub const TAKES: &str =
        "forever, an age such as 3d, 12h or 90m, a size such as 10GiB, compacted, or locked:365d";

    /// Reads the attribute's value.
    pub fn parse(text: &str) -> Option<Retention> {
        match text {
            "forever" => return Some(Retention::Forever),
            "compacted" => return Some(Retention::Compacted),
            _ => {}
        }
        if let Some(period) = text.strip_prefix("locked:") {
            return age(period).map(Retention::Locked);
        }
        age(text).map(Retention::Age).or_else(|| size(text).map(Retention::Size))
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Retention::Forever => f.write_str("forever"),
            Retention::Age(age) => put_age(*age, f),
            Retention::Size(bytes) => put_size(*bytes, f),
            Retention::Compacted => f.write_str("compacted"),
            Retention::Locked(period) => {
                f.write_str("locked:")?;
                put_age(*period, f)
            }
        }
    }
}

const AGES: [(&str, u64); 4] = [("d", DAY), ("h", 3600), ("m", 60), ("s", 1)];
const SIZES: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number from 1 with its unit.
fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (_, unit) = units.iter().find(|(name, _)| *name == &text[digits.len()..])?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|number| plain && *number > 0)?.checked_mul(*unit)
}

fn age(text: &str) -> Option<Duration> {
    measured(text, &AGES).filter(|seconds| *seconds <= SECONDS_MAX).map(Duration::from_secs)
}

fn size(text: &str) -> Option<u64> {
    measured(text, &SIZES)
}

fn put_age(age: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    put(age.as_secs(), &AGES, f)
}

fn put_size(bytes: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    put(bytes, &SIZES, f)
}

/// In the largest unit that it is a multiple of.
fn put(number: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (name, unit) =
        units.iter().find(|(_, unit)| number.is_multiple_of(*unit)).unwrap_or(&("", 1));
    write!(f, "{}{name}", number / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_read_and_printed_in_its_largest_unit() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (text, want, printed) in [
            ("forever", Retention::Forever, "forever"),
            ("compacted", Retention::Compacted, "compacted"),
            ("3d", Retention::Age(hours(72)), "3d"),
            ("72h", Retention::Age(hours(72)), "3d"),
            ("90m", Retention::Age(Duration::from_secs(5400)), "90m"),
            ("10GiB", Retention::Size(10 << 30), "10GiB"),
            ("1024MiB", Retention::Size(1 << 30), "1GiB"),
            ("locked:365d", Retention::Locked(hours(365 * 24)), "locked:365d"),
        ] {
            assert_eq!(Retention::parse(text), Some(want), "{text}");
            assert_eq!(want.to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_retention_is_refused() {
        for text in [
            "",
            "0d",
            "3",
            "-1d",
            "d",
            "3 d",
            "1.5GiB",
            "10GB",
            "locked",
            "locked:10GiB",
            "99999999d",
        ] {
            assert_eq!(Retention::parse(text), None, "{text}");
        }
    }
}
