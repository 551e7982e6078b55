//! The manual pages and the completions in docs/ are made from the command line itself, the reference of the configuration from
//! the declarations of its keys (`reference`). They are kept in the tree, so that `cargo deb` finds them. After a change of
//! either: `TOLLGATE_TEST_WRITE=1 tests/run --test tests manual`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::Shell;
use clap_mangen::Man;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// Every file that is made, by its path below docs/.
fn made() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (shell, name) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut tollgate::cli::command(), "tollgate", &mut script);
        files.insert(format!("completions/tollgate.{name}"), String::from_utf8(script).unwrap());
    }
    for (page, command) in commands() {
        let mut text = Vec::new();
        let source = format!("tollgate {}", env!("CARGO_PKG_VERSION"));
        Man::new(command).title(&page).date(date()).source(source).manual("Tollgate").render(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap() + &rest(&page);
        // Spaces at the ends of lines mean nothing, and editors and git mind them.
        let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        files.insert(format!("man/{page}.1"), text);
    }
    files.extend(super::reference::made());
    files
}

/// The day of the last release.
fn date() -> String {
    let changelog = fs::read_to_string(docs().join("../systemd/debian/changelog")).unwrap();
    let signature = changelog.lines().find(|line| line.starts_with(" -- ")).unwrap();
    jiff::fmt::rfc2822::parse(signature.rsplit("  ").next().unwrap()).unwrap().date().to_string()
}

/// Every command, by the name of its page: tollgate, tollgate-user, tollgate-user-add.
fn commands() -> BTreeMap<String, clap::Command> {
    fn walk(page: &str, command: &clap::Command, pages: &mut BTreeMap<String, clap::Command>) {
        for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
            walk(&format!("{page}-{}", child.get_name()), child, pages);
        }
        pages.insert(page.into(), command.clone());
    }
    let mut root = tollgate::cli::command();
    root.build();
    let mut pages = BTreeMap::new();
    walk("tollgate", &root, &mut pages);
    pages
}

/// What the command line does not know, after what it does. The exit codes are those of docs/commands.md.
fn rest(page: &str) -> String {
    if page != "tollgate" {
        return ".SH \"SEE ALSO\"\n.BR tollgate (1),\n.BR tollgate.toml (5)\n".into();
    }
    let commands = fs::read_to_string(docs().join("commands.md")).unwrap();
    let mut text = String::from(".SH \"EXIT STATUS\"\n");
    let rows = commands.lines().skip_while(|line| !line.starts_with("| exit code |")).skip(2);
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.trim_matches('|').splitn(2, '|').map(|cell| cell.trim().replace('`', "")).collect();
        let _ = writeln!(text, ".TP\n.B {}\n{}", cells[0], roff(&cells[1]));
    }
    text + REST
}

fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

const REST: &str = r#".SH SIGNALS
These are for
.BR "tollgate serve" .
.TP
.B SIGHUP
reads the configuration again; a file with an error changes nothing
.TP
.B SIGUSR2
hands the listening sockets over to the binary that is now at the same path, and ends when its own requests have
.TP
.BR SIGTERM ", " SIGINT
stop it: requests in flight may finish for server.shutdown_grace; a second one stops it at once
.SH FILES
.TP
.I /etc/tollgate/tollgate.toml
the configuration of the service
.TP
.I /var/lib/tollgate
the database and the signing keys of the service
.TP
.I /usr/share/doc/tollgate/examples
a configuration for each common case, and
.IR tollgate.toml ,
which has every key
.SH "SEE ALSO"
.BR tollgate.toml (5),
.BR systemctl (1),
.I /usr/share/doc/tollgate
"#;

#[test]
fn pages_and_completions_are_those_of_the_command_line() {
    let made = made();
    let write = std::env::var_os("TOLLGATE_TEST_WRITE").is_some();
    let mut there = BTreeSet::new();
    for dir in ["man", "completions"] {
        for entry in fs::read_dir(docs().join(dir)).unwrap() {
            there.insert(format!("{dir}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    let mut stale: BTreeSet<_> = there.into_iter().filter(|name| !made.contains_key(name)).collect();
    if write {
        stale.iter().for_each(|name| fs::remove_file(docs().join(name)).unwrap());
        stale.clear();
    }
    for (name, text) in &made {
        let path = docs().join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(text) {
            if write {
                fs::write(&path, text).unwrap();
            } else {
                stale.insert(name.clone());
            }
        }
    }
    assert!(
        stale.is_empty(),
        "not what the command line and the configuration say: {stale:?}; run TOLLGATE_TEST_WRITE=1 tests/run --test tests manual"
    );
}

#[test]
fn every_command_is_in_the_completions_and_the_pages() {
    let made = made();
    assert!(made.len() > 20, "{:?}", made.keys());
    for (page, command) in commands() {
        let name = command.get_name();
        for (file, text) in made.iter().filter(|(file, _)| file.starts_with("completions/")) {
            assert!(text.contains(name), "{file} has no {name}");
        }
        let text = &made[&format!("man/{page}.1")];
        assert!(text.contains(&page.replace('-', "\\-")), "{text}");
        for argument in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(text.contains(&argument.replace('-', "\\-")), "{page}.1 has no {argument}");
        }
    }
    assert!(made["man/tollgate.1"].contains(".B 78\n"), "{}", made["man/tollgate.1"]);
}
