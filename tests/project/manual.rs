//! The manual pages, the completions and the reference of the configuration, which `docs/manual/` generates: they have every
//! command, option and key, and the generated files in the tree are current. After a change of a configuration key:
//! `TOLLGATE_TEST_WRITE=1 tests/run --test tests manual`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::run;

use super::pages::{commands, files};
use super::reference::sections;
use super::schema::dictionary;

fn generated() -> BTreeMap<String, String> {
    files().unwrap()
}

#[test]
fn the_generated_files_in_the_tree_are_current() {
    for (path, text) in [
        ("docs/configuration.md", generated().remove("configuration.md").unwrap()),
        ("tests/fuzz/dictionaries/config", dictionary()),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("TOLLGATE_TEST_WRITE").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let is_current = fs::read_to_string(&file).unwrap() == text;
        assert!(is_current, "{path} is out of date: run TOLLGATE_TEST_WRITE=1 tests/run --test tests manual");
    }
}

#[test]
fn every_command_is_in_the_completions_and_the_pages() {
    let files = generated();
    assert!(files.len() > 20, "{:?}", files.keys());
    for (page, command) in commands() {
        let name = command.get_name();
        for (file, text) in files.iter().filter(|(file, _)| file.starts_with("completions/")) {
            assert!(text.contains(name), "{file} has no {name}");
        }
        let text = &files[&format!("man/{page}.1")];
        assert!(text.contains(&page.replace('-', "\\-")), "{text}");
        for argument in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(text.contains(&argument.replace('-', "\\-")), "{page}.1 has no {argument}");
        }
    }
    assert!(files["man/tollgate.1"].contains(".B 78\n"), "{}", files["man/tollgate.1"]);
}

#[test]
fn every_key_is_in_the_manual_page_and_the_reference() {
    let files = generated();
    let (manual, page) = (&files["man/tollgate.toml.5"], &files["configuration.md"]);
    let mut keys = 0;
    for section in sections() {
        let header = section.header;
        let manual = manual.split_once(&format!("\n.SH {header}\n")).unwrap_or_else(|| panic!("no {header}")).1;
        let manual = manual.split("\n.SH ").next().unwrap();
        let page = page.split_once(&format!("\n## `{header}`\n")).unwrap_or_else(|| panic!("no {header}")).1;
        let page = page.split("\n## ").next().unwrap();
        for key in &section.keys {
            assert!(
                manual.contains(&format!(".TP\n.B {}\n", key.name)),
                "tollgate.toml.5 has no {header} {}",
                key.name
            );
            assert!(page.contains(&format!("- **`{}`**: ", key.name)), "configuration.md has no {header} {}", key.name);
            keys += 1;
        }
    }
    assert!(keys > 100, "{keys}");
}

#[test]
fn groff_renders_the_pages_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("groff");
    command.args(["-man", "-ww", "-z", "-K", "utf8", "-T", "utf8"]).current_dir(dir.path());
    for (name, text) in generated().iter().filter(|(name, _)| name.starts_with("man/")) {
        let name = name.trim_start_matches("man/");
        fs::write(dir.path().join(name), text).unwrap();
        command.arg(name);
    }
    let ran = run(&mut command, b"").ok();
    assert_eq!(ran.stderr, "");
}
