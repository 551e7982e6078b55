//! A user's record in the project dialect: how it is read from a body, changed, and shown.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::password::Password;
use crate::gate::DenyReason;
use crate::store::{LoginName, User};

/// `strategy` of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpdateStrategy {
    /// The body replaces the data.
    Force,
    /// The body is a merge patch of the data (RFC 7396).
    Merge,
    /// Like `Force`, but a member that stays must keep its JSON type.
    Replace,
}

/// A body with the password taken out.
pub(super) struct RecordBody {
    /// The other members, in their order, without an empty `username` or `email`.
    pub(super) members: Map<String, Value>,
    pub(super) password: Option<Password>,
}

impl RecordBody {
    /// Removes the password and checks the names: at most one of both, as strings. In a merge patch, `null` removes a
    /// name.
    pub(super) fn new(mut members: Map<String, Value>, strategy: UpdateStrategy) -> Result<Self, DenyReason> {
        let removable = strategy == UpdateStrategy::Merge;
        let mut names = 0;
        for name in NAMES {
            match members.get(name) {
                None => {}
                Some(Value::String(text)) if text.is_empty() => drop(members.shift_remove(name)),
                Some(Value::String(_)) => names += 1,
                Some(Value::Null) if removable => {}
                Some(_) => return Err(DenyReason::LoginName),
            }
        }
        if names == 2 || (names == 0 && !removable) {
            return Err(DenyReason::LoginName);
        }
        let password = match members.shift_remove("password") {
            None if removable => None,
            Some(Value::String(text)) if !text.is_empty() => Some(Password::new(text)),
            _ => return Err(DenyReason::Password),
        };
        Ok(Self { members, password })
    }

    /// Reads the body of a registration or login, which requires a name and a password.
    pub(super) fn with_credentials(members: Map<String, Value>) -> Result<(Self, Password), DenyReason> {
        let mut body = Self::new(members, UpdateStrategy::Force)?;
        let password = body.password.take().ok_or(DenyReason::Password)?;
        Ok((body, password))
    }

    /// The name that was sent, whatever it is worth.
    pub(super) fn name_text(&self) -> Option<&str> {
        self.username().or_else(|| self.email())
    }

    pub(super) fn username(&self) -> Option<&str> {
        text(&self.members, "username")
    }

    pub(super) fn email(&self) -> Option<&str> {
        text(&self.members, "email")
    }

    /// Returns the name for the look-up; `None` for an invalid name.
    pub(super) fn login_name(&self) -> Option<LoginName> {
        match (self.username(), self.email()) {
            (Some(username), _) => LoginName::username(username),
            (None, email) => email.and_then(LoginName::email),
        }
    }

    /// `user` with these members; its password and times are left as they are.
    pub(super) fn apply(&self, user: &User, strategy: UpdateStrategy) -> Result<User, DenyReason> {
        let data = match strategy {
            UpdateStrategy::Force => self.members.clone(),
            UpdateStrategy::Replace => {
                let kept = |name: &String, old: &Value| self.members.get(name).is_none_or(|new| same_type(old, new));
                if !user.data.iter().all(|(name, old)| kept(name, old)) {
                    return Err(DenyReason::TypeMismatch);
                }
                self.members.clone()
            }
            UpdateStrategy::Merge => {
                let mut data = user.data.clone();
                merge(&mut data, &self.members);
                if serde_json::to_string(&data).map_or(usize::MAX, |text| text.len()) > MAX_DATA_BYTES {
                    return Err(DenyReason::BodyTooLarge);
                }
                data
            }
        };
        named(User { data, ..user.clone() })
    }
}

/// `user` with the names that its data holds.
pub(super) fn named(user: User) -> Result<User, DenyReason> {
    let (username, email) = (text(&user.data, "username"), text(&user.data, "email"));
    let (username, email) = (username.map(str::to_owned), email.map(str::to_owned));
    if username.is_none() && email.is_none() {
        return Err(DenyReason::LoginName);
    }
    let valid = username.as_deref().is_none_or(|text| LoginName::username(text).is_some())
        && email.as_deref().is_none_or(|text| LoginName::email(text).is_some());
    if valid { Ok(User { username, email, ..user }) } else { Err(DenyReason::NameInvalid) }
}

