//! Durations, as written in the file: `"500ms"`, `"5s"`, `"2m"`, `"1h"`, `"30d"`.

use std::time::Duration;

/// Parses a whole number with a unit.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = UNITS.iter().find_map(|&(name, milliseconds)| (name == unit).then_some(milliseconds))?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?))
}

/// Returns the text for [`parse`], in the largest unit that results in a whole number.
pub(super) fn format(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for &(name, unit) in UNITS.iter().rev() {
        if milliseconds >= u128::from(unit) && milliseconds.is_multiple_of(u128::from(unit)) {
            return format!("{}{name}", milliseconds / u128::from(unit));
        }
    }
    "0s".into()
}

/// In milliseconds, in ascending order.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["1ms", "500ms", "5s", "90s", "2m", "1h", "30d", "0s"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(parse("30d"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(format(Duration::from_secs(86_400)), "1d");
    }

    #[test]
    fn invalid_durations() {
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "+5s",
            "1.5h",
            "5S",
            "5sec",
            "1h30m",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
