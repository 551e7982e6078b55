//! `tollgate token`: tokens by hand, in the store that a running gate has open too.
//!
//! A token never stands on the command line, where everyone on the machine can read it: it comes from standard input,
//! and goes to standard output.

use std::io::{self, BufRead, IsTerminal as _, Read as _, Write};
use std::path::Path;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use jiff::Timestamp;

use super::key::parse_timestamp;
use super::session::longest;
use super::token_inspect::{Inspect, verify_in_realms};
use super::user::{RealmArgs, change, find};
use super::{ConfigFile, Use, realm_of, with_store};
use crate::clock::{self, rfc3339};
use crate::config::{Config, Mode, Realm, load, parse_duration};
use crate::exit::{self, Failure};
use crate::login::session;
use crate::store::{SessionsToEnd, Store, StoreError, TokenExpiry};
use crate::token::{AccountId, TokenId, VerifiedToken};

/// Access tokens: inspect, mint, revoke
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Inspect(Inspect),
    Mint(Mint),
    Revoke(Revoke),
}

/// Print a new access token of a user, to try something out or to give to a program
#[derive(Debug, Args)]
pub(super) struct Mint {
    #[command(flatten)]
    place: RealmArgs,
    /// The user's name, email address or id
    #[arg(long, value_name = "USER")]
    user: String,
    /// How long the token lives, such as 15m, 8h or 30d; at most the realm's token_ttl [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    ttl: Option<Duration>,
}

/// Refuse tokens: one of them, or all that a user was issued until now. A running gate does so within a second
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(false).args(["id", "user", "issuer", "token"])))]
pub(super) struct Revoke {
    #[command(flatten)]
    config: ConfigFile,
    /// The token or session of this id: X-Auth-Token-Id, or "token" in the log; "jti" only of the gate's own tokens
    #[arg(long, value_name = "HEX")]
    id: Option<String>,
    /// The realm of --user
    #[arg(long, value_name = "NAME", requires = "user")]
    realm: Option<String>,
    /// Every token of this user of the realm: name, email address or id
    #[arg(long, value_name = "USER", requires = "realm")]
    user: Option<String>,
    /// Every token that this issuer issued to --subject: "iss" of the token, letter for letter
    #[arg(long, value_name = "ISSUER", requires = "subject")]
    issuer: Option<String>,
    /// "sub" of the token, letter for letter
    #[arg(long, value_name = "SUBJECT", requires = "issuer")]
    subject: Option<String>,
    /// With --issuer: only what was issued until then, by the issuer's clock [default: now]
    #[arg(long, value_name = "RFC3339", value_parser = parse_timestamp, requires = "issuer")]
    before: Option<Timestamp>,
    /// "-": the token that is read from the terminal, or is the first line of standard input
    // No value_parser: clap's error would repeat a token that somebody wrote here.
    #[arg(value_name = "-")]
    token: Option<String>,
}

impl Command {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Inspect(inspect) => inspect.run(out),
            Self::Mint(mint) => mint.run(out, &mut io::stderr().lock()),
            Self::Revoke(revoke) => revoke.run(&mut io::stdin().lock(), io::stdin().is_terminal(), out),
        }
    }
}

