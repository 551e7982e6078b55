//! The scripts of the repository: CONTRIBUTING.md lists all of them, and they install fixed versions.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every executable file, by its path in the repository.
fn scripts() -> Vec<String> {
    fn walk(directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && ![".git", "target"].contains(&entry.file_name().to_str().unwrap()) {
                walk(&path, found);
            } else if kind.is_file() && entry.metadata().unwrap().permissions().mode() & 0o100 != 0 {
                let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), &mut found);
    found.sort();
    found
}

#[test]
fn contributing_lists_every_script() {
    let page = read("CONTRIBUTING.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| script |")).skip(2);
    let rows: BTreeMap<_, _> = rows
        .take_while(|row| row.starts_with('|'))
        .map(|row| row.trim_matches('|').split_once('|').unwrap())
        .map(|(script, purpose)| (script.trim().trim_matches('`').to_owned(), purpose.trim().to_owned()))
        .collect();
    assert_eq!(rows.keys().cloned().collect::<Vec<_>>(), scripts(), "the table of CONTRIBUTING.md, and the scripts");
    for (script, purpose) in rows {
        assert!(purpose.len() > 20, "CONTRIBUTING.md does not say what {script} does");
        let text = read(&script);
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("#!/"), "{script} has no interpreter");
        assert!(lines.next().unwrap().starts_with("# "), "{script} does not say what it does");
    }
}

#[test]
fn scripts_install_fixed_versions_from_pypi() {
    let mut installs = 0;
    for script in scripts() {
        let text = read(&script);
        for (at, _) in text.match_indices("pip\" install") {
            let command = text[at..].split("\n\n").next().unwrap();
            assert!(command.contains("--require-hashes") || command.contains("--constraint"), "{script}: {command}");
            installs += 1;
        }
    }
    assert!(installs >= 5, "{installs}");
    for line in read("tests/python.txt").lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("=="), "{line}");
    }
}
