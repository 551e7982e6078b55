//! `tollgate check`.

use std::io::Write;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use serde_json::json;

use super::ConfigFile;
use crate::config::{Config, Database, Diagnostic, Host, Mode, Reach, Severity, load};
use crate::exit::{self, Failure};
use crate::ops::fetch_keys;
use crate::store::{self, Problem};
use crate::token::IssuerKeys;

/// Validate a configuration: print every error and warning with its place, and exit with 0 or 78
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// Print errors and warnings as a JSON array: severity, file, line, column, key, message and remedy of each
    #[arg(long)]
    json: bool,
    /// Do not contact the database server and the trusted issuers, and do not resolve the names of upstreams
    #[arg(long)]
    offline: bool,
}

impl Args {
    pub(super) fn run(&self, out: &mut dyn Write, stderr: &mut dyn Write) -> Result<(), Failure> {
        let (config, mut found) = match load(&self.config.path, Mode::Rehearse) {
            Ok(mut config) => {
                let mut found = std::mem::take(&mut config.warnings);
                if let Some(reach) = &config.reach {
                    found.extend(store_problem(&config, reach, self.offline)?);
                    if !self.offline {
                        found.extend(unreachable_issuers(&config, reach));
                        found.extend(unresolved_names(&config, reach));
                    }
                }
                (Some(config), found)
            }
            Err(errors) => (None, errors.iter().chain(&errors.warnings).cloned().collect()),
        };
        // Between the errors, in the order of lines.
        found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        if self.json {
            let objects: Vec<_> = found.iter().map(|diagnostic| object(diagnostic).to_string()).collect();
            writeln!(out, "[{}]", objects.join(",\n "))?;
        } else {
            for diagnostic in &found {
                writeln!(stderr, "{diagnostic}")?;
            }
        }
        let has_error = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        let Some(config) = config.filter(|_| !has_error) else {
            return Err(Failure { code: exit::CONFIG, lines: Vec::new() });
        };
        let warnings = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning).count();
        if self.strict && warnings > 0 {
            let message = format!("{} refused by --strict", counted(warnings, "warning"));
            return Err(Failure::new(exit::CONFIG, message));
        }
        if !self.json {
            self.summary(&config, warnings, out)?;
        }
        Ok(())
    }

    fn summary(&self, config: &Config, warnings: usize, out: &mut dyn Write) -> std::io::Result<()> {
        let routing = &config.policy.routing;
        let mut parts = vec![
            counted(config.policy.realms.len(), "realm"),
            counted(routing.logins.len(), "login"),
            counted(routing.routes.len(), "route"),
        ];
        if warnings > 0 {
            parts.push(counted(warnings, "warning"));
        }
        writeln!(out, "{}: ok ({})", self.config.path.display(), parts.join(", "))
    }
}

/// Checks whether the store can be opened.
fn store_problem(config: &Config, reach: &Reach, offline: bool) -> Result<Option<Diagnostic>, Failure> {
    if offline && matches!(config.store, Database::Postgres(_)) {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let problem = runtime.block_on(store::examine(&config.store)).err();
    Ok(problem.map(|problem| match problem {
        Problem::Unreachable(sentence) => reach
            .store
            .with(Severity::Warning, format!("{sentence}: start the database server, or let this machine reach it")),
        Problem::Unusable(sentence) => {
            reach.store.with(Severity::Error, format!("{sentence}: restore the database, or name another one"))
        }
    }))
}

/// Returns the trusted issuers whose keys can't be fetched at the moment. All are fetched at once.
fn unreachable_issuers(config: &Config, reach: &Reach) -> Vec<Diagnostic> {
    let ask = |(place, keys): &(Diagnostic, Arc<IssuerKeys>)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let problem = runtime.block_on(fetch_keys(&config.policy, keys)).err()?;
        Some(place.with(
            Severity::Warning,
            format!("the keys are unavailable at the moment: {problem}: let this machine reach it"),
        ))
    };
    std::thread::scope(|scope| {
        let asked: Vec<_> = reach.issuers.iter().map(|issuer| scope.spawn(move || ask(issuer))).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok().flatten()).collect()
    })
}

