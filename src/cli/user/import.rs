//! `tollgate user import`: all lines are read and checked before a user is written.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use super::add::{BAD_EMAIL, BAD_USERNAME, data_with_names, role};
use super::{Console, NEW_PASSWORD, RealmArgs, Terms, new_user};
use crate::exit::{self, Failure};
use crate::json;
use crate::login::password;
use crate::login::user_record::MAX_DATA_BYTES;
use crate::store::{LoginName, Store, StoreError, User};

/// `user import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    #[command(flatten)]
    pub(super) place: RealmArgs,
    /// JSON Lines: {"username", "email", "password_hash", "data", "roles", "disabled", "temporary"}; a name and the
    /// hash are required. Standard input if it is absent or "-"
    file: Option<PathBuf>,
}

impl Import {
    pub(super) async fn run(
        &self,
        store: &dyn Store,
        terms: Terms<'_>,
        console: &mut Console<'_>,
        now_ms: i64,
    ) -> Result<(), Failure> {
        let users = match self.file.as_deref().filter(|file| file.as_os_str() != "-") {
            None => read_lines(console.input, terms, now_ms, store).await?,
            Some(file) => {
                let failed = |error: io::Error| Failure::new(exit::DATA, format!("{}: {error}", file.display()));
                let mut reader = io::BufReader::new(std::fs::File::open(file).map_err(failed)?);
                read_lines(&mut reader, terms, now_ms, store).await?
            }
        };
        store.create_users(&users).await.map_err(|error| match error {
            StoreError::NameTaken => Failure::new(exit::DATA, "a name was taken meanwhile: nothing was imported"),
            error => error.into(),
        })?;
        console.print_line(&format!("{} users imported", users.len()))
    }
}

/// Returns the users of these JSON Lines. No two have the same name, in the lines and in the store.
///
/// # Errors
/// Every invalid line with its number; the input or the store failed.
async fn read_lines(
    input: &mut dyn BufRead,
    terms: Terms<'_>,
    now_ms: i64,
    store: &dyn Store,
) -> Result<Vec<User>, Failure> {
    let (mut users, mut problems) = (Vec::new(), Vec::new());
    let mut seen: HashMap<LoginName, usize> = HashMap::new();
    let (mut line, mut number) = (Vec::new(), 0);
    while input.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        if !line.trim_ascii().is_empty() {
            match read_user(&line, terms, now_ms) {
                Err(problem) => problems.push(format!("line {number}: {problem}")),
                Ok(user) => {
                    for name in names(&user) {
                        if let Some(first) = seen.get(&name) {
                            problems.push(format!("line {number}: {} is in line {first} already", name.as_str()));
                        } else if store.user_by_name(&terms.realm.name, &name).await?.is_some() {
                            problems.push(format!("line {number}: a user {} exists already", name.as_str()));
                        }
                        seen.entry(name).or_insert(number);
                    }
                    users.push(user);
                }
            }
        }
        line.clear();
    }
    if problems.is_empty() { Ok(users) } else { Err(Failure { code: exit::DATA, lines: problems }) }
}

fn names(user: &User) -> impl Iterator<Item = LoginName> {
    let username = user.username.as_deref().and_then(LoginName::username);
    let email = user.email.as_deref().and_then(LoginName::email);
    username.into_iter().chain(email)
}

/// Messages quote no value, which can be a password hash.
fn read_user(line: &[u8], terms: Terms<'_>, now_ms: i64) -> Result<User, String> {
    let mut members = json::object(line).map_err(|_| "invalid JSON: write one object without duplicate members")?;
    let username = string(&mut members, "username")?;
    let email = string(&mut members, "email")?;
    if username.is_none() && email.is_none() {
        return Err("username or email is missing".into());
    }
    if username.as_deref().is_some_and(|text| LoginName::username(text).is_none()) {
        return Err(BAD_USERNAME.into());
    }
    if email.as_deref().is_some_and(|text| LoginName::email(text).is_none()) {
        return Err(BAD_EMAIL.into());
    }
    let hash = string(&mut members, "password_hash")?.ok_or("password_hash is missing")?;
    let mut user = new_user(&terms.realm.name, now_ms);
    user.password = password::import(&hash).map_err(|error| format!("password_hash is {error}"))?;
    user.roles = match members.shift_remove("roles") {
        None => Vec::new(),
        Some(Value::Array(roles)) => {
            let roles = roles.iter().map(|value| role(value.as_str().unwrap_or_default()));
            roles.collect::<Result<_, _>>()?
        }
        Some(_) => return Err("roles is not an array".into()),
    };
    user.disabled = flag(&mut members, "disabled")?;
    user.temporary = flag(&mut members, "temporary")?;
    if user.temporary && !terms.asks {
        return Err(terms.no_question(NEW_PASSWORD));
    }
    let data = match members.shift_remove("data") {
        None => Map::new(),
        Some(Value::Object(data)) => data,
        Some(_) => return Err("data is not an object".into()),
    };
    if let Some(name) = members.keys().next() {
        return Err(format!("there is no member {name:?}"));
    }
    user.data = checked_data(data, username.as_deref(), email.as_deref())?;
    Ok(User { username, email_verified: email.is_some(), email, ..user })
}

fn checked_data(
    data: Map<String, Value>,
    username: Option<&str>,
    email: Option<&str>,
) -> Result<Map<String, Value>, String> {
    if data.contains_key("password") {
        return Err("data holds a password, which every answer would show".into());
    }
    for (name, outside) in [("username", username), ("email", email)] {
        if data.get(name).is_some_and(|inside| inside.as_str() != outside) {
            return Err(format!("{name} in data differs from that of the user"));
        }
    }
    let data = data_with_names(username, email, data);
    let length = serde_json::to_string(&data).map_or(usize::MAX, |text| text.len());
    if length > MAX_DATA_BYTES { Err("data is longer than 64 KiB".into()) } else { Ok(data) }
}

fn flag(members: &mut Map<String, Value>, name: &str) -> Result<bool, String> {
    match members.shift_remove(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(format!("{name} is neither true nor false")),
    }
}

fn string(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match members.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} is not a string")),
    }
}
