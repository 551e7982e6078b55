//! `[log]`.

use std::path::Path;

use crate::config::log::{AccessLog, Log, LogFormat, LogLevel, audit_problem};
use crate::config::reader::Section;
use crate::config::reader::spelling::quote;
use crate::config::schema::kind::{Raw, choice, decimal, number, raw, text};
use crate::config::schema::section;
use crate::config::sealed::Sealed;
use crate::config::size;
use crate::filesystem::io_error_text;
use crate::log_output::{self, AuditTarget, Rotation};

section! {
    /// The log on stderr, the access log and the audit log. No log contains a secret.
    LogKeys = "[log]", Reloadable;

    /// Minimum level of log lines.
    level: LogLevel = choice(&LEVELS, LogLevel::Info);

    /// Format of log lines: text, or one JSON object per line.
    format: LogFormat = choice(&FORMATS, LogFormat::Text);

    /// Requests with a line in the access log. `"off"`: none. `"denied"`: denied and failed requests. `"all"`: all. A line has
    /// the names of query parameters, not their values.
    access: AccessLog = choice(&ACCESS, AccessLog::Off);

    /// Target of the audit log: `"off"`, `"stderr"`, or the path of a file. The audit log has one JSON object per line for each
    /// login, denied request and reload. Tollgate creates the file with mode 0600 and opens it again after a rename (logrotate).
    audit: Raw = raw("\"/var/log/tollgate/audit.log\""), default "\"off\"";

    /// Size at which Tollgate rotates the audit file, from `"1MiB"` to `"64GiB"`. `"0"`: no rotation.
    audit_size: Option<u64> = text(audit_size, "\"64MiB\""), default "\"64MiB\"";

    /// Number of rotated audit files that Tollgate keeps; `audit.log.1` is the newest.
    audit_keep: usize = number(1..=MAX_KEEP, Rotation::DEFAULT.keep as usize);

    /// Fraction of requests without a trace for which Tollgate starts one. A value above 0 requires a build with
    /// `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT`. Tollgate always traces a request with a sampled `traceparent`.
    trace_ratio: Option<f64> = decimal(0.0..=1.0, "0.1"), default "0";
}

/// Reads the section. Relative paths start at `base`.
pub(in crate::config) fn read(section: &Section<'_>, base: &Path) -> Log {
    let keys = LogKeys::read(section);
    let trace_ratio = keys.trace_ratio.unwrap_or(Log::default().trace_ratio);
    if trace_ratio > 0.0 && !cfg!(feature = "otlp") {
        keys.trace_ratio.error("requires a build with OTLP: remove it, or build with --features otlp");
    }
    let audit = keys.audit.optional(|text| audit(text, base)).ok().flatten().unwrap_or_default();
    let audit_rotation = rotation(&keys, &audit);
    Log {
        _sealed: Sealed(()),
        level: keys.level.value,
        format: keys.format.value,
        access: keys.access.value,
        audit,
        audit_rotation,
        trace_ratio,
    }
}

/// Checks that the audit file can be opened, without creating it.
pub(in crate::config) fn rehearse(section: &Section<'_>, log: &Log) {
    if let Some(path) = log.audit_path()
        && let Err(error) = log_output::can_open(path)
    {
        section.error("audit", audit_problem(path, &error));
    } else if let Some(path) = log.audit_path().filter(|_| log.audit_rotation.is_some())
        && let Err(error) = log_output::can_rotate(path)
    {
        section.warn(
            "audit",
            format!(
                "{} can't be rotated: {}: give this user the right to write to its directory, or write audit_size = \"0\"",
                path.display(),
                io_error_text(&error)
            ),
        );
    }
}

fn rotation(keys: &LogKeys<'_>, audit: &AuditTarget) -> Option<Rotation> {
    let needs_file = "requires a file: write audit = \"/var/log/tollgate/audit.log\", or remove it";
    // An invalid value of `audit` could be a misspelled path.
    if !matches!(audit, AuditTarget::File(_)) && !keys.audit.is_refused() {
        if keys.audit_size.is_written() {
            keys.audit_size.error(needs_file);
        }
        if keys.audit_keep.is_written() {
            keys.audit_keep.error(needs_file);
        }
        return Some(Rotation::DEFAULT);
    }
    let size = keys.audit_size.unwrap_or(Rotation::DEFAULT.size);
    if size == 0 && keys.audit_keep.is_written() {
        keys.audit_keep.error("requires rotation, which audit_size = \"0\" turns off: remove one of the two");
    }
    // At least one: otherwise a rotation would delete the newest lines.
    (size > 0).then(|| Rotation { size, keep: u32::try_from(*keys.audit_keep).unwrap_or(Rotation::DEFAULT.keep) })
}

fn audit_size(text: &str) -> Result<u64, String> {
    size::parse(text).filter(|size| *size == 0 || (MIN_SIZE..=MAX_SIZE).contains(size)).ok_or_else(|| {
        let (min, max) = (size::format(MIN_SIZE), size::format(MAX_SIZE));
        format!("{} is out of range: write a size from \"{min}\" to \"{max}\", or \"0\" for no rotation", quote(text))
    })
}

fn audit(text: &str, base: &Path) -> Result<AuditTarget, String> {
    match text {
        "off" => Ok(AuditTarget::Off),
        "stderr" => Ok(AuditTarget::Stderr),
        // A single word is more likely a misspelled value than a file name.
        path if path.contains('/') && !path.ends_with('/') => Ok(AuditTarget::File(base.join(path))),
        _ => Err(format!(
            "must be \"off\", \"stderr\" or a path (found {}): write it as \"/var/log/tollgate/audit.log\" or \"./audit.log\"",
            quote(text)
        )),
    }
}

/// Bytes. A batch of lines is much smaller.
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
    use crate::config::fixture::{LOGIN, REALM, SERVER, assert_error, check};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"level = "verbose""#, r#"log.level: must be "error" or "warn""#),
            (r#"format = "xml""#, r#""text" or "json""#),
            (r#"access = "some""#, r#""off" or "denied" or "all""#),
            (r#"audit = "syslog""#, "must be \"off\", \"stderr\" or a path"),
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
    fn the_section_is_optional() {
        assert_eq!(check(&format!("{SERVER}{REALM}{LOGIN}")).unwrap().policy.log, Log::default());
        let keys = "level = \"debug\"\nformat = \"json\"\naccess = \"denied\"\naudit = \"./a.log\"\n";
        let log = Log {
            _sealed: Sealed(()),
            level: LogLevel::Debug,
            format: LogFormat::Json,
            access: AccessLog::Denied,
            audit: AuditTarget::File("/nonexistent/./a.log".into()),
            audit_rotation: Some(Rotation::DEFAULT),
            trace_ratio: 0.0,
        };
        assert_eq!(check(&format!("{SERVER}[log]\n{keys}{REALM}{LOGIN}")).unwrap().policy.log, log);
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
            let rotation = check(&text).unwrap().policy.log.audit_rotation;
            assert_eq!(rotation.map(|rotation| (rotation.size, rotation.keep)), expected, "{keys}");
        }
    }
}