/// Returns the upstream names that do not resolve at the moment, or resolve to Tollgate itself. All are resolved at
/// once.
fn unresolved_names(config: &Config, reach: &Reach) -> Vec<Diagnostic> {
    let ask = |(place, host, port): &(Diagnostic, Host, u16)| {
        let problem = match (host.as_str(), *port).to_socket_addrs() {
            Ok(mut addresses) => {
                let own = addresses.find(|address| config.server.is_at(*address))?;
                format!(
                    "{host} leads to {own}, a listen address of Tollgate (proxy loop): write your application's address"
                )
            }
            Err(error) => format!(
                "{host} does not resolve now ({error}), and counts as a server that is down: correct it, or start what has that name"
            ),
        };
        Some(place.with(Severity::Warning, problem))
    };
    std::thread::scope(|scope| {
        let asked: Vec<_> = reach.names.iter().map(|name| scope.spawn(move || ask(name))).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok().flatten()).collect()
    })
}

fn object(diagnostic: &Diagnostic) -> serde_json::Value {
    json!({
        "severity": diagnostic.severity.name(),
        "file": diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "key": diagnostic.key,
        "message": diagnostic.problem(),
        "remedy": diagnostic.remedy(),
    })
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ran {
        code: u8,
        out: String,
        stderr: String,
    }

    fn check(path: &std::path::Path, text: &str, strict: bool, json: bool) -> Ran {
        std::fs::write(path, text).unwrap();
        let (mut out, mut stderr) = (Vec::new(), Vec::new());
        let result =
            Args { config: ConfigFile { path: path.into() }, strict, json, offline: false }.run(&mut out, &mut stderr);
        let code = result.map_or_else(
            |failure| {
                failure.report(&mut stderr);
                failure.code
            },
            |()| 0,
        );
        Ran { code, out: String::from_utf8(out).unwrap(), stderr: String::from_utf8(stderr).unwrap() }
    }

    #[test]
    fn says_what_is_there_or_everything_that_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        let good = include_str!("../../conf/guard-an-app.toml").replace("/var/lib/tollgate", ".");
        let ran = check(&path, &good, true, false);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_eq!(ran.out, format!("{}: ok (1 realm, 1 login, 1 route)\n", path.display()));
        assert_eq!(check(&path, &good, true, true).out, "[]\n");
        let bad = good.replace("url =", "ur =").replace("access =", "acess =");
        let ran = check(&path, &bad, false, false);
        assert_eq!((ran.code, ran.out.as_str()), (78, ""));
        assert_eq!(ran.stderr.lines().count(), 2, "that one is missing follows: {}", ran.stderr);
        assert!(ran.stderr.lines().all(|line| line.starts_with(&format!("{}:", path.display()))), "{}", ran.stderr);
        assert_eq!(counted(0, "route"), "0 routes");
        let ran = check(&path, &bad, false, true);
        assert_eq!((ran.code, ran.stderr.as_str()), (78, ""));
        let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(found.as_array().unwrap().len(), 2);
        let line = 1 + bad.lines().position(|line| line.starts_with("ur =")).unwrap();
        let unknown = found.as_array().unwrap().iter().find(|one| one["key"] == "store.ur").unwrap();
        let file = path.to_str().unwrap();
        assert_eq!(
            *unknown,
            json!({"severity": "error", "file": file, "line": line, "column": 1, "key": "store.ur",
                   "message": "unknown key", "remedy": "did you mean url?"})
        );
        let dubious = format!("{good}\n[[realm.key]]\nid = \"short\"\nsecret = \"hunter2-123\"\n").replacen(
            "access = \"user\"",
            "access = [\"user\", \"key\"]",
            1,
        );
        let ran = check(&path, &dubious, false, false);
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{}", ran.stderr);
        assert!(ran.stderr.contains(": warning: realm."), "{}", ran.stderr);
        assert!(ran.out.contains("1 route, 1 warning)"), "{}", ran.out);
        let ran = check(&path, &dubious, true, false);
        assert_eq!((ran.code, ran.out.as_str(), ran.stderr.lines().count()), (78, "", 2), "{}", ran.stderr);
        assert!(ran.stderr.ends_with("tollgate: 1 warning refused by --strict\n"), "{}", ran.stderr);
        let found: serde_json::Value = serde_json::from_str(&check(&path, &dubious, false, true).out).unwrap();
        assert_eq!((&found[0]["severity"], found.as_array().unwrap().len()), (&"warning".into(), 1));
    }
}