impl Mint {
    fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
        let (file, name) = (self.place.config.as_path(), &*self.place.realm);
        let config = load(file, Mode::Check)?;
        let realm = realm_of(&config, file, name)?;
        let longest = realm.token_ttl();
        if self.ttl.is_some_and(|ttl| ttl > longest) {
            let line = format!(
                "--ttl is more than the realm's token_ttl ({}s): a key may go when what it signed for so long has expired",
                longest.as_secs()
            );
            return Err(Failure::new(exit::USAGE, line));
        }
        let ttl = self.ttl.unwrap_or(DEFAULT_TTL).min(longest);
        let minted = with_store(&config, Use::Change, async |store| self.mint(&*store, realm, ttl, file).await)?;
        writeln!(out, "{}", minted.token)?;
        writeln!(
            err,
            "tollgate: a token of {} until {}: whoever has it is that user; end it with tollgate token revoke --id {}",
            minted.user,
            rfc3339(minted.expires_at),
            minted.id,
        )?;
        Ok(())
    }

    async fn mint(&self, store: &dyn Store, realm: &Realm, ttl: Duration, file: &Path) -> Result<Minted, Failure> {
        for _ in 0..ATTEMPTS {
            let user = find(store, realm.name(), &self.user).await?;
            if user.disabled {
                return Err(Failure::new(exit::DATA, format!("{} is disabled", self.user)));
            }
            let claims = session::new_claims(&user, ttl, clock::now());
            let token = realm.tokens().mint_with(&claims, session::extra_claims(&user));
            let token = token.map_err(|_| Failure::new(exit::SOFTWARE, "the signing key does not sign"))?;
            // A realm without a signing key on the disk got one that only this process knows. Who reads the file again
            // has another.
            let again = load(file, Mode::Check)?;
            if realm_of(&again, file, realm.name())?.tokens().verify(&token, claims.issued_at).is_err() {
                let line = format!("{}: the realm has no signing key yet: tollgate serve makes it", realm.name());
                return Err(Failure::new(exit::CONFIG, line));
            }
            // The session before the token is shown, so that there is none that does not end with its user.
            match store.create_session(&session::new_session(realm.name(), &claims), user.version).await {
                Err(StoreError::VersionConflict) => {}
                created => {
                    created?;
                    let name = user.username.or(user.email).unwrap_or(user.id);
                    return Ok(Minted { token, user: name, id: claims.token_id, expires_at: claims.expires_at });
                }
            }
        }
        Err(StoreError::VersionConflict.into())
    }
}

/// A token and what is said of it. No `Debug`: it opens doors.
struct Minted {
    token: String,
    user: String,
    id: TokenId,
    expires_at: i64,
}

impl Revoke {
    fn run(&self, input: &mut dyn BufRead, interactive: bool, out: &mut dyn Write) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Check)?;
        let what = self.what(&config, input, interactive, clock::now())?;
        let said = with_store(&config, Use::Make, async |store| what.revoke(&*store, clock::now()).await)?;
        writeln!(out, "{said}; running gates refuse {} within a second", what.pronoun())?;
        Ok(())
    }

    fn what<'a>(
        &'a self,
        config: &'a Config,
        input: &mut dyn BufRead,
        interactive: bool,
        now: i64,
    ) -> Result<What<'a>, Failure> {
        let usage = |line: &str| Failure::new(exit::USAGE, line);
        if let Some(id) = &self.id {
            // Not quoted: somebody may have written a token.
            let id = id.to_ascii_lowercase().parse();
            return Ok(What::Id(id.map_err(|()| usage("--id is not 32 hex digits, as in X-Auth-Token-Id"))?));
        }
        if let (Some(name), Some(user)) = (&self.realm, &self.user) {
            return Ok(What::User { realm: realm_of(config, &self.config.path, name)?, user });
        }
        if let (Some(issuer), Some(subject)) = (&self.issuer, &self.subject) {
            if issuer.is_empty() || subject.is_empty() {
                return Err(usage("--issuer and --subject are never empty in a token that counts"));
            }
            let until = self.before.map_or(now, Timestamp::as_second);
            if until > now {
                return Err(usage("--before is in the future: it would refuse logins that have not happened yet"));
            }
            return Ok(What::Account { issuer, subject, until });
        }
        if self.token.as_deref() != Some("-") {
            return Err(usage(
                "a token is not taken from the command line, where others can read it (treat it as stolen): write - and \
                 give the token on standard input",
            ));
        }
        accepted(config, &read_token(input, interactive)?, now)
    }
}

/// What to revoke.
enum What<'a> {
    /// A token or session of which only the id is known.
    Id(TokenId),
    /// A token that some realm accepts.
    Token {
        realm: &'a str,
        id: TokenId,
        end: i64,
    },
    User {
        realm: &'a Realm,
        user: &'a str,
    },
    Account {
        issuer: &'a str,
        subject: &'a str,
        until: i64,
    },
}

