//! `tollgate session`: ends sessions, in the store that a running process has open, too.

use std::io::Write;

use clap::{ArgGroup, Args, Subcommand};

use super::token::end_user;
use super::{ConfigFile, Use, realm_of, with_store};
use crate::clock::{now, rfc3339};
use crate::config::{Config, MAX_TTL, Mode, Realm, load};
use crate::exit::{self, Failure};
use crate::store::{Epoch, Store, TokenExpiry};
use crate::token::MAX_LEEWAY;
use crate::token::TokenId;

/// Sessions: end one of them, all of a user, or all of a realm ("tollgate user sessions" lists them)
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    End(End),
}

/// End sessions: running processes refuse their tokens within a second, and none can be refreshed
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(false).args(["all", "user", "id"])))]
pub(super) struct End {
    #[command(flatten)]
    config: ConfigFile,
    /// Realm of --all or --user
    #[arg(long, value_name = "NAME")]
    realm: Option<String>,
    /// Every session of the realm, including those of trusted issuers' tokens, and every unfinished login
    #[arg(long, requires = "realm")]
    all: bool,
    /// Every session of this user of the realm: name, email address or id
    #[arg(long, value_name = "USER", requires = "realm")]
    user: Option<String>,
    /// Id of the session, as "tollgate user sessions" shows it
    // No value_parser: clap's error would repeat a token in the value.
    #[arg(value_name = "ID")]
    id: Option<String>,
}

impl Command {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let Self::End(end) = self;
        end.run(out)
    }
}

impl End {
    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Start)?;
        let said = with_store(&config, Use::Change, async |store| self.end(&config, &*store).await)?;
        writeln!(out, "{said}; running gates refuse them within a second")?;
        Ok(())
    }

    /// Returns what was done.
    async fn end(&self, config: &Config, store: &dyn Store) -> Result<String, Failure> {
        let realm = self.realm.as_deref().map(|name| realm_of(config, &self.config.path, name)).transpose()?;
        match (realm, &self.user, &self.id) {
            (Some(realm), None, None) => {
                let until = end_realm(store, realm).await?;
                let name = &realm.name;
                Ok(format!(
                    "all sessions of realm {name} ended, with all tokens that were issued until {}",
                    rfc3339(until)
                ))
            }
            (Some(realm), Some(user), _) => end_user(store, realm, user, now()).await,
            (_, _, Some(id)) => end_one(store, id).await,
            (None, _, None) => {
                Err(Failure::new(exit::USAGE, "write --realm with --all or --user, or the id of a session"))
            }
        }
    }
}

async fn end_one(store: &dyn Store, id: &str) -> Result<String, Failure> {
    // Not quoted: the value can be a token.
    let id: TokenId = id.to_ascii_lowercase().parse().map_err(|()| {
        Failure::new(exit::USAGE, "a session's id is 32 hex digits, as tollgate user sessions shows it")
    })?;
    let Some(session) = store.session(id).await? else {
        return Err(Failure::new(exit::DATA, format!("there is no session {id}: it has ended, or the id is wrong")));
    };
    let revoked = store.revoke(id, TokenExpiry::At(session.expires_at)).await?;
    let (user, until) = (session.user_id, rfc3339(revoked.expires_at));
    Ok(format!(
        "the session {id} of user {user} in realm {} ended, and its tokens are revoked until {until}",
        session.realm
    ))
}

/// Ends all sessions of a realm, and returns the second up to which its tokens are refused. The present second is not
/// included, because tokens have whole seconds: a login right after this command must succeed. Tokens from this second
/// of older sessions are refused one by one.
async fn end_realm(store: &dyn Store, realm: &Realm) -> Result<i64, Failure> {
    let now = now();
    let next = Epoch::next(realm, now).map_err(|error| Failure::new(exit::SOFTWARE, error))?;
    store.end_realm(&next, now - 1, longest(now)).await?;
    Ok(now - 1)
}

/// The longest lifetime of a token under any policy.
pub(super) fn longest(now: i64) -> i64 {
    now.saturating_add_unsigned(MAX_TTL.as_secs()).saturating_add_unsigned(MAX_LEEWAY.as_secs())
}
