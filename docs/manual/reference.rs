//! The reference of the configuration, from the declarations of its keys: `docs/configuration.md` and tollgate.toml(5).

use std::fmt::Write as _;

use tollgate::config::{Effect, KeyDoc, SectionDoc, ValueDoc, ValueType, reference};

/// docs/configuration.md.
pub(super) fn page() -> String {
    let mut text = String::from(PAGE);
    for section in sections() {
        let _ = writeln!(text, "- [`{0}`](#{1})", section.header, anchor(section.header));
    }
    for section in sections() {
        let _ = writeln!(text, "\n## `{}`\n\n{}", section.header, section.text());
        let _ = writeln!(text, "\n{}{}\n", effect_of_section(&section), see_also(section.header));
        for key in &section.keys {
            let _ = writeln!(text, "- **`{}`**: {}", key.name, facts(key, section.effect));
            let _ = writeln!(text, "  {}", key.text());
            if !is_section(&key.value) {
                let _ = writeln!(text, "  Example: `{} = {}`", key.name, key.value.example_value());
            }
        }
    }
    text
}

/// tollgate.toml(5).
pub(super) fn manual_page() -> String {
    let mut text = String::from(MANUAL_START);
    for section in sections() {
        let _ =
            writeln!(text, ".SH {}\n{}\n.PP\n{}", section.header, roff(&section.text()), effect_of_section(&section));
        for key in &section.keys {
            let _ = writeln!(text, ".TP\n.B {}\n{}", roff(key.name), roff(&facts(key, section.effect)));
            let _ = writeln!(text, "{}", roff(&key.text()));
        }
    }
    text + MANUAL_END
}

/// The sections of the configuration file, without the file itself.
pub(super) fn sections() -> impl Iterator<Item = SectionDoc> {
    reference().into_iter().skip(1)
}

const fn effect_of_section(section: &SectionDoc) -> &'static str {
    match section.effect {
        Effect::Reloadable => "Reloadable.",
        Effect::RestartOnly => "Restart-only.",
    }
}

/// Pages about the subject of a section.
fn see_also(header: &str) -> &'static str {
    match header {
        "[server]" | "[store]" | "[log]" => " See [Operating](operating.md).",
        "[limits]" => " See [The order of checks](request-order.md).",
        "[[realm]]" | "[[realm.key]]" | "[[realm.trusted_issuer]]" => " See [Credentials](credentials.md).",
        "[[login]]" | "[login.cognito]" => " See [Login APIs](logins.md).",
        "[[route]]" | "[route.health_check]" => {
            " See [The order of checks](request-order.md) and [Upstream servers](upstreams.md)."
        }
        _ => "",
    }
}

/// Type, range, default and effect.
fn facts(key: &KeyDoc, of_section: Effect) -> String {
    let mut facts = kind(&key.value.kind) + ". ";
    facts += &default(&key.value);
    if let Some((other, word)) = key.when {
        let _ = write!(facts, " Only with `{other} = \"{word}\"`.");
    }
    match key.effect {
        effect if effect == of_section => {}
        Effect::Reloadable => facts += " Reloadable.",
        Effect::RestartOnly => facts += " Restart-only.",
    }
    facts
}

fn kind(kind: &ValueType) -> String {
    let listed = |words: &[&str]| words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
    match kind {
        ValueType::Flag => "`true` or `false`".into(),
        ValueType::Integer(min, max) => format!("integer from {min} to {max}"),
        ValueType::Number(min, max) => format!("number from {min} to {max}"),
        ValueType::Duration(min, max) => format!("duration from `\"{min}\"` to `\"{max}\"`"),
        ValueType::Size(max) => format!("size up to `\"{max}\"`"),
        ValueType::Timestamp => "date-time with UTC offset".into(),
        ValueType::Text => "string".into(),
        ValueType::Word(words) => format!("one of {}", listed(words)),
        ValueType::Words(words) => format!("one of {}, or a list of them", listed(words)),
        ValueType::List(item) if **item == ValueType::Text => "list of strings".into(),
        ValueType::List(item) => format!("list with values that are {}", self::kind(item)),
        ValueType::Map => "table".into(),
        ValueType::Section(header) => format!("section `{header}`"),
        ValueType::Sections(header) => format!("sections `{header}`"),
    }
}

