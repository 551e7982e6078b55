//! Makes a file with syntax errors readable, so that an error in one section does not hide those of the other sections.
//!
//! The parser recovers from errors, but an open bracket or quote includes the rest of the file. Therefore the file is split at
//! the headers of its sections, and in each section the lines with syntax errors are replaced by blanks.

use std::ops::Range;

use toml::de::DeTable;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct SyntaxError {
    /// Offset in bytes.
    pub(in crate::config) at: usize,
    /// Problem and remedy. It quotes no text of the file, which can be a secret.
    pub(in crate::config) message: String,
}

/// Returns the text with blanks in place of what is not TOML, and the errors. Duplicate keys stay.
pub(in crate::config) fn repair(text: &str) -> (String, Vec<SyntaxError>) {
    if let Some(error) = other_format(text) {
        return (blank(text), vec![error]);
    }
    let mut repaired = text.to_owned();
    let mut errors = Vec::new();
    if first_error(text).is_some() {
        for section in sections(text) {
            errors.extend(repair_section(&mut repaired, section));
        }
    }
    if first_error(&repaired).is_some() {
        // It was split at a line that only looks like a header, such as one within a multi-line string.
        errors.clear();
        errors.extend(first_error(text));
        repaired = blank(text);
    }
    (repaired, errors)
}

/// Returns the error for a file in the format of another program, recognized by its first line. In TOML that is a header or
/// `key = value`.
fn other_format(text: &str) -> Option<SyntaxError> {
    let mut at = 0;
    let line = text.split_inclusive('\n').find(|line| {
        let content = line.trim_start_matches('\u{feff}').trim();
        let is_content = !content.is_empty() && !content.starts_with(['#', '%']) && content != "---";
        if !is_content {
            at += line.len();
        }
        is_content
    })?;
    let content = line.trim_start_matches('\u{feff}').trim();
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let name = if json_follows(&text[at..]) {
        "JSON"
    } else if content.ends_with('{') && !content.contains('=') {
        "a configuration of nginx or Caddy"
    } else if content
        .split_once(':')
        .is_some_and(|(word, rest)| is_word(word) && !word.is_empty() && (rest.is_empty() || rest.starts_with(' ')))
        && !content.contains('=')
    {
        "YAML"
    } else {
        return None;
    };
    let indent = line.find(content).unwrap_or_default();
    let message = format!(
        "is not TOML, but looks like {name}: write sections such as [server], and lines such as key = value in them ('tollgate init DIR' creates an example)"
    );
    Some(SyntaxError { at: at + indent, message })
}

/// Returns whether the brace at the start of `text` opens a JSON object. A Caddyfile has a brace around its global options.
fn json_follows(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .trim_start()
        .strip_prefix('{')
        .is_some_and(|rest| rest.trim_start().starts_with(['"', '}']))
}

/// Message of toml 1.2, `src/de/parser/document.rs`. A text with this error is still parsed.
pub(in crate::config) const DUPLICATE: &str = "duplicate key";

/// Replaces what is not TOML in the section at `range` by blanks.
fn repair_section(text: &mut String, range: Range<usize>) -> Vec<SyntaxError> {
    let mut errors = Vec::new();
    let header_end = text[range.clone()].find('\n').map_or(range.end, |end| range.start + end);
    let mut last_line = None;
    while let Some(error) = first_error(&text[range.clone()]) {
        let at = range.start + error.at;
        let line = line_at(text, at.min(range.end));
        errors.push(SyntaxError { at, ..error });
        let is_header = at <= header_end && text[range.start..].trim_start().starts_with('[');
        // A bracket or quote is open if the parser takes the next key for an item of a list, is at the end, or reports an
        // earlier line than before.
        let is_open = text[line.clone()].contains('=') && errors.last().is_some_and(|error| error.message == OPEN_LIST)
            || at >= range.end
            || text[line.clone()].trim().is_empty()
            || last_line.is_some_and(|last| line.start <= last);
        if is_header || is_open || errors.len() > MAX_ERRORS {
            let from = if is_header { range.start } else { header_end };
            text.replace_range(from..range.end, &blank(&text[from..range.end]));
            errors.truncate(1);
            if first_error(&text[range.clone()]).is_some() {
                let blanks = blank(&text[range.clone()]);
                text.replace_range(range, &blanks);
            }
            break;
        }
        last_line = Some(line.start);
        text.replace_range(line.clone(), &blank(&text[line]));
    }
    errors
}

