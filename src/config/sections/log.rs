//! `[log]`.

use std::io;
use std::path::Path;

use crate::config::log::{AccessLog, Log, LogFormat, LogLevel};
use crate::config::reader::{Keys, Section};
use crate::config::secret_file::reason;
use crate::config::spelling::quote;
use crate::lines::{self, Audit};

/// Its keys.
pub(in crate::config) const KEYS: Keys =
    Keys { header: "[log]", known: &["level", "format", "access", "audit", "trace_ratio"], later: &[], parent: None };

/// What is in it. Relative paths begin at `base`.
pub(in crate::config) fn read(section: &Section<'_>, base: &Path) -> Log {
    let default = Log::default();
    let trace_ratio = section.decimal("trace_ratio", 0.0..=1.0).unwrap_or(default.trace_ratio);
    if trace_ratio > 0.0 && !cfg!(feature = "otlp") {
        section
            .error("trace_ratio", "this program was built without OTLP: remove it, or build it with --features otlp");
    }
    Log {
        level: section.choice("level", &LEVELS, &[]).unwrap_or(default.level),
        format: section.choice("format", &FORMATS, &[]).unwrap_or(default.format),
        access: section.choice("access", &ACCESS, &[]).unwrap_or(default.access),
        audit: section.optional("audit", |text| audit(text, base)).unwrap_or_default(),
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
    }
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
            trace_ratio: 0.0,
        };
        assert_eq!(*check(&format!("{SERVER}[log]\n{keys}{REALM}{LOGIN}")).unwrap().policy.log(), log);
    }
}
