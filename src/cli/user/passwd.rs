//! `tollgate user passwd`.

use clap::Args;

use super::{Console, NEW_PASSWORD, Terms, UserArgs, change, find, hash};
use crate::exit::Failure;
use crate::store::{SessionsToEnd, Store, User};

/// `user passwd`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Passwd {
    #[command(flatten)]
    pub(super) one: UserArgs,
    /// Set a temporary password: the user must change it at the next login
    #[arg(long)]
    temporary: bool,
}

impl Passwd {
    pub(super) async fn run(
        &self,
        store: &dyn Store,
        terms: Terms<'_>,
        console: &mut Console<'_>,
        now_ms: i64,
    ) -> Result<(), Failure> {
        let (realm, one) = (&terms.realm.name, &self.one);
        // Find the user first, before a password is typed for a name that does not exist.
        let user = find(store, realm, &one.user).await?;
        if self.temporary {
            terms.can_ask(NEW_PASSWORD)?;
        }
        let password = console.password()?;
        terms.check(&password, user.username.as_deref(), user.email.as_deref())?;
        let (password, temporary) = (hash(&password)?, self.temporary);
        let set = |user| Ok(User { password: password.clone(), temporary, updated_at: now_ms, ..user });
        let (user, ended) = change(store, realm, &one.user, SessionsToEnd::All, set).await?;
        // Resets the counted guesses.
        store.reset_guesses(realm, &user.id, now_ms).await?;
        let kind = if temporary { "temporary password" } else { "password" };
        console.print_line(&format!("{kind} of {} set, {ended} sessions ended", one.user))
    }
}
