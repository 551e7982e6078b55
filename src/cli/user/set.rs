//! `tollgate user set`: changes a user.

use clap::Args;

use super::add::{BAD_EMAIL, BAD_USERNAME, attribute, role};
use super::{Console, UserArgs, change};
use crate::exit::{self, Failure};
use crate::login::user_record::MAX_DATA_BYTES;
use crate::store::{LoginName, SessionsToEnd, Store, User};

/// `user set`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Set {
    #[command(flatten)]
    pub(super) one: UserArgs,
    /// New username
    #[arg(long)]
    username: Option<String>,
    /// New email address; it counts as verified
    #[arg(long)]
    email: Option<String>,
    /// Remove the email address
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
    /// A role for the user's tokens; can be repeated: these replace all roles of the user
    #[arg(long = "role", value_name = "ROLE", value_parser = role)]
    roles: Vec<String>,
    /// Remove every role
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    /// A member of the user's data, as a string; NAME= removes it. Can be repeated: other members stay
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
}

impl Set {
    pub(super) async fn run(&self, store: &dyn Store, console: &mut Console<'_>, now_ms: i64) -> Result<(), Failure> {
        self.check()?;
        let UserArgs { place, user: name } = &self.one;
        let set = |user: User| self.apply(user, now_ms);
        // Tokens have the old names and roles.
        let ended = if self.changes_tokens() { SessionsToEnd::All } else { SessionsToEnd::Nothing };
        let (user, ended) = change(store, &place.realm, name, ended, set).await?;
        let sessions = if self.changes_tokens() { format!(", {ended} sessions ended") } else { String::new() };
        console.print_line(&format!("{name} changed{sessions}"))?;
        // Under which name it is found from now on.
        match &self.username {
            Some(username) => console.print_line(&format!("{name} is {username} now ({})", user.id)),
            None => Ok(()),
        }
    }

    const fn changes_tokens(&self) -> bool {
        self.username.is_some() || self.email.is_some() || self.no_email || self.no_roles || !self.roles.is_empty()
    }

    fn check(&self) -> Result<(), Failure> {
        if !self.changes_tokens() && self.attributes.is_empty() {
            let line = "nothing to change: give --username, --email, --no-email, --role, --no-roles or --attribute";
            return Err(Failure::new(exit::USAGE, line));
        }
        if self.username.as_deref().is_some_and(|name| LoginName::username(name).is_none()) {
            return Err(Failure::new(exit::DATA, BAD_USERNAME));
        }
        if self.email.as_deref().is_some_and(|email| LoginName::email(email).is_none()) {
            return Err(Failure::new(exit::DATA, BAD_EMAIL));
        }
        for (at, (name, _)) in self.attributes.iter().enumerate() {
            if self.attributes[..at].iter().any(|(other, _)| other == name) {
                return Err(Failure::new(exit::USAGE, format!("the attribute {name} is given twice")));
            }
        }
        Ok(())
    }