impl What<'_> {
    const fn pronoun(&self) -> &'static str {
        match self {
            Self::Id(_) | Self::Token { .. } => "it",
            Self::User { .. } | Self::Account { .. } => "them",
        }
    }

    /// Returns what was done.
    async fn revoke(&self, store: &dyn Store, now: i64) -> Result<String, Failure> {
        let longest = longest(now);
        match *self {
            Self::Id(id) => {
                let kept = store.revoke(id, TokenExpiry::AtMost(longest)).await?.expires_at;
                let unknown = if kept == longest { ", though no session of this id is known" } else { "" };
                Ok(format!("{id} is revoked until {}{unknown}", rfc3339(kept)))
            }
            Self::Token { realm, id, end } => {
                let kept = store.revoke(id, TokenExpiry::At(end)).await?.expires_at;
                Ok(format!("the token {id} of realm {realm} is revoked until {}", rfc3339(kept)))
            }
            Self::User { realm, user } => end_user(store, realm, user, now).await,
            Self::Account { issuer, subject, until } => {
                // Inclusive here: nothing else is known of another issuer's tokens, and one too many is logged in again.
                let kept = store.revoke_subject(AccountId::new(issuer, subject), until, longest).await?;
                let until = rfc3339(kept.until);
                Ok(format!("all tokens that {issuer:?} issued to {subject:?} until {until} are revoked"))
            }
        }
    }
}

/// Ends all sessions of a user. Returns what was done.
pub(super) async fn end_user(store: &dyn Store, realm: &Realm, user: &str, now: i64) -> Result<String, Failure> {
    let id = find(store, realm.name(), user).await?.id;
    // Sessions are known one by one and end exactly. The cut-off is for tokens without one (of a database that was put back
    // from a backup, say). It leaves out the second that has begun, as tokens tell no parts of one: a login right after this
    // command must count.
    let until = now - 1;
    let account = AccountId::new(&realm.tokens().issuer, &id);
    store.revoke_subject(account, until, longest(now)).await?;
    // By the id: a name may become somebody else's at any moment. A new version of the user, too, so that a login whose
    // password was checked before this does not open a session after it.
    let (_, ended) = change(store, realm.name(), &id, SessionsToEnd::All, Ok).await?;
    let until = rfc3339(until);
    Ok(format!("{user}: {ended} sessions ended, and all tokens that were issued until {until} are revoked"))
}

/// The first realm that accepts the token: what is forged, or has expired, can name any id.
fn accepted<'a>(config: &'a Config, token: &str, now: i64) -> Result<What<'a>, Failure> {
    let realms: Vec<_> = config.policy.realms().iter().map(|realm| &**realm).collect();
    let mut refusals = Vec::new();
    for (realm, judgement) in verify_in_realms(&realms, token, now)? {
        match judgement {
            Ok(VerifiedToken { claims, issuer, .. }) => {
                let id = claims.public_id(issuer.is_none());
                return Ok(What::Token { realm: realm.name(), id, end: session::max_expiry(&claims) });
            }
            Err(reject) => refusals.push(format!("{}: {}", realm.name(), reject.code())),
        }
    }
    Err(Failure::new(exit::DATA, format!("no realm accepts this token, nothing was revoked ({})", refusals.join(", "))))
}

pub(super) fn read_token(input: &mut dyn BufRead, interactive: bool) -> Result<String, Failure> {
    let mut line = String::new();
    if interactive {
        line = rpassword::prompt_password("Token: ")?;
    } else {
        let read = input.take(MAX_LINE_BYTES).read_line(&mut line);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Failure::new(exit::DATA, "the token is not text"),
            _ => error.into(),
        })?;
    }
    let token = line.trim();
    // As the header has it.
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    if token.is_empty() {
        return Err(Failure::new(exit::DATA, "there is no token on standard input"));
    }
    Ok(token.to_owned())
}

fn ttl(text: &str) -> Result<Duration, &'static str> {
    let ttl = parse_duration(text).filter(|ttl| *ttl >= Duration::from_secs(1));
    ttl.ok_or("write a whole number with a unit, as in 15m, 8h or 30d; at least 1s")
}