/// Returns the record for a client, or only `data` if requested. Never the password.
pub(super) fn to_json(user: User, data_only: bool) -> Value {
    if data_only {
        return Value::Object(user.data);
    }
    json!({
        "uniqueId": user.id,
        "data": user.data,
        "createdAt": iso8601(user.created_at),
        "updatedAt": iso8601(user.updated_at),
    })
}

/// UTC with milliseconds. A time outside the calendar can only come from another writer of the store.
pub(crate) fn iso8601(milliseconds: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

const fn same_type(one: &Value, other: &Value) -> bool {
    matches!(
        (one, other),
        (Value::Null, Value::Null)
            | (Value::Bool(_), Value::Bool(_))
            | (Value::Number(_), Value::Number(_))
            | (Value::String(_), Value::String(_))
            | (Value::Array(_), Value::Array(_))
            | (Value::Object(_), Value::Object(_))
    )
}

/// RFC 7396, 2. The depth of a parsed body is bounded, and so is the recursion.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.shift_remove(name)),
            Value::Object(patch) => {
                let member = target.entry(name).or_insert(Value::Null);
                if !member.is_object() {
                    *member = Value::Object(Map::new());
                }
                if let Value::Object(target) = member {
                    merge(target, patch);
                }
            }
            _ => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

const NAMES: [&str; 2] = ["username", "email"];
/// Maximum size of the data. A merge must not grow a record beyond the size of a registration.
pub(crate) const MAX_DATA_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn members(text: &str) -> Map<String, Value> {
        json::object(text.as_bytes()).unwrap()
    }

    fn user(data: &str) -> User {
        let user = User {
            id: "0123456789abcdef0123456789abcdef".into(),
            data: members(data),
            updated_at: 1_609_066_725_007,
            ..User::new("examples", 1_609_066_725_000)
        };
        named(user).unwrap()
    }

    fn applied(strategy: UpdateStrategy, data: &str, body: &str) -> Result<String, DenyReason> {
        let changed = RecordBody::new(members(body), strategy)?.apply(&user(data), strategy)?;
        assert_eq!(changed.username.as_deref(), text(&changed.data, "username"));
        assert_eq!(changed.email.as_deref(), text(&changed.data, "email"));
        Ok(serde_json::to_string(&changed.data).unwrap())
    }

    #[test]
    fn a_record_is_shown_as_documented() {
        let user = user(r#"{"username":"alice","z":1,"a":null}"#);
        assert_eq!(
            to_json(user.clone(), false).to_string(),
            r#"{"uniqueId":"0123456789abcdef0123456789abcdef","data":{"username":"alice","z":1,"a":null},"createdAt":"2020-12-27T10:58:45.000Z","updatedAt":"2020-12-27T10:58:45.007Z"}"#
        );
        assert_eq!(to_json(user, true).to_string(), r#"{"username":"alice","z":1,"a":null}"#);
    }

    #[test]
    fn one_name_and_one_password() {
        for (body, expected) in [
            (r#"{"username":"a","password":"p"}"#, Ok(r#"{"username":"a"}"#)),
            (r#"{"email":"a@b","password":"p","x":[1]}"#, Ok(r#"{"email":"a@b","x":[1]}"#)),
            (r#"{"username":"","email":"a@b","password":"p"}"#, Ok(r#"{"email":"a@b"}"#)),
            (r#"{"password":"p","username":"a","b":1,"a":2}"#, Ok(r#"{"username":"a","b":1,"a":2}"#)),
            (r#"{"username":"a","email":"a@b","password":"p"}"#, Err(DenyReason::LoginName)),
            (r#"{"password":"p"}"#, Err(DenyReason::LoginName)),
            (r#"{"username":"","password":"p"}"#, Err(DenyReason::LoginName)),
            (r#"{"username":null,"password":"p"}"#, Err(DenyReason::LoginName)),
            (r#"{"username":1,"password":"p"}"#, Err(DenyReason::LoginName)),
            (r#"{"username":"a","email":{},"password":"p"}"#, Err(DenyReason::LoginName)),
            (r#"{"username":"a"}"#, Err(DenyReason::Password)),
            (r#"{"username":"a","password":""}"#, Err(DenyReason::Password)),
            (r#"{"username":"a","password":1}"#, Err(DenyReason::Password)),
            (r#"{"username":"a","password":null}"#, Err(DenyReason::Password)),
            (r#"{"username":"a","Password":"p"}"#, Err(DenyReason::Password)),
        ] {
            let read = RecordBody::with_credentials(members(body));
            let read = read.map(|(body, _)| serde_json::to_string(&body.members).unwrap());
            assert_eq!(read, expected.map(str::to_owned), "{body}");
        }
    }

    #[test]
    fn force_takes_the_place_of_everything() {
        let body = r#"{"email":"b@c","password":"p","n":"1"}"#;
        let data = r#"{"username":"a","n":1,"gone":true}"#;
        assert_eq!(applied(UpdateStrategy::Force, data, body), Ok(r#"{"email":"b@c","n":"1"}"#.into()));
    }

    #[test]
    fn replace_keeps_types() {
        let data = r#"{"username":"a","n":1,"o":{},"l":[],"z":null,"t":true}"#;
        for (body, same) in [
            (r#"{"username":"b","password":"p","n":2.5,"o":{"x":1},"l":[1],"z":null,"t":false,"new":1}"#, true),
            (r#"{"username":"b","password":"p"}"#, true),
            (r#"{"username":"b","password":"p","n":"2"}"#, false),
            (r#"{"username":"b","password":"p","o":[]}"#, false),
            (r#"{"username":"b","password":"p","l":{}}"#, false),
            (r#"{"username":"b","password":"p","z":1}"#, false),
            (r#"{"username":"b","password":"p","t":null}"#, false),
        ] {
            let result = applied(UpdateStrategy::Replace, data, body).map(drop);
            assert_eq!(result, if same { Ok(()) } else { Err(DenyReason::TypeMismatch) }, "{body}");
        }
    }

    #[test]
    fn merge_is_rfc_7396() {
        // The examples of its appendix A, in objects.
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":{"a":"b","c":null}}"#, r#"{"a":{"a":"b"}}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut data = members(target);
            merge(&mut data, &members(patch));
            assert_eq!(serde_json::to_string(&data).unwrap(), result, "{target} and {patch}");
        }
    }

    #[test]
    fn merge_leaves_a_user_with_a_name() {
        let data = r#"{"username":"a","n":1}"#;
        for (body, expected) in [
            (r#"{}"#, Ok(r#"{"username":"a","n":1}"#)),
            (r#"{"n":null}"#, Ok(r#"{"username":"a"}"#)),
            (r#"{"email":"a@b"}"#, Ok(r#"{"username":"a","n":1,"email":"a@b"}"#)),
            (r#"{"username":null,"email":"a@b"}"#, Ok(r#"{"n":1,"email":"a@b"}"#)),
            (r#"{"username":"","password":"p"}"#, Ok(r#"{"username":"a","n":1}"#)),
            (r#"{"username":null}"#, Err(DenyReason::LoginName)),
            (r#"{"username":"b","email":"a@b"}"#, Err(DenyReason::LoginName)),
            (r#"{"username":{}}"#, Err(DenyReason::LoginName)),
            (r#"{"email":"a@@b"}"#, Err(DenyReason::NameInvalid)),
            (r#"{"username":"a\u0000"}"#, Err(DenyReason::NameInvalid)),
            (r#"{"password":null}"#, Err(DenyReason::Password)),
            (r#"{"password":""}"#, Err(DenyReason::Password)),
        ] {
            assert_eq!(applied(UpdateStrategy::Merge, data, body), expected.map(str::to_owned), "{body}");
        }
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_DATA_BYTES / 2));
        let larger = format!(r#"{{"username":"a","b":"{}"}}"#, "x".repeat(MAX_DATA_BYTES / 2));
        assert_eq!(applied(UpdateStrategy::Merge, &larger, &large), Err(DenyReason::BodyTooLarge));
    }
}
