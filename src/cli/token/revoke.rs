//! `tollgate token revoke`.

use std::io::{BufRead, Write};

use clap::{ArgGroup, Args};
use jiff::Timestamp;

use super::read_token;
use crate::cli::key::parse_timestamp;
use crate::cli::session::longest;
use crate::cli::token_inspect::verify_in_realms;
use crate::cli::user::{change, find};
use crate::cli::{ConfigFile, Use, realm_of, with_store};
use crate::clock::{self, rfc3339};
use crate::config::{Config, Mode, Realm, load};
use crate::exit::{self, Failure};
use crate::login::session;
use crate::store::{SessionsToEnd, Store, TokenExpiry};
use crate::token::{AccountId, TokenId, VerifiedToken};

/// Revoke tokens: one, or all of a user until now. Running processes refuse them within a second
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(false).args(["id", "user", "issuer", "token"])))]
pub(in crate::cli) struct Revoke {
    #[command(flatten)]
    config: ConfigFile,
    /// Token or session id: X-Auth-Token-Id, or "token" in the log; "jti" for tokens of the realm only
    #[arg(long, value_name = "HEX")]
    id: Option<String>,
    /// Realm of --user
    #[arg(long, value_name = "NAME", requires = "user")]
    realm: Option<String>,
    /// Every token of this user of the realm: name, email address or id
    #[arg(long, value_name = "USER", requires = "realm")]
    user: Option<String>,
    /// Every token of this issuer for --subject: "iss" of the token, byte for byte
    #[arg(long, value_name = "ISSUER", requires = "subject")]
    issuer: Option<String>,
    /// "sub" of the token, byte for byte
    #[arg(long, value_name = "SUBJECT", requires = "issuer")]
    subject: Option<String>,
    /// With --issuer: tokens with iat up to this time, by the issuer's clock [default: now]
    #[arg(long, value_name = "RFC3339", value_parser = parse_timestamp, requires = "issuer")]
    before: Option<Timestamp>,
    /// "-": the token that is read from the terminal, or is the first line of standard input
    // No value_parser: clap's error would repeat a token in the value.
    #[arg(value_name = "-")]
    token: Option<String>,
}

impl Revoke {
    pub(super) fn run(&self, input: &mut dyn BufRead, interactive: bool, out: &mut dyn Write) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Start)?;
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
            // Not quoted: the value can be a token.
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
    /// A token or session by its id.
    Id(TokenId),
    /// A token that a realm accepts.
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
                // Inclusive here: nothing else is known of another issuer's tokens, and one extra login is harmless.
                let kept = store.revoke_subject(AccountId::new(issuer, subject), until, longest).await?;
                let until = rfc3339(kept.until);
                Ok(format!("all tokens that {issuer:?} issued to {subject:?} until {until} are revoked"))
            }
        }
    }
}

/// Ends all sessions of a user. Returns a description.
pub(in crate::cli) async fn end_user(
    store: &dyn Store,
    realm: &Realm,
    user: &str,
    now: i64,
) -> Result<String, Failure> {
    let id = find(store, &realm.name, user).await?.id;
    // Sessions end one by one. The cut-off is for tokens without a session (of a restored database, for example). It
    // does not include the present second, because tokens have whole seconds: a login right after this command must
    // succeed.
    let until = now - 1;
    let account = AccountId::new(&realm.tokens.issuer, &id);
    store.revoke_subject(account, until, longest(now)).await?;
    // By id: a name can become another user's at any moment. Also a new version of the user, so that a login whose
    // password was checked before does not open a session after it.
    let (_, ended) = change(store, &realm.name, &id, SessionsToEnd::All, Ok).await?;
    let until = rfc3339(until);
    Ok(format!("{user}: {ended} sessions ended, and all tokens that were issued until {until} are revoked"))
}

/// Returns the first realm that accepts the token: a forged or expired token could name any id.
fn accepted<'a>(config: &'a Config, token: &str, now: i64) -> Result<What<'a>, Failure> {
    let realms: Vec<_> = config.policy.realms.iter().map(|realm| &**realm).collect();
    let mut refusals = Vec::new();
    for (realm, judgement) in verify_in_realms(&realms, token, now)? {
        match judgement {
            Ok(VerifiedToken { claims, issuer, .. }) => {
                let id = claims.public_id(issuer.is_none());
                return Ok(What::Token { realm: &realm.name, id, end: session::max_expiry(&claims) });
            }
            Err(reject) => refusals.push(format!("{}: {}", realm.name, reject.code())),
        }
    }
    Err(Failure::new(exit::DATA, format!("no realm accepts this token, nothing was revoked ({})", refusals.join(", "))))
}

#[cfg(test)]
mod tests;