const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// No token that counts is so long.
const MAX_LINE_BYTES: u64 = 64 * 1024;
const ATTEMPTS: usize = 5;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::user::new_user;
    use super::*;
    use crate::config::{Database, SameSite};
    use crate::store::{self, RevocationEntry, User};

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    const NOW: i64 = 1_800_000_000;
    const LONGEST: i64 = NOW + 3650 * 86_400 + 300;

    async fn shop() -> (std::sync::Arc<dyn Store>, Realm, User, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let store = store::open(&Database::Sqlite(directory.path().join("store.db"))).await.unwrap();
        let user = User { username: Some("alice".into()), ..new_user("examples", 0) };
        store.create_user(&user).await.unwrap();
        (store, Realm::for_tests(false, SameSite::Lax, false), user, directory)
    }

    async fn log_in(store: &dyn Store, user: &User, now: i64) -> Result<TokenId, StoreError> {
        let claims = session::new_claims(user, DEFAULT_TTL, now);
        store.create_session(&session::new_session("examples", &claims), user.version).await.map(|()| claims.token_id)
    }

    #[tokio::test]
    async fn a_user_loses_every_token_and_may_log_in_within_the_same_second() {
        let (store, realm, user, _directory) = shop().await;
        let (old, fresh) = (log_in(&*store, &user, NOW - 9).await.unwrap(), log_in(&*store, &user, NOW).await.unwrap());
        let said = What::User { realm: &realm, user: "ALICE" }.revoke(&*store, NOW).await.unwrap();
        assert!(
            said.starts_with("ALICE: 2 sessions ended, and all tokens that were issued until 2027-01-15T07:59:59Z")
        );
        let revoked = store.revocations_after(0, NOW, 10).await.unwrap();
        let ended =
            |token| revoked.iter().any(|revoked| matches!(revoked, RevocationEntry::Id(id) if id.token == token));
        assert!(ended(old) && ended(fresh), "the second that has begun is ended exactly");
        let account = AccountId::new("https://gate.example.com", &user.id);
        let cut = revoked.iter().find_map(|revoked| match revoked {
            RevocationEntry::Account(cut) => Some((cut.account, cut.until, cut.expires_at)),
            RevocationEntry::Id(_) => None,
        });
        assert_eq!(cut, Some((account, NOW - 1, LONGEST)));
        // Its password was checked before.
        assert!(matches!(log_in(&*store, &user, NOW).await, Err(StoreError::VersionConflict)));
        let user = find(&*store, "examples", "alice").await.unwrap();
        log_in(&*store, &user, NOW).await.unwrap();
        assert_eq!(What::User { realm: &realm, user: "bob" }.revoke(&*store, NOW).await.unwrap_err().code, exit::DATA);
    }

    #[tokio::test]
    async fn an_id_is_kept_as_long_as_its_session_or_as_any_token_could_live() {
        let (store, _, user, _directory) = shop().await;
        let token = log_in(&*store, &user, NOW).await.unwrap();
        for _ in 0..2 {
            let said = What::Id(token).revoke(&*store, NOW).await.unwrap();
            assert_eq!(said, format!("{token} is revoked until {}", rfc3339(NOW + 3600 + 300)));
        }
        let said = What::Id(TokenId(1)).revoke(&*store, NOW).await.unwrap();
        assert!(said.ends_with("though no session of this id is known") && said.contains(&rfc3339(LONGEST)), "{said}");
    }

    #[test]
    fn a_cut_off_by_hand_is_not_in_the_future_and_a_token_not_an_argument() {
        let text = "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"sqlite://x.db\"\n[[realm]]\nname = \"r\"\n\
                    issuer = \"i\"\nrequire_key = false\n[[login]]\ndialect = \"project\"\npath = \"/l\"\nrealm = \"r\"\n";
        let config = crate::config::parse(text, Path::new("t.toml"), Mode::Check).unwrap();
        let what = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["token", "revoke", "-c", "t.toml"], arguments].concat());
            let Command::Revoke(revoke) = cli.map_err(|error| error.to_string())?.command else { unreachable!() };
            match revoke.what(&config, &mut "x".as_bytes(), false, NOW) {
                Ok(What::Account { until, .. }) => Ok(until),
                Ok(_) => Ok(0),
                Err(failure) => Err(failure.lines.concat()),
            }
        };
        let account = ["--issuer", "i", "--subject", "s"];
        let before = |time| what(&[&account[..], &["--before", time]].concat());
        assert_eq!(what(&account), Ok(NOW));
        assert_eq!(before("2027-01-15T07:00:00.9Z"), Ok(NOW - 3600));
        assert!(before("2027-01-15T08:00:01Z").unwrap_err().contains("future"));
        assert!(before("2027-01-15").is_err());
        assert!(what(&["--issuer", "i", "--subject", ""]).is_err());
        assert_eq!(what(&["--id", "0123456789ABCDEF0123456789abcdef"]), Ok(0));
        for secret in ["eyJ.a.b", "-eyJ"] {
            for arguments in [&["--id", secret][..], &[secret]] {
                let error = what(arguments).unwrap_err();
                assert!(!error.contains("a.b"), "{error}");
            }
        }
        assert!(what(&["-"]).unwrap_err().contains("(r: token_malformed)"));
    }
}
