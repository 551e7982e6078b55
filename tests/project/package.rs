//! The units and the Debian package, as far as they can be judged without installing them: `.ci/package` does that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Ran, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every value of this key of a unit, comments left out.
fn values(unit: &str, key: &str) -> Vec<String> {
    let text = read(&format!("systemd/{unit}"));
    let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.map(str::to_owned).collect()
}

/// `[package.metadata.deb]`.
fn deb() -> toml::Table {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    manifest["package"]["metadata"]["deb"].as_table().unwrap().clone()
}

/// Where from, and where to: a directory if it ends with a slash.
fn assets() -> Vec<(String, String)> {
    let assets = deb()["assets"].as_array().unwrap().clone();
    assets.iter().map(|asset| (asset[0].as_str().unwrap().into(), format!("/{}", asset[1].as_str().unwrap()))).collect()
}

/// The files that the package has from `target/manual/`.
fn manual() -> BTreeMap<String, String> {
    super::pages::files().unwrap()
}

fn analyze(args: &[&str]) -> Ran {
    run(Command::new("systemd-analyze").env("SYSTEMD_COLORS", "0").args(args), b"")
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let dir = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for name in ["tollgate.service", "tollgate.socket"] {
        // It looks whether the binary is there, and installed it is not.
        let text = read(&format!("systemd/{name}")).replace("/usr/bin/tollgate", env!("CARGO_BIN_EXE_tollgate"));
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        units.push(path.to_str().unwrap().to_owned());
    }
    let ran = analyze(&["verify", "--man=no", &units[0], &units[1]]).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    // 15 is 1.5.
    analyze(&["security", "--offline=true", "--no-pager", "--threshold=15", &units[0]]).ok();
}

#[test]
fn what_the_units_name_is_in_the_package() {
    let assets = assets();
    let installed = |path: &str| {
        assets.iter().any(|(source, to)| {
            let name = source.rsplit('/').next().unwrap();
            if to.ends_with('/') { format!("{to}{name}") == path } else { to == path }
        })
    };
    let mut commands = Vec::new();
    for key in ["ExecStartPre", "ExecStart", "ExecReload"] {
        commands.extend(values("tollgate.service", key));
    }
    assert_eq!(commands.len(), 4);
    for command in commands {
        for path in command.split(' ').filter(|word| word.starts_with('/')) {
            // Of procps, on which the package depends.
            assert!(installed(path) || path == "/bin/kill", "{path} is in no package");
        }
    }
    for unit in ["tollgate.service", "tollgate.socket"] {
        for page in values(unit, "Documentation").iter().flat_map(|pages| pages.split(' ')) {
            let (name, section) = page.trim_start_matches("man:").trim_end_matches(')').split_once('(').unwrap();
            assert!(manual().contains_key(&format!("man/{name}.{section}")), "{page}");
        }
    }
    let user = &values("tollgate.service", "User")[0];
    assert!(read("systemd/tollgate.sysusers").contains(&format!("\nu {user} ")));
    let (state, mode) =
        (&values("tollgate.service", "StateDirectory")[0], &values("tollgate.service", "StateDirectoryMode")[0]);
    let line = format!("directory /var/lib/{state} {mode} {user}\n");
    assert!(read("systemd/debian/postinst").contains(&line), "not as the service has it: {line}");
}

#[test]
fn what_the_package_takes_is_there() {
    let manual = manual();
    for (source, _) in assets() {
        // The program and its bill of materials are there after a build.
        if matches!(source.as_str(), "target/release/tollgate" | "target/release/tollgate.cdx.json") {
            continue;
        }
        let (dir, name) = source.rsplit_once('/').unwrap_or((".", &source));
        let (start, end) = name.split_once('*').unwrap_or((name, ""));
        let matches = |file: &str| file == name || (name != start && file.starts_with(start) && file.ends_with(end));
        let exists = if let Some(dir) = dir.strip_prefix("target/manual/") {
            manual
                .keys()
                .any(|path| path.strip_prefix(dir).and_then(|path| path.strip_prefix('/')).is_some_and(matches))
        } else {
            let files = fs::read_dir(root().join(dir.trim_end_matches("/**"))).unwrap();
            files.map(|file| file.unwrap().file_name()).any(|file| matches(file.to_str().unwrap()))
        };
        assert!(exists, "no file for the asset {source}");
    }
    let version = format!("tollgate ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(read("systemd/debian/changelog").starts_with(&version), "no entry that begins with {version}");
    for script in ["postinst", "postrm"] {
        let script = read(&format!("systemd/debian/{script}"));
        assert!(script.contains("\n#DEBHELPER#\n"), "cargo deb has no place for its part: {script}");
    }
}

#[test]
fn r44_what_the_package_starts_with_lets_nobody_in() {
    let starter: toml::Table = read("conf/guard-an-app.toml").parse().unwrap();
    assert!(assets().contains(&("conf/guard-an-app.toml".into(), "/etc/tollgate/tollgate.toml".into())));
    let listen = starter["server"]["listen"].as_array().unwrap();
    assert!(listen.iter().all(|address| address.as_str().unwrap().starts_with("127.0.0.1:")), "{listen:?}");
    for route in starter["route"].as_array().unwrap() {
        assert_eq!(route["access"].as_str(), Some("user"));
    }
    for realm in starter["realm"].as_array().unwrap() {
        let registration = realm.get("registration").and_then(toml::Value::as_str).unwrap_or("closed");
        assert_eq!(registration, "closed");
    }
    // Nothing runs before it is started.
    let units = &deb()["systemd-units"];
    assert_eq!((units["enable"].as_bool(), units["start"].as_bool()), (Some(false), Some(false)));
    // Who enables the socket first needs no other configuration.
    let sockets: Vec<_> = values("tollgate.socket", "ListenStream").into_iter().map(toml::Value::from).collect();
    assert_eq!(&sockets, listen);
}
