//! How a number is shown to people.

/// Three digits or so, with the unit.
pub(crate) fn shown(value: f64, unit: &str) -> String {
    match unit {
        "us" if value >= 1e6 => format!("{:.2} s", value / 1e6),
        "us" if value >= 1000.0 => format!("{:.2} ms", value / 1e3),
        "us" if value < 10.0 => format!("{value:.1} us"),
        "us" => format!("{value:.0} us"),
        "ms" if value >= 1000.0 => format!("{:.2} s", value / 1e3),
        "B/s" => format!("{:.0} MiB/s", value / f64::from(1 << 20)),
        "/s" => format!("{value:.0}/s"),
        other => format!("{value:.0} {other}"),
    }
}
