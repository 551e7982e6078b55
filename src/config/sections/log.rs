//! `[log]`.

use std::io;
use std::path::Path;

use crate::config::log::{AccessLog, Log, LogFormat, LogLevel};
use crate::config::reader::{Keys, Section};
use crate::config::secret_file::reason;
use crate::config::size;
use crate::config::spelling::quote;
use crate::lines::{self, Audit, Rotation};

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[log]",
    known: &["level", "format", "access", "audit", "audit_size", "audit_keep", "trace_ratio"],
    later: &[],
    parent: None,
};

/// What is in it. Relative paths begin at `base`.
pub(in crate::config) fn read(section: &Section<'_>, base: &Path) -> Log {
    let default = Log::default();
    let trace_ratio = section.decimal("trace_ratio", 0.0..=1.0).unwrap_or(default.trace_ratio);
    if trace_ratio > 0.0 && !cfg!(feature = "otlp") {
        section
            .error("trace_ratio", "this program was built without OTLP: remove it, or build it with --features otlp");
    }
    let audit = section.optional("audit", |text| audit(text, base)).unwrap_or_default();
    let audit_rotation = rotation(section, &audit, default.audit_rotation);
    Log {
        level: section.choice("level", &LEVELS, &[]).unwrap_or(default.level),
        format: section.choice("format", &FORMATS, &[]).unwrap_or(default.format),
        access: section.choice("access", &ACCESS, &[]).unwrap_or(default.access),
        audit,
        audit_rotation,
        trace_ratio,
    }
}

/// Whether the audit file can be written to: it is made for that, if there is none.
pub(in crate::config) fn open_audit(section: &Section<'_>, log: &Log) {
    if let Some(path) = log.audit_path()
        && let Err(error) = lines::open(path)
    {
        section.error("audit", cannot_be_opened(path, &error));
    }
}

/// Whether it could be, without making it.
pub(in crate::config) fn rehearse(section: &Section<'_>, log: &Log) {
    if let Some(path) = log.audit_path()
        && let Err(error) = lines::can_open(path)
    {
        section.error("audit", cannot_be_opened(path, &error));
    } else if let Some(path) = log.audit_path().filter(|_| log.audit_rotation().is_some())
        && let Err(error) = lines::can_rotate(path)
    {
        section.warn(
            "audit",
            format!(
                "{} can't be rotated: {}: give this user the right to write to its directory, or write audit_size = \"0\"",
                path.display(),
                reason(&error)
            ),
        );
    }
}

fn rotation(section: &Section<'_>, audit: &Audit, default: Option<Rotation>) -> Option<Rotation> {
    let default = default?;
    let keys = ["audit_size", "audit_keep"].into_iter().filter(|key| section.has(key));
    // A value of `audit` that is wrong may be meant for a file.
    if !matches!(audit, Audit::File(_)) && !section.is_refused("audit") {
        keys.for_each(|key| {
            section.error(key, "requires a file: write audit = \"/var/log/tollgate/audit.log\", or remove it");
        });
        return Some(default);
    }
    let size = section.optional("audit_size", size).unwrap_or(default.size);
    if size == 0 && section.has("audit_keep") {
        section.error("audit_keep", "requires rotation, which audit_size = \"0\" turns off: remove one of the two");
    }
    // With no old file at all, a rotation would delete the lines of a moment ago.
    let keep = section.number("audit_keep", 1..=MAX_KEEP, default.keep as usize);
    (size > 0).then(|| Rotation { size, keep: u32::try_from(keep).unwrap_or(default.keep) })
}

fn size(text: &str) -> Result<u64, String> {
    size::parse(text).filter(|size| *size == 0 || (MIN_SIZE..=MAX_SIZE).contains(size)).ok_or_else(|| {
        let (min, max) = (size::format(MIN_SIZE), size::format(MAX_SIZE));
        format!("{} is out of range: write a size from \"{min}\" to \"{max}\", or \"0\" for no rotation", quote(text))
    })
}

fn cannot_be_opened(path: &Path, error: &io::Error) -> String {
    format!("{} can't be opened: {}: write a path that this user can write to", path.display(), reason(error))
}

