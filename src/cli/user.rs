//! `tollgate user`: the users of a realm, in the store that a running process has open, too.
//!
//! Commands that end a user's access (disable, delete, passwd, mfa enable) end its sessions in the same transaction. A
//! running process loads the revocations by polling the store.

mod add;
mod console;
mod import;
mod list;
mod lookup;
mod mfa;
mod passwd;
mod sessions;
mod set;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Use, realm_of, with_store};
use crate::config::{Login, Mode, Realm, RequiredAttribute, load};
use crate::exit::{self, Failure};
use crate::login::password::{self, Password};
use crate::store::{LoginName, PasswordHash, SessionsToEnd, Store, User};
use add::Add;
pub(super) use add::add_user;
use console::Console;
use import::Import;
use list::List;
use lookup::unknown;
pub(super) use lookup::{change, find, new_user};
use mfa::Mfa;
use passwd::Passwd;
use sessions::Sessions;
use set::Set;

/// The users of a realm: add, list, change, import
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a user. The password is read from the terminal, or is the first line of standard input
    Add(Add),
    /// List the users. Never shows passwords or their hashes
    List(List),
    /// Change a user's names, roles or data. New names and roles end its sessions, whose tokens have the old ones
    Set(Set),
    /// List a user's sessions ("tollgate session end" ends them)
    Sessions(Sessions),
    /// Set a user's password, and end all its sessions
    Passwd(Passwd),
    /// Enable a disabled user
    Enable(UserArgs),
    /// Disable a user, and end all its sessions
    Disable(UserArgs),
    /// Mark the email address and data of a self-registered user as verified (required for exchange logins and
    /// X-Auth-Email)
    Vouch(UserArgs),
    /// Unlock a user's account after too many wrong passwords or codes
    Unlock(UserArgs),
    /// Delete a user, and end all its sessions
    Delete(UserArgs),
    /// A user's second factor: one-time codes beside the password
    #[command(subcommand)]
    Mfa(Mfa),
    /// Add users with the password hashes of another system (argon2, scrypt, bcrypt): all of them, or none
    Import(Import),
}

/// Realm of the users.
#[derive(Debug, Args)]
pub(super) struct RealmArgs {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The realm
    #[arg(long, value_name = "NAME")]
    pub(super) realm: String,
}

/// Commands for one user.
#[derive(Debug, Args)]
pub(super) struct UserArgs {
    #[command(flatten)]
    place: RealmArgs,
    /// Name, email address or id of the user
    user: String,
}

impl Command {
    /// The realm of the users.
    #[must_use]
    const fn place(&self) -> &RealmArgs {
        match self {
            Self::Add(add) => &add.place,
            Self::List(list) => &list.place,
            Self::Set(set) => &set.one.place,
            Self::Sessions(sessions) => &sessions.one.place,
            Self::Passwd(passwd) => &passwd.one.place,
            Self::Mfa(mfa) => &mfa.one().place,
            Self::Enable(one) | Self::Vouch(one) | Self::Disable(one) | Self::Unlock(one) | Self::Delete(one) => {
                &one.place
            }
            Self::Import(import) => &import.place,
        }
    }

    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (interactive, colours) = (io::stdin().is_terminal(), io::stdout().is_terminal());
        self.run_with(&mut Console { input: &mut io::stdin().lock(), interactive, output: out, colours })
    }

    fn run_with(&self, console: &mut Console<'_>) -> Result<(), Failure> {
        let place = self.place();
        let config = load(&place.config, Mode::Start)?;
        let realm = realm_of(&config, &place.config, &place.realm)?;
        let logins = &config.policy.routing.logins;
        let has_pool = |login: &Arc<Login>| login.tenant_of(realm).is_some_and(|tenant| tenant.user_pool.is_some());
        let terms = Terms {
            realm,
            asks: logins.iter().any(|login| login.asks_users_of(realm)),
            has_pool: logins.iter().any(has_pool),
        };
        let to = match self {
            Self::List(_) | Self::Sessions(_) => Use::Read,
            Self::Add(_) | Self::Import(_) => Use::Make,
            _ => Use::Change,
        };
        let now_ms = jiff::Timestamp::now().as_millisecond();
        with_store(&config, to, async |store| execute(self, &store, terms, console, now_ms).await)
    }
}

