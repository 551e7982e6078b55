//! Rules of the source tree: dependencies between modules, versions in the lock file, completeness of docs/.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every source file: its path below src, and its lines of code (comments and tests left out) with their numbers.
fn sources() -> Vec<(String, Vec<(usize, String)>)> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        // A module of tests is the last thing in its file (CONTRIBUTING.md, Order in a file).
        let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
        let lines = text[..end].lines().enumerate();
        let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//") && !line.trim().is_empty());
        (name, code.map(|(at, line)| (at + 1, line.to_owned())).collect())
    };
    files.into_iter().map(read).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // Modules of tests, and what they share.
        let is_of_tests = ["tests", "tests.rs", "fixture.rs"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !is_of_tests {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_of_tests {
            files.push(path);
        }
    }
}

/// From the ground up, as src/lib.rs tells it: a module may name those below it, never one above.
const FLOORS: [&str; 18] = [
    "json",
    "clock",
    "filesystem",
    "owner",
    "quota",
    "log_output",
    "outbound",
    "token",
    "keystore",
    "config",
    "store",
    "gate",
    "pages",
    "login",
    "proxy",
    "exit",
    "ops",
    "cli",
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| *floor == module)
}

#[test]
fn no_module_names_one_above_it() {
    let mut wrong = Vec::new();
    for (name, lines) in sources() {
        let module = name.split(['/', '.']).next().unwrap();
        if matches!(module, "main" | "lib") {
            continue;
        }
        let own = floor(module).unwrap_or_else(|| panic!("{name}: a module that the house does not know"));
        for (at, line) in lines {
            for (_, rest) in line.match_indices("crate::").map(|(at, found)| (at, &line[at + found.len()..])) {
                // `use crate::{a, b}` names several.
                let named =
                    rest.strip_prefix('{').map_or_else(|| vec![rest], |list| list.split(',').map(str::trim).collect());
                for name_of in named {
                    let other: String =
                        name_of.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
                    if floor(&other).is_some_and(|other| other > own) {
                        wrong.push(format!("src/{name}:{at}: {}", line.trim()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these name a module above their own:\n{}", wrong.join("\n"));
}

#[test]
fn pingora_is_named_only_where_the_glue_is() {
    for (name, lines) in sources() {
        let glue = name.starts_with("proxy/")
            || name.starts_with("ops/")
            || matches!(name.as_str(), "cli/serve.rs" | "cli/demo.rs");
        for (at, line) in lines {
            assert!(glue || !line.contains("pingora"), "src/{name}:{at}: {}", line.trim());
        }
    }
}

#[test]
fn sql_is_only_in_the_store() {
    for (name, lines) in sources() {
        for (at, line) in lines {
            let sql = ["sqlx", "SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "CREATE TABLE", "PRAGMA"]
                .iter()
                .any(|word| line.contains(word));
            assert!(name.starts_with("store/") || !sql, "src/{name}:{at}: {}", line.trim());
        }
    }
}

#[test]
fn gate_and_token_are_pure() {
    for (name, lines) in sources()
        .into_iter()
        .filter(|(name, _)| name.starts_with("gate/") || name.starts_with("token/") || name == "quota.rs")
    {
        for (at, line) in lines {
            // Synchronization is neither I/O nor a clock.
            let line = line.replace("tokio::sync", "").replace("#[tokio::test]", "");
            for impure in [
                "std::fs",
                "std::net::Tcp",
                "tokio",
                "SystemTime",
                "Instant::now",
                "Timestamp::now",
                "std::env",
                "std::process",
            ] {
                assert!(!line.contains(impure), "src/{name}:{at}: {impure}");
            }
        }
    }
}

#[test]
fn no_file_is_too_long_to_read_and_no_name_says_nothing() {
    for (name, lines) in sources() {
        assert!(lines.len() <= 420, "src/{name} has {} lines of code", lines.len());
        let stem = name.rsplit('/').next().unwrap();
        for word in ["manager", "helper", "util", "common", "misc"] {
            assert!(!stem.contains(word), "src/{name}");
        }
    }
}

#[test]
fn the_lock_file_keeps_the_version_floors() {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let version = |text: &str| -> Vec<u64> {
        let core = text.split(['-', '+']).next().unwrap();
        core.split('.').map(|part| part.parse().unwrap()).collect()
    };
    // R13–R15 and R18 (pingora, h2), R21: a token's `exp` of the wrong type (jsonwebtoken). No advisory database knows
    // of the last one, so this is what keeps it away.
    for (name, least) in [
        ("pingora", "0.9.1"),
        ("pingora-core", "0.9.1"),
        ("pingora-proxy", "0.9.1"),
        ("jsonwebtoken", "10.3.0"),
        ("h2", "0.4.16"),
    ] {
        let found: Vec<_> = packages.iter().filter(|package| package["name"].as_str() == Some(name)).collect();
        assert!(!found.is_empty(), "{name} is not in the lock file");
        for package in found {
            let locked = package["version"].as_str().unwrap();
            assert!(version(locked) >= version(least), "{name} {locked} is older than {least}");
        }
    }
}

#[test]
fn every_known_fault_has_a_row_and_a_check() {
    let security = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    for number in 1..=69 {
        let link = format!("[R{number}](");
        let row = security.lines().find(|line| line.starts_with("| [R") && line.contains(&link));
        let row = row.unwrap_or_else(|| panic!("R{number} has no row in SECURITY.md"));
        let file = row.split_once(&link).unwrap().1.split(')').next().unwrap();
        let checks = fs::read_to_string(root().join(file)).unwrap();
        let is_tested = ["def", "fn"].iter().any(|word| checks.contains(&format!("{word} r{number:02}_")));
        assert!(is_tested, "{file} has no test of R{number}");
    }
}

/// Every string that stands where a reason code stands.
fn reason_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let deny = fs::read_to_string(root().join("src/gate/deny.rs")).unwrap();
    for line in deny.lines() {
        // (400, "framing_invalid", "…")
        let Some((_, rest)) = line.split_once("=> (") else { continue };
        let mut parts = rest.split(", ");
        let (status, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // Not `reject.code()`: those stand in error.rs.
        if code.starts_with('"') && status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()) {
            codes.insert(code.trim_matches('"').to_owned());
        }
    }
    let token = fs::read_to_string(root().join("src/token/error.rs")).unwrap();
    for line in token.lines() {
        if let Some((_, code)) = line.split_once("=> \"token_") {
            codes.insert(format!("token_{}", code.split('"').next().unwrap()));
        }
    }
    codes
}

#[test]
fn errors_md_lists_every_reason_code() {
    let codes = reason_codes();
    assert!(codes.len() >= 45 && codes.contains("key_missing") && codes.contains("token_revoked"), "{codes:?}");
    let page = fs::read_to_string(root().join("docs/errors.md")).expect("docs/errors.md");
    let missing: Vec<_> = codes.iter().filter(|code| !page.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/errors.md does not list {missing:?}");
}

#[test]
fn metrics_md_lists_every_metric_and_no_other() {
    let words = |text: &str| -> BTreeSet<String> {
        let names = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        names.filter(|name| name.starts_with("tollgate_") && *name != "tollgate_").map(str::to_owned).collect()
    };
    let metrics = sources().into_iter().filter(|(name, _)| name.starts_with("ops/metrics/"));
    let lines = metrics.flat_map(|(_, lines)| lines).map(|(_, line)| line);
    let strings = lines.flat_map(|line| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    let code: BTreeSet<_> = strings.flat_map(|text| words(&text)).collect();
    let page = words(&fs::read_to_string(root().join("docs/metrics.md")).expect("docs/metrics.md"));
    assert!(code.len() > 30, "{code:?}");
    assert_eq!(code, page);
}

/// What GitHub makes of a heading, for links to it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let own = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let mut dead = Vec::new();
    for page in pages.chain(own) {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let leads = match heading {
                None => target.exists(),
                Some(heading) => fs::read_to_string(&target)
                    .is_ok_and(|text| text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)),
            };
            if !leads {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn the_folders_that_every_project_needs_are_there() {
    for file in [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        "deny.toml",
        "clippy.toml",
        "rustfmt.toml",
        ".ci/run",
        "tests/run",
    ] {
        assert!(root().join(file).exists(), "{file} is missing");
    }
}