fn audit(text: &str, base: &Path) -> Result<Audit, String> {
    match text {
        "off" => Ok(Audit::Off),
        "stderr" => Ok(Audit::Stderr),
        // A word alone is rather a value that there is not than a file of that name.
        path if path.contains('/') && !path.ends_with('/') => Ok(Audit::File(base.join(path))),
        _ => Err(format!(
            "{} is neither \"off\" nor \"stderr\", nor a path: write it as \"/var/log/tollgate/audit.log\" or \"./audit.log\"",
            quote(text)
        )),
    }
}

/// A batch of lines is far smaller.
const MIN_SIZE: u64 = 1 << 20;
const MAX_SIZE: u64 = 64 << 30;
const MAX_KEEP: usize = 100;
const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const ACCESS: [(&str, AccessLog); 3] =
    [("off", AccessLog::Off), ("denied", AccessLog::Denied), ("all", AccessLog::All)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, check};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"level = "verbose""#, r#"log.level: must be "error" or "warn""#),
            (r#"format = "xml""#, r#""text" or "json""#),
            (r#"access = "some""#, r#""off" or "denied" or "all""#),
            (r#"audit = "syslog""#, "neither \"off\" nor \"stderr\", nor a path"),
            ("audit = true", "log.audit"),
            ("trace_ratio = 1.5", "log.trace_ratio"),
            ("audit_size = \"2MiB\"", "log.audit_size: requires a file"),
            ("audit = \"stderr\"\naudit_keep = 2", "log.audit_keep: requires a file"),
            ("audit = \"./a\"\naudit_size = \"1023KiB\"", "write a size from \"1MiB\" to \"64GiB\", or \"0\""),
            ("audit = \"./a\"\naudit_size = \"65GiB\"", "is out of range"),
            ("audit = \"./a\"\naudit_size = \"64MB\"", "log.audit_size: \"64MB\""),
            ("audit = \"./a\"\naudit_size = 0", "log.audit_size"),
            ("audit = \"./a\"\naudit_keep = 0", "write a number from 1 to 100"),
            ("audit = \"./a\"\naudit_size = \"0\"\naudit_keep = 3", "log.audit_keep: requires rotation"),
            ("levels = 1", "log.levels"),
        ] {
            assert_error(&format!("{SERVER}[log]\n{keys}\n{REALM}{LOGIN}"), expected);
        }
    }

    #[test]
    fn the_section_may_be_left_out() {
        assert_eq!(*check(&format!("{SERVER}{REALM}{LOGIN}")).unwrap().policy.log(), Log::default());
        let keys = "level = \"debug\"\nformat = \"json\"\naccess = \"denied\"\naudit = \"./a.log\"\n";
        let log = Log {
            level: LogLevel::Debug,
            format: LogFormat::Json,
            access: AccessLog::Denied,
            audit: Audit::File("/nonexistent/./a.log".into()),
            audit_rotation: Some(Rotation { size: 64 << 20, keep: 8 }),
            trace_ratio: 0.0,
        };
        assert_eq!(*check(&format!("{SERVER}[log]\n{keys}{REALM}{LOGIN}")).unwrap().policy.log(), log);
    }

    #[test]
    fn r69_an_audit_file_is_rotated_unless_the_file_says_otherwise() {
        for (keys, expected) in [
            ("", Some((64 << 20, 8))),
            ("audit_size = \"1MiB\"\n", Some((1 << 20, 8))),
            ("audit_size = \"64GiB\"\naudit_keep = 1\n", Some((64 << 30, 1))),
            ("audit_keep = 100\n", Some((64 << 20, 100))),
            ("audit_size = \"0\"\n", None),
        ] {
            let text = format!("{SERVER}[log]\naudit = \"./a.log\"\n{keys}{REALM}{LOGIN}");
            let rotation = check(&text).unwrap().policy.log().audit_rotation();
            assert_eq!(rotation.map(|rotation| (rotation.size, rotation.keep)), expected, "{keys}");
        }
    }
}
