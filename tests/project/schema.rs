//! Generated from the declarations of the configuration keys: the words of the fuzz target `config`, and the JSON Schema.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tollgate::config::{ValueType, json_schema};

use super::reference::{is_section, sections};

/// Keys, headers, words and examples, each as libFuzzer reads it.
pub fn dictionary() -> String {
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
