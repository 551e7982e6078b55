//! `tollgate user sessions`.

use clap::Args;
use serde_json::json;

use super::{Console, UserArgs, find};
use crate::clock::rfc3339;
use crate::config::{MAX_ACCESS_TTL, Realm};
use crate::exit::Failure;
use crate::store::{Listed, Store};
use crate::token::AccountId;
use crate::token::MAX_LEEWAY;

/// `user sessions`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Sessions {
    #[command(flatten)]
    pub(super) one: UserArgs,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

impl Sessions {
    pub(super) async fn run(
        &self,
        store: &dyn Store,
        realm: &Realm,
        console: &mut Console<'_>,
        now: i64,
    ) -> Result<(), Failure> {
        let user = find(store, &realm.name, &self.one.user).await?;
        // The check of every request.
        let mut cut_off = None;
        for account in [realm.tokens.everyone(), AccountId::new(&realm.tokens.issuer, &user.id)] {
            cut_off = cut_off.max(store.cut_off_of(account).await?);
        }
        if !self.json {
            console.print_line(&row(["ID", "CREATED", "EXPIRES", "REFRESHABLE", "LAST USED"]))?;
        }
        for session in store.sessions(&realm.name, &user.id, now).await? {
            let shown = Shown::of(&session);
            if cut_off.is_some_and(|until| shown.issued_at <= until) || shown.expires_at <= now {
                continue;
            }
            let id = session.token.to_string();
            let created = (session.created_at > 0).then(|| rfc3339(session.created_at));
            let (expires, used) = (rfc3339(shown.expires_at), shown.used_at.map(rfc3339));
            let line = if self.json {
                let mfa = session.refresh.map(|refresh| refresh.mfa);
                let line = json!({
                    "id": id, "created_at": created, "expires_at": expires, "refreshable": shown.refreshable,
                    "last_used_at": used, "mfa": mfa,
                });
                line.to_string()
            } else {
                let dash = |time: Option<String>| time.unwrap_or_else(|| "-".to_owned());
                row([&id, &dash(created), &expires, if shown.refreshable { "yes" } else { "-" }, &dash(used)])
            };
            console.print_line(&line)?;
        }
        Ok(())
    }
}

/// A session, as the command prints it.
struct Shown {
    /// Unix seconds of its last known token.
    issued_at: i64,
    /// Unix seconds: the end of its only token, or of its refresh token, or of the last token that this can give.
    expires_at: i64,
    refreshable: bool,
    /// Unix seconds.
    used_at: Option<i64>,
}

impl Shown {
    fn of(session: &Listed) -> Self {
        let Some(refresh) = session.refresh else {
            let expires_at = session.expires_at.saturating_sub_unsigned(MAX_LEEWAY.as_secs());
            return Self { issued_at: session.created_at, expires_at, refreshable: false, used_at: None };
        };
        let used_at = refresh.used_at.div_euclid(1000);
        let last = used_at.saturating_add_unsigned(MAX_ACCESS_TTL.as_secs());
        let refreshable = refresh.is_current;
        Self {
            issued_at: used_at,
            expires_at: if refreshable { refresh.expires_at } else { last.min(session.expires_at) },
            refreshable,
            used_at: Some(used_at),
        }
    }
}

fn row(columns: [&str; 5]) -> String {
    let [id, created, expires, refreshable, used] = columns;
    format!("{id:<32}  {created:<20}  {expires:<20}  {refreshable:<11}  {used}")
}