    fn apply(&self, user: User, now_ms: i64) -> Result<User, Failure> {
        let mut user = User { updated_at: now_ms, ..user };
        if let Some(username) = &self.username {
            user.username = Some(username.clone());
            user.data.insert("username".into(), username.as_str().into());
        }
        if let Some(email) = &self.email {
            (user.email, user.email_verified) = (Some(email.clone()), true);
            user.data.insert("email".into(), email.as_str().into());
        }
        if self.no_email {
            if user.username.is_none() {
                let line = "the user has no username: give one with --username, or the email address stays";
                return Err(Failure::new(exit::DATA, line));
            }
            (user.email, user.email_verified) = (None, false);
            user.data.shift_remove("email");
        }
        if self.no_roles || !self.roles.is_empty() {
            user.roles.clone_from(&self.roles);
        }
        for (name, value) in &self.attributes {
            if value.is_empty() {
                user.data.shift_remove(name);
            } else {
                user.data.insert(name.clone(), value.as_str().into());
            }
        }
        let length = serde_json::to_string(&user.data).map_or(usize::MAX, |text| text.len());
        if length > MAX_DATA_BYTES {
            return Err(Failure::new(exit::DATA, "the user's data would be longer than 64 KiB"));
        }
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::Shop;
    use super::*;

    #[tokio::test]
    async fn set_changes_what_is_given_and_nothing_else() {
        let shop = Shop::open().await;
        let add = ["add", "--email", "a@example.com", "--role", "a", "--role", "b", "--attribute", "team=x", "Alice"];
        shop.run(&add, "a long secret\n").await.unwrap();
        let before = shop.user("alice").await;
        let kept = shop.log_in("alice").await;
        let said = shop.run(&["set", "alice", "--attribute", "team=", "--attribute", "n=1=2"], "").await.unwrap();
        assert_eq!(said, "alice changed\n");
        let user = shop.user("alice").await;
        assert_eq!(
            Value::Object(user.data.clone()).to_string(),
            r#"{"username":"Alice","email":"a@example.com","n":"1=2"}"#
        );
        assert_eq!((&user.roles, &user.password, user.vouched), (&before.roles, &before.password, true));
        assert!(shop.revoked().await.is_empty(), "tokens do not say any of that");

        let said = shop.run(&["set", "alice", "--role", "c", "--role", "d"], "").await.unwrap();
        assert_eq!(said, "alice changed, 1 sessions ended\n");
        assert_eq!((shop.user("alice").await.roles, shop.revoked().await), (vec!["c".into(), "d".into()], vec![kept]));
        shop.run(&["set", "alice", "--no-roles"], "").await.unwrap();
        assert!(shop.user("alice").await.roles.is_empty());

        let said = shop.run(&["set", "alice", "--username", "Alice L.", "--email", "l@example.com"], "").await.unwrap();
        assert_eq!(said, format!("alice changed, 0 sessions ended\nalice is Alice L. now ({})\n", user.id));
        let user = shop.user("alice l.").await;
        assert_eq!((user.email.as_deref(), user.email_verified), (Some("l@example.com"), true));
        assert_eq!(
            Value::Object(user.data).to_string(),
            r#"{"username":"Alice L.","email":"l@example.com","n":"1=2"}"#
        );
        shop.run(&["set", "l@example.com", "--no-email"], "").await.unwrap();
        let user = shop.user("alice l.").await;
        assert_eq!((user.email, user.email_verified, user.data.contains_key("email")), (None, false, false));
    }

    #[tokio::test]
    async fn set_refuses_what_add_refuses() {
        let shop = Shop::open().await;
        shop.run(&["add", "alice"], "a long secret\n").await.unwrap();
        shop.run(&["add", "--email", "b@example.com", "bob"], "a long secret\n").await.unwrap();
        let before = shop.user("alice").await;
        for (arguments, code) in [
            (&["set", "alice"][..], exit::USAGE),
            (&["set", "--username", "x"], exit::USAGE),
            (&["set", "alice", "--no-email", "--email", "a@example.com"], exit::USAGE),
            (&["set", "alice", "--no-roles", "--role", "a"], exit::USAGE),
            (&["set", "alice", "--role", "a,b"], exit::USAGE),
            (&["set", "alice", "--attribute", "email=x"], exit::USAGE),
            (&["set", "alice", "--attribute", "a=1", "--attribute", "a="], exit::USAGE),
            (&["set", "nobody", "--no-roles"], exit::DATA),
            (&["set", "alice", "--username", "BOB"], exit::DATA),
            (&["set", "alice", "--username", "a\u{200b}"], exit::DATA),
            (&["set", "alice", "--email", "B@example.com"], exit::DATA),
            (&["set", "alice", "--email", "a@b@c"], exit::DATA),
        ] {
            assert_eq!(shop.run(arguments, "").await.unwrap_err().code, code, "{arguments:?}");
        }
        let huge = format!("a={}", "x".repeat(MAX_DATA_BYTES));
        assert_eq!(shop.run(&["set", "alice", "--attribute", &huge], "").await.unwrap_err().code, exit::DATA);
        assert_eq!(shop.user("alice").await, before);
    }
}