/// Returns the range of each section. The first range is the text above all headers.
fn sections(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start();
        let name = rest.strip_prefix("[[").or_else(|| rest.strip_prefix('[')).unwrap_or_default().trim_start();
        if at > 0 && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

fn first_error(text: &str) -> Option<SyntaxError> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let errors = errors.iter().filter(|error| error.message() != DUPLICATE);
    let at = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let first = errors.min_by_key(|error| at(error))?;
    Some(SyntaxError { at: at(first), message: sentence(first.message()) })
}

/// Returns the message of the parser in words for operators who do not know TOML.
fn sentence(message: &str) -> String {
    let known = WORDS.iter().find(|(begin, _)| message.starts_with(begin));
    known.map_or_else(|| format!("is not TOML: {message}"), |(_, sentence)| (*sentence).to_owned())
}

/// Returns the range of the line around `at`, without the newline.
fn line_at(text: &str, at: usize) -> Range<usize> {
    let (before, after) = (text.get(..at).unwrap_or(text), text.get(at..).unwrap_or_default());
    before.rfind('\n').map_or(0, |end| end + 1)..after.find('\n').map_or(text.len(), |end| at + end)
}

/// Returns blanks instead of all bytes except newlines.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

const MAX_ERRORS: usize = 50;

const OPEN_LIST: &str = "is not TOML: a list has no end, or a comma is missing: write ] or a comma above";

