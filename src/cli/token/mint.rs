//! `tollgate token mint`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::cli::user::{RealmArgs, find};
use crate::cli::{Use, realm_of, with_store};
use crate::clock::{self, rfc3339};
use crate::config::{Mode, Realm, load, parse_duration};
use crate::exit::{self, Failure};
use crate::login::session;
use crate::store::{Store, StoreError};
use crate::token::TokenId;

/// Print a new access token of a user
#[derive(Debug, Args)]
pub(in crate::cli) struct Mint {
    #[command(flatten)]
    place: RealmArgs,
    /// Name, email address or id of the user
    #[arg(long, value_name = "USER")]
    user: String,
    /// Lifetime of the token, such as 15m, 8h or 30d; at most the realm's token_ttl [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    ttl: Option<Duration>,
}

impl Mint {
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
        let (file, name) = (self.place.config.as_path(), &*self.place.realm);
        let config = load(file, Mode::Start)?;
        let realm = realm_of(&config, file, name)?;
        let longest = realm.token_ttl;
        if self.ttl.is_some_and(|ttl| ttl > longest) {
            let line = format!("--ttl exceeds the realm's token_ttl of {} s: use a shorter --ttl", longest.as_secs());
            return Err(Failure::new(exit::USAGE, line));
        }
        let ttl = self.ttl.unwrap_or(DEFAULT_TTL).min(longest);
        let minted = with_store(&config, Use::Change, async |store| self.mint(&*store, realm, ttl, file).await)?;
        writeln!(out, "{}", minted.token)?;
        writeln!(
            err,
            "tollgate: token for user {}, expires {}. Keep it secret. To revoke it: tollgate token revoke --id {}",
            minted.user,
            rfc3339(minted.expires_at),
            minted.id,
        )?;
        Ok(())
    }

    async fn mint(&self, store: &dyn Store, realm: &Realm, ttl: Duration, file: &Path) -> Result<Minted, Failure> {
        for _ in 0..ATTEMPTS {
            let user = find(store, &realm.name, &self.user).await?;
            if user.disabled {
                return Err(Failure::new(exit::DATA, format!("{} is disabled", self.user)));
            }
            let claims = session::new_claims(&user, ttl, clock::now());
            let token = realm.tokens.mint_with(&claims, session::extra_claims(&user));
            let token =
                token.map_err(|_| Failure::new(exit::SOFTWARE, "the crypto library failed to sign the token"))?;
            // A realm without a signing key on disk got one that only this process has. Another reader of the file gets
            // another key.
            let again = load(file, Mode::Start)?;
            if realm_of(&again, file, &realm.name)?.tokens.verify(&token, claims.issued_at).is_err() {
                let line = format!("realm {} has no signing key: start tollgate serve to create one", realm.name);
                return Err(Failure::new(exit::CONFIG, line));
            }
            // The session before the token is printed, so that every printed token ends with its user.
            match store.create_session(&session::new_session(&realm.name, &claims), user.version).await {
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

/// A token with its description. No `Debug`, because it is a credential.
struct Minted {
    token: String,
    user: String,
    id: TokenId,
    expires_at: i64,
}

fn ttl(text: &str) -> Result<Duration, &'static str> {
    let ttl = parse_duration(text).filter(|ttl| *ttl >= Duration::from_secs(1));
    ttl.ok_or("write a whole number with a unit, as in 15m, 8h or 30d; at least 1s")
}

const DEFAULT_TTL: Duration = Duration::from_secs(3600);
const ATTEMPTS: usize = 5;
