//! `tollgate user add`, and the checks of a new user from any source.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Command, Console, NEW_PASSWORD, RealmArgs, Terms, hash, new_user};
use crate::exit::{self, Failure};
use crate::login::password::Password;
use crate::store::{LoginName, Store, User};

/// `user add`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    #[command(flatten)]
    pub(super) place: RealmArgs,
    /// Email address, also for the login
    #[arg(long)]
    email: Option<String>,
    /// A member of the user's data, as a string; can be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// A role for the user's tokens; can be repeated
    #[arg(long = "role", value_name = "ROLE", value_parser = role)]
    roles: Vec<String>,
    /// Set a temporary password: the user must change it at the first login
    #[arg(long)]
    temporary: bool,
    /// Create a service account with a random secret and print the secret once. No password is read
    #[arg(long, conflicts_with = "temporary")]
    machine: bool,
    /// Username
    username: String,
}

impl Add {
    pub(super) async fn run(
        &self,
        store: &dyn Store,
        terms: Terms<'_>,
        console: &mut Console<'_>,
        now_ms: i64,
    ) -> Result<(), Failure> {
        let user = self.user(now_ms)?;
        if self.temporary {
            terms.can_ask(NEW_PASSWORD)?;
        }
        let secret = if self.machine { Some(new_secret()?) } else { None };
        let password = match &secret {
            Some(secret) => Password::new(secret.to_string()),
            None => {
                let password = console.password()?;
                terms.check(&password, Some(&self.username), self.email.as_deref())?;
                password
            }
        };
        let user = User { password: hash(&password)?, ..user };
        store.create_user(&user).await?;
        console.print_line(&format!("added {} ({})", self.username, user.id))?;
        match secret {
            Some(secret) => console.print_secret(&format!("the secret, which is shown only this once: {}", *secret)),
            None => Ok(()),
        }
    }

    fn user(&self, now_ms: i64) -> Result<User, Failure> {
        if LoginName::username(&self.username).is_none() {
            return Err(Failure::new(exit::DATA, BAD_USERNAME));
        }
        if self.email.as_deref().is_some_and(|email| LoginName::email(email).is_none()) {
            return Err(Failure::new(exit::DATA, BAD_EMAIL));
        }
        let mut attributes = Map::new();
        for (name, value) in &self.attributes {
            if attributes.insert(name.clone(), value.as_str().into()).is_some() {
                return Err(Failure::new(exit::USAGE, format!("the attribute {name} is given twice")));
            }
        }
        let mut user = new_user(&self.place.realm, now_ms);
        user.data = data_with_names(Some(&self.username), self.email.as_deref(), attributes);
        user.username = Some(self.username.clone());
        user.email.clone_from(&self.email);
        user.email_verified = user.email.is_some();
        user.roles.clone_from(&self.roles);
        user.temporary = self.temporary;
        Ok(user)
    }
}

/// Adds a user to a realm of the configuration at `config`, for the demo.
pub(in crate::cli) fn add_user(
    config: &Path,
    realm: &str,
    (username, email): (&str, &str),
    attributes: &[(&str, &str)],
    password: &str,
) -> Result<(), Failure> {
    let command = Command::Add(Add {
        place: RealmArgs { config: config.to_owned(), realm: realm.to_owned() },
        email: Some(email.to_owned()),
        attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        roles: Vec::new(),
        temporary: false,
        machine: false,
        username: username.to_owned(),
    });
    let line = format!("{password}\n");
    let (mut input, mut output) = (line.as_bytes(), io::sink());
    command.run_with(&mut Console { input: &mut input, interactive: false, output: &mut output, colours: false })
}

/// 256 random bits, in letters that need no escape in a URL, a header or a file.
fn new_secret() -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *bytes)
        .map_err(|_| Failure::new(exit::SOFTWARE, "the random source of this machine failed"))?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// The data of a user. It contains the names, as after a registration.
pub(super) fn data_with_names(
    username: Option<&str>,
    email: Option<&str>,
    members: Map<String, Value>,
) -> Map<String, Value> {
    let names = [("username", username), ("email", email)];
    let mut data: Map<_, _> =
        names.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    data.extend(members);
    data
}

pub(super) fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is not NAME=VALUE")?;
    match name {
        "" => Err("the name is empty".into()),
        "username" | "email" | "password" => Err(format!("{name} is not an attribute")),
        _ => Ok((name.into(), value.into())),
    }
}

/// Roles are in a header, separated by commas, and in every token.
pub(super) fn role(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    match text.len() {
        1..=64 if text.bytes().all(plain) => Ok(text.into()),
        _ => Err("a role is 1 to 64 visible ASCII characters without commas".into()),
    }
}

pub(super) const BAD_USERNAME: &str =
    "the username must be 1 to 128 visible characters, without white space at its ends or twice in a row";
pub(super) const BAD_EMAIL: &str = "invalid email address: write it as name@example.com";
