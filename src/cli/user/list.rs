//! `tollgate user list`.

use std::collections::HashSet;

use clap::Args;
use serde_json::json;

use super::{Console, RealmArgs};
use crate::exit::Failure;
use crate::login::guesses::MOST_GUESSES;
use crate::login::user_record::iso8601;
use crate::store::{Store, User};

/// `user list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    pub(super) place: RealmArgs,
    /// One JSON object per line, with all of the user's data
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(&self, store: &dyn Store, console: &mut Console<'_>) -> Result<(), Failure> {
        let mut page = store.users(&self.place.realm, None, PAGE).await?;
        let locked: HashSet<_> = store.guessed_at(&self.place.realm, MOST_GUESSES).await?.into_iter().collect();
        if !self.json {
            console.print_line(&row(["USERNAME", "EMAIL", "STATE", "MFA", "ROLES", "CREATED", "ID"]))?;
        }
        loop {
            let Some(last) = page.last() else { return Ok(()) };
            let after = last.id.clone();
            for user in &page {
                let locked = locked.contains(&user.id);
                let state = match user {
                    User { disabled: true, .. } => "disabled",
                    User { .. } if locked => "locked",
                    User { temporary: true, .. } => "temporary",
                    User { .. } => "enabled",
                };
                let mfa = user.second_factor.is_some();
                let (created, updated) = (iso8601(user.created_at), iso8601(user.updated_at));
                let line = if self.json {
                    let line = json!({
                        "id": user.id, "username": user.username, "email": user.email, "data": user.data, "roles": user.roles,
                        "disabled": user.disabled, "temporary": user.temporary, "locked": locked, "mfa": mfa, "vouched": user.vouched, "emailVerified": user.email_verified, "createdAt": created, "updatedAt": updated,
                    });
                    line.to_string()
                } else {
                    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
                    let roles = if user.roles.is_empty() { "-".to_owned() } else { user.roles.join(",") };
                    let mfa = if mfa { "yes" } else { "-" };
                    row([&name(&user.username), &name(&user.email), state, mfa, &roles, &created, &user.id])
                };
                console.print_line(&line)?;
            }
            page = store.users(&self.place.realm, Some(&after), PAGE).await?;
        }
    }
}

fn row(columns: [&str; 7]) -> String {
    let [username, email, state, mfa, roles, created, id] = columns;
    format!("{username:<20}  {email:<28}  {state:<9}  {mfa:<3}  {roles:<16}  {created:<24}  {id}")
}

const PAGE: u32 = 500;
