//! `tollgate token inspect`: the claims of a token, and whether a realm accepts it, by the code that judges requests.

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::token::read_token;
use super::{ConfigFile, Use, realm_of, with_store};
use crate::clock::{self, rfc3339};
use crate::config::{Config, Database, Mode, Realm, load};
use crate::exit::{self, Failure};
use crate::ops::fetch_foreign_keys;
use crate::store::{Store, load_revocations};
use crate::token::{Revocations, TokenError, VerifiedToken, decode_unverified};

/// Print the claims of a token, and whether the realms accept it. The token is read from the terminal, or is the first
/// line of standard input
#[derive(Debug, Args)]
pub(super) struct Inspect {
    #[command(flatten)]
    config: ConfigFile,
    /// Use this realm only [default: every realm]
    #[arg(long, value_name = "NAME")]
    realm: Option<String>,
}

impl Inspect {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        self.inspect(&mut io::stdin().lock(), io::stdin().is_terminal(), out)
    }

    fn inspect(&self, input: &mut dyn BufRead, interactive: bool, out: &mut dyn Write) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Start)?;
        let realms = self.realms(&config, &self.config.path)?;
        let token = read_token(input, interactive)?;
        if let Some((header, payload)) = decode_unverified(&token) {
            writeln!(out, "{}", escape_control_chars(&format!("{:#}", json!({"header": header, "payload": payload}))))?;
        }
        let now = clock::now();
        let judged = verify_in_realms(&realms, &token, now)?;
        // Without a database there are no revocations.
        let is_new = matches!(&config.store, Database::Sqlite(path) if path.try_exists().is_ok_and(|exists| !exists));
        let revoked = if !is_new && judged.iter().any(|(_, judgement)| judgement.is_ok()) {
            with_store(&config, Use::Read, async |store| revocations(&*store, now).await)?
        } else {
            Revocations::new()
        };
        let mut refusals = Vec::new();
        for (realm, judgement) in judged {
            match judgement {
                Ok(accepted) if !revoked.contains(&accepted.marks) => {
                    let by = accepted.issuer.as_ref().map_or("the realm itself", |by| &*by.issuer);
                    let claims = &accepted.claims;
                    writeln!(
                        out,
                        "{}: accepted until {}, signed by {by}: X-Auth-Subject {:?}, X-Auth-Roles {:?}, X-Auth-Token-Id {}",
                        realm.name,
                        rfc3339(claims.expires_at),
                        claims.subject,
                        claims.roles.join(","),
                        claims.public_id(accepted.issuer.is_none()),
                    )?;
                    for claim in realm.tokens.roles_not_found(&token) {
                        writeln!(out, "{}: roles_claims: the token has no claim {claim:?}", realm.name)?;
                    }
                }
                refused => {
                    let reject = refused.err().unwrap_or(TokenError::Revoked);
                    refusals.push(format!("{}: refused, {}: {}", realm.name, reject.code(), reject.detail()));
                }
            }
        }
        if refusals.len() == realms.len() {
            return Err(Failure { code: exit::DATA, lines: refusals });
        }
        for line in refusals {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn realms<'a>(&self, config: &'a Config, file: &Path) -> Result<Vec<&'a Realm>, Failure> {
        match &self.realm {
            Some(name) => Ok(vec![realm_of(config, file, name)?]),
            None => Ok(config.policy.realms.iter().map(|realm| &**realm).collect()),
        }
    }
}

/// JSON without control and direction characters: the token is not trusted yet. JSON itself escapes the first 32
/// characters only.
pub(super) fn escape_control_chars(json: &str) -> String {
    let escaped = |char: char| {
        let turns = matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || (char.is_control() && char != '\n') { format!("\\u{:04x}", u32::from(char)) } else { char.into() }
    };
    json.chars().map(escaped).collect()
}

/// A realm, and its result for the token.
type RealmResult<'a> = (&'a Realm, Result<VerifiedToken, TokenError>);

/// Returns the result of each of these realms, without revocations. Fetches the keys that are required.
pub(super) fn verify_in_realms<'a>(
    realms: &[&'a Realm],
    token: &str,
    now: i64,
) -> Result<Vec<RealmResult<'a>>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut judged = Vec::new();
    for realm in realms {
        runtime
            .block_on(fetch_foreign_keys(&realm.tokens, token))
            .map_err(|error| Failure::new(exit::UNAVAILABLE, format!("{}: {error}", realm.name)))?;
        judged.push((*realm, realm.tokens.verify(token, now)));
    }
    Ok(judged)
}

async fn revocations(store: &dyn Store, now: i64) -> Result<Revocations, Failure> {
    let revoked = Revocations::new();
    load_revocations(store, &revoked, 0, now).await?;
    Ok(revoked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_nothing_to_the_terminal() {
        let value = json!({"a": "\u{1b}[2J", "b": "\u{9b}2J\u{7f}\u{202e}", "c": "zoë"});
        let text = escape_control_chars(&format!("{value:#}"));
        assert_eq!(text, "{\n  \"a\": \"\\u001b[2J\",\n  \"b\": \"\\u009b2J\\u007f\\u202e\",\n  \"c\": \"zoë\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value, "and means the same");
    }
}
