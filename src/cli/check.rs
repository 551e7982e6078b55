//! `tollgate check`.

use std::io::Write;

use super::ConfigFile;
use crate::config::{Mode, load};
use crate::exit::Failure;

/// Validate a configuration: print every error with its place, and exit with 0 or 78
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

impl Args {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let policy = load(&self.config.path, Mode::Check)?.policy;
        let routing = policy.routing();
        writeln!(
            out,
            "{}: ok ({}, {}, {})",
            self.config.path.display(),
            counted(policy.realms().len(), "realm"),
            counted(routing.logins().len(), "login"),
            counted(routing.routes().len(), "route"),
        )?;
        Ok(())
    }
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use super::*;

    #[test]
    fn says_what_is_there_or_everything_that_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        let check = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let mut out = Vec::new();
            let result = Args { config: ConfigFile { path: path.clone() } }.run(&mut out);
            result.map(|()| String::from_utf8(out).unwrap())
        };
        let good = include_str!("../../conf/guard-an-app.toml").replace("/var/lib/tollgate", "data");
        assert_eq!(check(&good).unwrap(), format!("{}: ok (1 realm, 1 login, 1 route)\n", path.display()));
        let failure = check(&good.replace("url =", "ur =").replace("access =", "acess =")).unwrap_err();
        let mut stderr = Vec::new();
        assert_eq!(failure.report(&mut stderr), ExitCode::from(78));
        let lines = String::from_utf8(stderr).unwrap();
        assert_eq!(lines.lines().count(), 4, "{lines}");
        assert!(lines.lines().all(|line| line.starts_with(&format!("{}:", path.display()))), "{lines}");
        assert_eq!(counted(0, "route"), "0 routes");
    }
}