#[allow(clippy::panic, reason = "stops the build of the manual at a wrong declaration")]
fn default(value: &ValueDoc) -> String {
    match value.default.as_deref() {
        None if value.required => "Required.".into(),
        None => panic!("an optional key has no default: {value:?}"),
        Some(default) if default.ends_with("required") => {
            format!("{}{}.", default[..1].to_uppercase(), &default[1..])
        }
        Some(default) if format!("value = {default}").parse::<toml::Table>().is_ok() => {
            format!("Default: `{default}`.")
        }
        Some(default) => format!("Default: {default}."),
    }
}

/// Whether the key begins a section of its own.
pub(super) const fn is_section(value: &ValueDoc) -> bool {
    matches!(value.kind, ValueType::Section(_) | ValueType::Sections(_))
}

fn anchor(header: &str) -> String {
    header.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

fn roff(text: &str) -> String {
    let text = text.replace('`', "").replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const PAGE: &str = r#"# Configuration

<!-- Generated from the declarations of the keys in src/config: TOLLGATE_TEST_WRITE=1 tests/run --test tests manual -->

The configuration is one TOML file. `tollgate check -c FILE` reports all errors with file, line and key, and each message names a
remedy. An unknown key is an error. `tollgate schema` prints a JSON Schema for editors; `tollgate init` writes it beside the
configuration file, whose first line `#:schema ./tollgate.schema.json` names it.

- **Duration**: a whole number with the unit `ms`, `s`, `m`, `h` or `d`, such as `"500ms"` or `"30d"`.
- **Size**: a whole number with the unit `B`, `KiB`, `MiB` or `GiB`, such as `"64KiB"`, or `"0"`.
- **Path**: a relative path begins at the directory of the configuration file. The path of a secret file or of `keys_dir` can begin
  with `${CREDENTIALS_DIRECTORY}`, the directory for `LoadCredential=` of systemd. Tollgate rejects a secret file or signing key
  to which group or others have access.
- **Reloadable**: a change takes effect without a restart. When the file or a file that it names changes, or on SIGHUP, Tollgate reads
  and checks the whole configuration. A valid one applies to all later requests; requests in flight finish under the previous one.
  With an invalid one, the previous configuration stays in force, and the log and `/status` show the errors.
- **Restart-only**: a change takes effect after a restart. Until then, the log and `/status` report it.

[conf/tollgate.toml](../conf/tollgate.toml) is a sample with every key. The other files in `conf/` are samples for common cases.

Sections:

"#;

const MANUAL_START: &str = r#".\" Generated from the declarations of the keys in src/config.
.TH tollgate.toml 5 "" "tollgate" "Tollgate"
.SH NAME
tollgate.toml \- configuration of the authenticating reverse proxy tollgate
.SH SYNOPSIS
.I /etc/tollgate/tollgate.toml
.SH DESCRIPTION
The configuration is one TOML file.
.B tollgate check
reports all errors with file, line and key. An unknown key is an error.
.PP
A duration is a whole number with the unit ms, s, m, h or d, such as "30d". A size is a whole number with the unit B, KiB, MiB
or GiB, such as "64KiB", or "0". A relative path begins at the directory of the file.
.PP
Reloadable: a change takes effect without a restart, when the file changes or on SIGHUP. An invalid configuration is rejected:
the previous one stays in force, and the log and /status show the errors. Restart\-only: a change takes effect after a restart,
and the log and /status report it until then.
"#;

const MANUAL_END: &str = r#".SH SECRETS
Only the user of the service can have access to files with secrets and signing keys (mode 0600).
Their paths can begin with
.BR ${CREDENTIALS_DIRECTORY} ,
the directory for LoadCredential= of the unit. Commands outside of the service do not have this variable and reject such a path.
.SH FILES
.TP
.I /etc/tollgate/tollgate.toml
the configuration of tollgate.service
.TP
.I /usr/share/doc/tollgate/examples
samples for common cases, and
.IR tollgate.toml ,
which has every key
.SH "SEE ALSO"
.BR tollgate (1),
.BR tollgate\-check (1),
.BR tollgate\-schema (1),
.BR systemd.exec (5)
"#;
