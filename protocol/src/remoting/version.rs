//! Versions of clients as the classic protocol counts them.

/// Of `V5_0_0` (`MQVersion`, 5.5.0).
const FIVE: i32 = 413;
/// From each patch release to the next lies its snapshot.
const PER_PATCH: i32 = 2;
/// Ten patch releases to each minor one, ten of those to each major one, whether they came to be or not.
const PER_MINOR: i32 = 10 * PER_PATCH;
const PER_MAJOR: i32 = 10 * PER_MINOR;

/// The `MQVersion` ordinal of a version in words: `5.2.0`, whatever may follow the third number. `None` for what is
/// not from the series 4 and 5, in which every number has its place.
pub fn version_number(text: &str) -> Option<i32> {
    let mut parts = text.trim_start_matches(['v', 'V']).splitn(3, '.');
    let major: i32 = parts.next()?.parse().ok()?;
    let minor: i32 = parts.next()?.parse().ok()?;
    let patch = parts.next().unwrap_or("0");
    let digits = patch.split(|character: char| !character.is_ascii_digit()).next()?;
    let patch: i32 = digits.parse().ok()?;
    let has_place =
        (4..=5).contains(&major) && (0..10).contains(&minor) && (0..10).contains(&patch);
    has_place.then(|| FIVE + (major - 5) * PER_MAJOR + minor * PER_MINOR + patch * PER_PATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_the_numbers_of_apache_s_table() {
        for (text, number) in [
            ("4.0.0", 213),
            ("4.9.9", 411),
            ("5.0.0", 413),
            ("5.2.0", 453),
            ("v5.1.3", 439),
            ("5.2.1-SNAPSHOT", 455),
            ("5.5.0", super::super::VERSION),
            ("5.9.9", 611),
        ] {
            assert_eq!(version_number(text), Some(number), "{text}");
        }
        for text in ["", "5", "3.2.6", "6.0.0", "5.10.0", "5.2.x", "513", "1.0.8"] {
            assert_eq!(version_number(text), None, "{text}");
        }
    }
}