/// The configuration of the users' realm.
#[derive(Clone, Copy)]
struct Terms<'a> {
    realm: &'a Realm,
    /// A login of the realm supports challenges.
    asks: bool,
    /// The users of a login are those of a user pool.
    has_pool: bool,
}

impl Terms<'_> {
    /// Fails if a user with this challenge could not log in. `what` is the challenge.
    fn can_ask(&self, what: &str) -> Result<(), Failure> {
        if self.asks { Ok(()) } else { Err(Failure::new(exit::CONFIG, self.no_question(what))) }
    }

    fn no_question(&self, what: &str) -> String {
        let realm = &self.realm.name;
        format!(
            "no login of realm {realm:?} can ask for {what}, so the user could not log in: \
             add a [[login]] with dialect = \"tenant\", path = \"/Login\" and realm = \"{realm}\""
        )
    }

    fn check(&self, password: &Password, username: Option<&str>, email: Option<&str>) -> Result<(), Failure> {
        password.check(self.realm, username, email).map_err(|weak| Failure::new(exit::DATA, weak))
    }
}

const NEW_PASSWORD: &str = "a new password";

async fn execute(
    command: &Command,
    store: &Arc<dyn Store>,
    terms: Terms<'_>,
    console: &mut Console<'_>,
    now_ms: i64,
) -> Result<(), Failure> {
    let (store, realm) = (&**store, &*command.place().realm);
    match command {
        Command::Add(add) => add.run(store, terms, console, now_ms).await,
        Command::List(list) => list.run(store, console).await,
        Command::Sessions(sessions) => sessions.run(store, terms.realm, console, now_ms.div_euclid(1000)).await,
        Command::Set(set) => set.run(store, console, now_ms).await,
        Command::Passwd(passwd) => passwd.run(store, terms, console, now_ms).await,
        Command::Enable(one) => {
            let set = |user| Ok(User { disabled: false, updated_at: now_ms, ..user });
            change(store, realm, &one.user, SessionsToEnd::Nothing, set).await?;
            console.print_line(&format!("{} enabled", one.user))
        }
        Command::Vouch(one) => {
            let set = |user: User| {
                Ok(User { vouched: true, email_verified: user.email.is_some(), updated_at: now_ms, ..user })
            };
            let (user, _) = change(store, realm, &one.user, SessionsToEnd::Nothing, set).await?;
            // The user may have changed its data since the operator checked it.
            let [licence, profile] = RequiredAttribute::ALL.map(|attribute| user.data.get(attribute.name()));
            let what = json!({"email": user.email, "licence": licence, "profile": profile});
            console.print_line(&format!("{} vouched for, with {what}", one.user))
        }
        Command::Disable(one) => {
            let set = |user| Ok(User { disabled: true, updated_at: now_ms, ..user });
            let (_, ended) = change(store, realm, &one.user, SessionsToEnd::All, set).await?;
            console.print_line(&format!("{} disabled, {ended} sessions ended", one.user))
        }
        Command::Mfa(mfa) => mfa.run(store, terms, console, now_ms).await,
        Command::Unlock(one) => {
            let found = find(store, realm, &one.user).await;
            // Users of a pool have no row in the store: the locked key is the name with which they log in.
            let names = [LoginName::username(&one.user), LoginName::email(&one.user)].into_iter().flatten();
            let accounts: Vec<_> = names.filter(|_| terms.has_pool).map(|name| name.pool_account()).collect();
            for account in &accounts {
                store.reset_guesses(realm, account, now_ms).await?;
            }
            match found {
                Ok(user) => store.reset_guesses(realm, &user.id, now_ms).await?,
                Err(failure) if accounts.is_empty() => return Err(failure),
                Err(_) => {}
            }
            console.print_line(&format!("{} unlocked", one.user))
        }
        Command::Delete(one) => {
            let user = find(store, realm, &one.user).await?;
            let deleted = store.delete_user(realm, &user.id, None).await?;
            let (_, ended) = deleted.ok_or_else(|| unknown(&one.user))?;
            console.print_line(&format!("{} deleted, {} sessions ended", one.user, ended.len()))
        }
        Command::Import(import) => import.run(store, terms, console, now_ms).await,
    }
}

fn hash(password: &Password) -> Result<PasswordHash, Failure> {
    password::hash(password).map_err(|error| Failure::new(exit::UNAVAILABLE, error.to_string()))
}

#[cfg(test)]
mod tests;
