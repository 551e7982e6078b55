//! The manual pages and the completions of the shells, from the definition of the command line; and the reference of the
//! configuration (`reference`). `tests/project/manual.rs` checks them, and the Debian package has them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use clap_complete::Shell;
use clap_mangen::Man;

use super::reference;

/// Every generated file by its path.
pub(super) fn files() -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (shell, name) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut tollgate::cli::command(), "tollgate", &mut script);
        files.insert(format!("completions/tollgate.{name}"), text(script)?);
    }
    for (page, command) in commands() {
        let mut roff = Vec::new();
        let source = format!("tollgate {}", env!("CARGO_PKG_VERSION"));
        Man::new(command).title(&page).date(date()?).source(source).manual("Tollgate").render(&mut roff)?;
        files.insert(format!("man/{page}.1"), text(roff)? + &rest(&page));
    }
    files.insert("man/tollgate.toml.5".into(), reference::manual_page());
    files.insert("configuration.md".into(), reference::page());
    Ok(files)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The day of the last release.
fn date() -> io::Result<String> {
    let signature = CHANGELOG.lines().find(|line| line.starts_with(" -- ")).unwrap_or_default();
    let time =
        jiff::fmt::rfc2822::parse(signature.rsplit("  ").next().unwrap_or_default()).map_err(io::Error::other)?;
    Ok(time.date().to_string())
}

/// Every command, by the name of its page: tollgate, tollgate-user, tollgate-user-add.
pub(super) fn commands() -> BTreeMap<String, clap::Command> {
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
    let mut text = String::from(".SH \"EXIT STATUS\"\n");
    let rows = COMMANDS.lines().skip_while(|line| !line.starts_with("| exit code |")).skip(2);
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

const CHANGELOG: &str = include_str!("../../systemd/debian/changelog");
const COMMANDS: &str = include_str!("../commands.md");
