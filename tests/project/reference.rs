//! The reference of the configuration, made from the declarations of its keys: docs/configuration.md, tollgate.toml(5) and the
//! words of the fuzz target `config`. `manual` writes them and keeps them current; here are their forms, and the test of the
//! JSON Schema.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use tollgate::config::{Effect, KeyDoc, SectionDoc, ValueDoc, ValueType, json_schema, reference};

/// Every file that is made, by its path below docs/.
pub fn made() -> Vec<(String, String)> {
    vec![
        ("configuration.md".into(), page()),
        ("man/tollgate.toml.5".into(), manual_page()),
        ("../tests/fuzz/dictionaries/config".into(), dictionary()),
    ]
}

fn page() -> String {
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

fn manual_page() -> String {
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

fn sections() -> impl Iterator<Item = SectionDoc> {
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

const fn is_section(value: &ValueDoc) -> bool {
    matches!(value.kind, ValueType::Section(_) | ValueType::Sections(_))
}

fn anchor(header: &str) -> String {
    header.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

fn roff(text: &str) -> String {
    let text = text.replace('`', "").replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// Keys, headers, words and examples, each as libFuzzer reads it.
fn dictionary() -> String {
    let mut words: BTreeSet<String> = MORE_WORDS.iter().map(|word| (*word).to_owned()).collect();
    for section in sections() {
        words.insert(section.header.to_owned());
        words.insert(format!("{}\n", section.header));
        for key in section.keys {
            words.insert(format!("{} = ", key.name));
            if let ValueType::Word(known) | ValueType::Words(known) = &key.value.kind {
                words.extend(known.iter().map(|word| format!("\"{word}\"")));
            }
            if !is_section(&key.value) {
                words.insert(key.value.example_value().to_owned());
            }
        }
    }
    // The target refuses files with these: see tests/fuzz/checks/config.rs.
    words.retain(|word| word.is_ascii() && word.len() <= 64 && !["RS", "PS"].iter().any(|name| word.contains(name)));
    let escape = |word: &str| word.replace('\\', "\\\\").replace('"', "\\x22").replace('\n', "\\x0a");
    words.iter().fold(String::new(), |text, word| text + &format!("\"{}\"\n", escape(word)))
}

#[test]
fn another_validator_accepts_the_samples_by_the_schema_and_refuses_mistakes() {
    let python = std::env::var("TOLLGATE_TEST_PYTHON").expect("TOLLGATE_TEST_PYTHON: run tests/run");
    let dir = tempfile::tempdir().unwrap();
    let schema = dir.path().join("schema.json");
    fs::write(&schema, json_schema().to_string()).unwrap();
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let samples = fs::read_dir(&conf).unwrap().map(|entry| entry.unwrap().path());
    let samples: Vec<_> =
        samples.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    assert!(samples.len() >= 4, "{samples:?}");
    // With the defaults, too: a line of the sample with every key that begins with '#' and a key.
    let every_key = fs::read_to_string(conf.join("tollgate.toml")).unwrap();
    let with_defaults = every_key.lines().map(|line| {
        let rest = line.strip_prefix('#').filter(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()));
        format!("{}\n", rest.unwrap_or(line))
    });
    let good = dir.path().join("good.toml");
    fs::write(&good, with_defaults.collect::<String>()).unwrap();
    let mut command = Command::new(&python);
    command.arg("-c").arg(VALIDATOR).arg(&schema).args(samples).arg(&good);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    for (from, to) in [
        ("#threads = 0", "threads = \"0\""),
        ("#retries = 3", "retries = 16"),
        ("#retries = 3", "retrys = 3"),
        ("access = [\"user\", \"key\"]", "access = [\"user\", \"keys\"]"),
        ("#balance = \"round_robin\"", "balance = \"random\""),
        ("#connect_timeout = \"3s\"", "connect_timeout = \"3\""),
        ("\n[store]", "\n[stores]"),
    ] {
        let bad = every_key.replacen(from, to, 1);
        assert_ne!(bad, every_key, "{from}");
        let path = dir.path().join("bad.toml");
        fs::write(&path, bad).unwrap();
        let output = Command::new(&python).arg("-c").arg(VALIDATOR).arg(&schema).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{to}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Validates TOML files with the package jsonschema.
const VALIDATOR: &str = r#"
import datetime, json, sys, tomllib
import jsonschema

def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, (datetime.datetime, datetime.date, datetime.time)) else value

schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
errors = [
    f"{path}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
    for path in sys.argv[2:]
    for error in validator.iter_errors(plain(tomllib.load(open(path, "rb"))))
]
print("\n".join(errors))
sys.exit(1 if errors else 0)
"#;

/// Values and fragments of TOML beside the examples of the keys.
const MORE_WORDS: [&str; 17] = [
    "\"\"\"",
    "'''",
    "0x",
    "1e9",
    "false",
    "true",
    "\"1 MiB\"",
    "\"30d\"",
    "\"5s\"",
    "\"/a\"",
    "\"http://127.0.0.1:1\"",
    "\"https://127.0.0.1:1\"",
    "\"hunter2hunter2hunter2\"",
    "\"${CREDENTIALS_DIRECTORY}/x\"",
    "0.0.0.0/0",
    "postgres://u:hunter2@127.0.0.1/d",
    "{ \"A\" = \"a\" }",
];

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
