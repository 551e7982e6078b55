//! One line with escaped values: a client can't break a line or forge another one.

use std::fmt::{Display, Write as _};

use tracing::Level;

use crate::clock::rfc3339_ms;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// `TIME LEVEL message name="value"`
    Text,
    /// The same for the systemd journal, which adds the time and reads the level from a prefix (sd-daemon(3)).
    Journal,
    Json,
}

#[derive(Debug)]
pub struct LogLine {
    text: String,
    form: LineFormat,
}

impl LogLine {
    /// Starts a line for an event at this Unix time in milliseconds.
    #[must_use]
    pub fn new(form: LineFormat, level: Level, at_ms: i64, message: &str) -> Self {
        let mut text = String::with_capacity(256);
        // Writing to a String does not fail.
        let _ = match form {
            LineFormat::Text => write!(text, "{} {level:>5} ", rfc3339_ms(at_ms)),
            LineFormat::Journal => write!(text, "<{}>", priority(level)),
            LineFormat::Json => write!(
                text,
                "{{\"time\":\"{}\",\"level\":\"{}\",\"message\":\"",
                rfc3339_ms(at_ms),
                level.as_str().to_ascii_lowercase()
            ),
        };
        if form == LineFormat::Json {
            push_json(&mut text, message);
            text.push('"');
        } else {
            push_visible(&mut text, message, false);
        }
        Self { text, form }
    }

    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.text.push('"');
        if self.form == LineFormat::Json {
            push_json(&mut self.text, value);
        } else {
            push_visible(&mut self.text, value, true);
        }
        self.text.push('"');
    }

    /// A number, or another value that needs no quotes.
    pub fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = write!(self.text, "{value}");
    }

    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.text.push_str(if self.form == LineFormat::Json { "}\n" } else { "\n" });
        self.text.into_bytes()
    }

    fn name(&mut self, name: &str) {
        let _ = match self.form {
            LineFormat::Json => write!(self.text, ",\"{name}\":"),
            LineFormat::Text | LineFormat::Journal => write!(self.text, " {name}="),
        };
    }
}

/// A JSON object with members in insertion order.
#[derive(Debug)]
pub struct JsonLine(String);

impl JsonLine {
    /// `{"time":"…"`: at this Unix time in milliseconds.
    #[must_use]
    pub fn at(at_ms: i64) -> Self {
        let mut text = String::with_capacity(256);
        let _ = write!(text, "{{\"time\":\"{}\"", rfc3339_ms(at_ms));
        Self(text)
    }

    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.0, ",\"{name}\":\"");
        push_json(&mut self.0, value);
        self.0.push('"');
        self
    }

    /// Adds nothing for an empty list.
    #[must_use]
    pub fn optional_text(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    #[must_use]
    pub fn number(mut self, name: &str, value: impl Display) -> Self {
        let _ = write!(self.0, ",\"{name}\":{value}");
        self
    }

    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.0.push_str("}\n");
        self.0.into_bytes()
    }
}

/// syslog(3)
pub(super) const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Escapes characters that a terminal does not print, and quotes within quotes.
fn push_visible(text: &mut String, value: &str, quoted: bool) {
    for char in value.chars() {
        match char {
            '"' | '\\' if quoted => text.extend(['\\', char]),
            '"' | '\\' | '\'' => text.push(char),
            _ => text.extend(char.escape_debug()),
        }
    }
}

/// Escapes as RFC 8259, 7 demands, and also every character that a reader takes for a line end or that controls a
/// terminal.
fn push_json(text: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '"' | '\\' => text.extend(['\\', char]),
            '\n' => text.push_str("\\n"),
            _ if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') => {
                let _ = write!(text, "\\u{:04x}", u32::from(char));
            }
            _ => text.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGED: &str = "a\"b\\c\r\n2026-11-22T00:00:00.000Z  INFO forged \u{1b}[31m \u{85}\u{2028} é'";

    fn line(form: LineFormat) -> String {
        let mut line = LogLine::new(form, Level::WARN, 1_700_000_000_007, FORGED);
        line.text("name", FORGED);
        line.plain("count", 7);
        String::from_utf8(line.finish()).unwrap()
    }

    #[test]
    fn text_stays_one_line_whatever_it_says() {
        let text = line(LineFormat::Text);
        assert!(text.starts_with("2023-11-14T22:13:20.007Z  WARN a\"b\\c\\r\\n2026-"), "{text}");
        assert!(text.contains(" name=\"a\\\"b\\\\c\\r\\n2026-") && text.ends_with("é'\" count=7\n"), "{text}");
        assert!(!text.trim_end().contains(|char: char| char.is_control() || char == '\u{2028}'), "{text}");
        let journal = line(LineFormat::Journal);
        assert!(journal.starts_with("<4>a\"b") && journal[3..].trim_end() == &text.trim_end()[31..], "{journal}");
    }

    #[test]
    fn json_says_what_it_was_given() {
        let text = line(LineFormat::Json);
        assert!(!text.trim_end().contains(|char: char| char.is_control() || char == '\u{2028}'), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["time"], "2023-11-14T22:13:20.007Z");
        assert_eq!(
            (&value["level"], &value["message"], &value["name"]),
            (&"warn".into(), &FORGED.into(), &FORGED.into())
        );
        assert_eq!(value["count"], 7);
        let text = JsonLine::at(0)
            .text("a", FORGED)
            .optional_text("b", None)
            .optional_text("c", Some("d"))
            .number("e", 1.5)
            .finish();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value, serde_json::json!({"time": "1970-01-01T00:00:00.000Z", "a": FORGED, "c": "d", "e": 1.5}));
    }
}