/// Starts of messages of the parser (toml_parser 1.1), and the messages to show instead.
const WORDS: [(&str, &str); 11] = [
    ("string values must be quoted", "is not TOML: a string has no quotes: write it in double quotes"),
    ("key with no value", "is not TOML: a key has no value: write key = value"),
    (
        "invalid unquoted key",
        "is not TOML: a key has a character other than letters, digits, - and _: write key = value",
    ),
    ("unexpected key or value", "is not TOML: a value is followed by more text: write # before a comment"),
    ("missing comma between array", OPEN_LIST),
    ("invalid boolean", "is not TOML: a boolean is in lower case: write true or false"),
    ("invalid basic string", "is not TOML: a string in double quotes has no end in its line: write the second quote"),
    ("invalid literal string", "is not TOML: a string in single quotes has no end in its line: write the second quote"),
    (
        "missing escaped value",
        "is not TOML: a backslash in double quotes starts an escape: write two, or use single quotes",
    ),
    ("unclosed table", "is not TOML: a header has no end: write ]"),
    ("unclosed array", "is not TOML: a list or header has no end: write ]"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_for_another_program_is_one_error() {
        for (text, name, at) in [
            ("{\n  \"server\": {\"listen\": [\"127.0.0.1:8080\"]},\n  \"realm\": []\n}\n", "JSON", 0),
            ("{\"server\": {}}", "JSON", 0),
            ("# mine\n\nserver:\n  listen: 127.0.0.1:8080\nrealm:\n  - name: a\n", "YAML", 8),
            ("---\nserver: { listen: 1 }\n", "YAML", 4),
            ("example.com {\n  reverse_proxy localhost:3000\n}\n", "nginx or Caddy", 0),
            ("{\n  email a@example.com\n}\nexample.com {\n}\n", "nginx or Caddy", 0),
            ("  server {\n  listen 80;\n}\n", "nginx or Caddy", 2),
        ] {
            let (repaired, errors) = repair(text);
            let [error] = &errors[..] else { panic!("{text}: {errors:?}") };
            assert!(error.message.contains(name) && error.message.contains(": write sections such as"), "{error:?}");
            assert_eq!((error.at, repaired.trim()), (at, ""), "{text}");
        }
        for text in [
            "[server]\n",
            "[[realm]]\nname: \"a\"\n",
            "a = { b = 1 }\n",
            "\"a:b\" = 1\n",
            "a = {\n",
            "a.b = \"c: d\"\n",
            "",
            "#\n",
        ] {
            assert_eq!(other_format(text), None, "{text}");
        }
    }

    const GOOD: &str = "a = 1\n[x]\nb = 2\nc = [\n  3,\n]\n[[y]]\nd = \"4\"\n[[y]]\ne = 5\n";

    fn errors(text: &str) -> Vec<(usize, String)> {
        let (repaired, errors) = repair(text);
        assert_eq!(repaired.len(), text.len());
        assert!(first_error(&repaired).is_none(), "{repaired}");
        let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
        errors.into_iter().map(|error| (line(error.at), error.message)).collect()
    }

    fn left(text: &str) -> String {
        repair(text).0.split_whitespace().collect()
    }

    #[test]
    fn valid_toml_is_not_changed() {
        for text in [GOOD, "", "\n", "a = 1\na = 2\n", "a = '''\n[x]\n'''\n"] {
            assert_eq!(repair(text), (text.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn an_error_removes_its_line_and_no_other_section() {
        for (bad, line, message, stays) in [
            ("b = x", 3, "write it in double quotes", "a=1[x]c=[3,][[y]]d=\"4\"[[y]]e=5"),
            ("b: 2", 3, "write key = value", "a=1[x]c=[3,][[y]]d=\"4\"[[y]]e=5"),
            ("b 2", 3, "write key = value", "a=1[x]c=[3,][[y]]d=\"4\"[[y]]e=5"),
            ("b = \"2", 3, "write the second quote", "a=1[x]c=[3,][[y]]d=\"4\"[[y]]e=5"),
            ("b = True", 3, "lower case", "a=1[x]c=[3,][[y]]d=\"4\"[[y]]e=5"),
            ("b = \"2\";", 3, "followed by more text", "a=1[x]c=[3,][[y]]d=\"4\"[[y]]e=5"),
            ("b = \"C:\\keys\"", 3, "write two, or", "a=1[x]c=[3,][[y]]d=\"4\"[[y]]e=5"),
            ("b = [2", 4, "is not TOML", "a=1[x][[y]]d=\"4\"[[y]]e=5"),
            ("b = \"\"\"2", 7, "is not TOML", "a=1[x][[y]]d=\"4\"[[y]]e=5"),
            ("b = { c = [", 4, "is not TOML", "a=1[x][[y]]d=\"4\"[[y]]e=5"),
        ] {
            let text = GOOD.replace("b = 2", bad);
            let found = errors(&text);
            assert!(found.len() == 1 && found[0].1.contains(message), "{bad}: {found:?}");
            assert!(found[0].0 == line || bad.contains('{'), "{bad}: {found:?}");
            assert_eq!(left(&text), stays, "{bad}");
        }
        let two = GOOD.replace("b = 2", "b = x\nf = y").replace("e = 5", "e = z");
        assert_eq!(errors(&two).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 11]);
        let header = GOOD.replace("[x]", "[x");
        assert_eq!((errors(&header).len(), left(&header).as_str()), (1, "a=1[[y]]d=\"4\"[[y]]e=5"));
    }

    #[test]
    fn any_text_becomes_toml() {
        for text in [
            "{",
            "\u{0}",
            "[",
            "[[",
            "]",
            "\"",
            "'''",
            "= 1",
            "a.b.c",
            "[x]\n[",
            "[x\n[y",
            "é = é\n[é]\n",
            "a = [\n[x]\nb = 1",
        ] {
            assert!(!errors(text).is_empty(), "{text}");
        }
    }
}
