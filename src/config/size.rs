//! Sizes in bytes, as written in the file: `"0"`, `"500B"`, `"512KiB"`, `"64MiB"`, `"1GiB"`.

/// Parses a whole number with a unit, or `0`.
pub(super) fn parse(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let bytes = UNITS.iter().find_map(|&(name, bytes)| (name == unit).then_some(bytes))?;
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// Returns the text for [`parse`], in the largest unit that results in a whole number.
pub(super) fn format(size: u64) -> String {
    let unit = UNITS.iter().rev().find(|(_, bytes)| size >= *bytes && size.is_multiple_of(*bytes));
    unit.map_or_else(|| "0".into(), |(name, bytes)| format!("{}{name}", size / bytes))
}

/// In ascending order.
const UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["0", "500B", "1KiB", "512KiB", "64MiB", "3GiB"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(parse("64MiB"), Some(64 << 20));
    }

    #[test]
    fn invalid_sizes() {
        for text in
            ["", "1", "64", "B", "64b", "MiB", "64 MiB", "64mib", "64MB", "-1MiB", "1.5MiB", "99999999999999GiB", "00"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
