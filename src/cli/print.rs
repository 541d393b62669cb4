//! What goes to standard output: words and tables for people, one JSON value a line for scripts.

use super::failure::Failure;
use serde::Serialize;
use std::io::Write;
use storage::env::{Timestamp, civil};

/// Where a command's results go.
pub(super) struct Printer {
    json: bool,
    out: Box<dyn Write>,
}

impl Printer {
    pub(super) fn new(json: bool, out: impl Write + 'static) -> Printer {
        Printer { json, out: Box::new(out) }
    }

    /// `text` for a person, `value` for a script.
    pub(super) fn show(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            serde_json::to_writer(&mut self.out, value).map_err(std::io::Error::from)?;
            self.out.write_all(b"\n")?;
        } else {
            self.out.write_all(text().as_bytes())?;
        }
        self.out.flush()?;
        Ok(())
    }

    /// For a person only.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        if !self.json {
            writeln!(self.out, "{text}")?;
            self.out.flush()?;
        }
        Ok(())
    }
}

/// A table with aligned columns; numbers to the right. Rows have as many cells as `head`.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    // A dash stands for a number that there is not.
    let is_number =
        |cell: &str| cell == "-" || !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit());
    let right: Vec<bool> = (0..head.len())
        .map(|i| rows.iter().all(|row| row.get(i).is_some_and(|cell| is_number(cell))))
        .map(|numbers| numbers && !rows.is_empty())
        .collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut row = String::new();
        for ((cell, width), right) in cells.zip(&widths).zip(&right) {
            let cell = if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            row.push_str(&cell);
            row.push_str("  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// Names and values below each other, the values aligned.
pub(super) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    pairs.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// `2026-08-05 14:03:09 UTC`, from milliseconds since 1970.
pub(super) fn time(ms: u64) -> String {
    Timestamp(ms).to_string()
}

/// Reads what [`time`] writes, or a part of it, or RFC 3339: `2026-08-05`, `2026-08-05T14:00Z`,
/// `2026-08-05T14:00:09.123+02:00`.
pub(super) fn moment(text: &str) -> Option<u64> {
    let text = text.strip_suffix(" UTC").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let (clock, ahead_ms) = split_zone(clock)?;
    let (clock, millis) = split_millis(clock)?;
    let numbers = |text: &str, by: char| -> Option<Vec<u64>> {
        let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
        text.split(by).map(|part| digits(part).then(|| part.parse().ok())?).collect()
    };
    let [year, month, day] = numbers(date, '-')?.try_into().ok()?;
    let (h, m, s) = match numbers(clock, ':')?.as_slice() {
        [h, m] => (*h, *m, 0),
        [h, m, s] => (*h, *m, *s),
        _ => return None,
    };
    if !(1970..=9999).contains(&year) || h > 23 || m > 59 || s > 59 {
        return None;
    }
    // A guess by the mean month, which cannot be late, and then on to the day itself.
    let mut days = ((year - 1970) * 365 + (month.checked_sub(1)?) * 28).saturating_sub(1);
    while civil(days) < (year, month, day) {
        days += 1;
    }
    let seconds = days * 86_400 + h * 3600 + m * 60 + s;
    let ms = i64::try_from(seconds * 1000 + millis).ok()?;
    let there = civil(days) == (year, month, day);
    there.then(|| u64::try_from(ms - ahead_ms).ok())?
}

/// `14:00+02:30`: the clock, and how far it is ahead of UTC, in milliseconds.
fn split_zone(clock: &str) -> Option<(&str, i64)> {
    let Some(at) = clock.find(['+', '-']) else { return Some((clock, 0)) };
    let (clock, zone) = clock.split_at(at);
    let (h, m) = zone.get(1..)?.split_once(':')?;
    let number = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &i64| digits && *number <= most)
    };
    let ms = (number(h, 23)? * 60 + number(m, 59)?) * 60_000;
    Some((clock, if zone.starts_with('-') { -ms } else { ms }))
}

/// `14:00:09.123`: the clock, and its milliseconds; what is finer is cut off.
fn split_millis(clock: &str) -> Option<(&str, u64)> {
    let Some((clock, part)) = clock.split_once('.') else { return Some((clock, 0)) };
    let digits = (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let millis: String = part.chars().chain("00".chars()).take(3).collect();
    millis.parse().ok().filter(|_| digits && clock.matches(':').count() == 2).map(|ms| (clock, ms))
}

/// `1.5 GiB`.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    // Tenths of the unit, rounded down.
    let (mut tenths, mut unit) = (u128::from(n) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// A remark for a person, on standard error: results stay apart.
pub(super) fn aside(text: &str, json: bool) {
    if !json {
        // Nobody is left to tell when this fails.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// `1 message`, `2 messages`.
pub(super) fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("{n} {noun}") } else { format!("{n} {noun}s") }
}

/// What an update changed of a `kind` of thing, each part with what it was and what it is.
pub(super) fn changes<'a>(
    kind: &str,
    name: &str,
    compared: impl IntoIterator<Item = (&'a str, String, String)>,
) -> String {
    let changed = compared.into_iter().filter(|(_, old, new)| old != new);
    let lines: String =
        changed.map(|(what, old, new)| format!("  {what}: {old} -> {new}\n")).collect();
    if lines.is_empty() {
        return format!("{kind} {name} is so already\n");
    }
    format!("changed {kind} {name}\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_right() {
        let rows = vec![vec!["orders".to_owned(), "8".into()], vec!["a".into(), "16".into()]];
        assert_eq!(
            table(&["TOPIC", "QUEUES"], &rows),
            "TOPIC   QUEUES\norders       8\na           16\n"
        );
        assert_eq!(table(&["TOPIC", "QUEUES"], &[]), "TOPIC  QUEUES\n");
    }

    #[test]
    fn what_is_written_as_a_time_is_read_as_one() {
        for (text, ms) in [
            ("1970-01-01", 0),
            ("2000-02-29T00:00Z", 951_782_400_000),
            ("2024-02-29 12:34:56 UTC", 1_709_210_096_000),
            ("2100-03-01", 4_107_542_400_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("2024-02-29T12:34:56.7891Z", 1_709_210_096_789),
            ("2024-02-29T14:04:56+01:30", 1_709_210_096_000),
            ("2024-02-29T11:34:56.5-01:00", 1_709_210_096_500),
        ] {
            assert_eq!(moment(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "now",
            "2026",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-01-01T24:00",
            "2026-01-01T00",
            "1969-12-31",
            "+2026-01-01",
            "2026-01-01T10:00+2",
            "2026-01-01T10:00+2:00",
            "2026-01-01T10:00.5",
            "2026-01-01T10:00:00.",
            "1970-01-01T00:00+01:00",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_said_in_the_largest_unit_that_fits() {
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (64 << 20, "64.0 MiB"),
            (1 << 60, "1024.0 PiB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(
            (count(1, "message"), count(0, "message")),
            ("1 message".into(), "0 messages".into())
        );
    }
}
