//! Strict JSON for credentials: one object, without duplicate members at any depth.
//!
//! `serde_json` keeps the last of two equal members. If two parsers keep different ones, a token or a login body means
//! one thing to Tollgate and another to an application (SECURITY.md R22). This parser refuses both.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number};

/// Parses `bytes` as one JSON object without duplicate members.
///
/// # Errors
/// The bytes are not UTF-8 JSON, are followed by anything but white space, nest deeper than 128 levels, name a member
/// twice in one object, or are not an object.
pub fn object(bytes: &[u8]) -> Result<Map<String, serde_json::Value>, serde_json::Error> {
    members(bytes).map(Members::into_map)
}

/// Parses without a copy of the text. A token is parsed for every request, and each copied text is an allocation.
///
/// # Errors
/// Those of [`object`].
pub fn members(bytes: &[u8]) -> Result<Members<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { room: FEW }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(de::Error::custom("expected a JSON object")),
    }
}

/// The members of an object in their order. No two have the same name.
#[derive(Debug)]
pub struct Members<'t>(Vec<(Cow<'t, str>, Value<'t>)>);

/// A value that borrows its texts from the document, but for those with escapes.
#[derive(Debug)]
pub enum Value<'t> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    Number(Number),
    String(Cow<'t, str>),
    Array(Vec<Self>),
    Object(Members<'t>),
}

impl<'t> Members<'t> {
    /// The member of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value<'t>> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Returns whether there is a member of this name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    /// Returns an owned value, which can be changed.
    #[must_use]
    pub fn into_map(self) -> Map<String, serde_json::Value> {
        self.0.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect()
    }

    fn names_one_twice(&self) -> bool {
        // Comparing all pairs allocates nothing, but takes too long for thousands of members, which an attacker can
        // send.
        if self.0.len() <= FEW {
            return self
                .0
                .iter()
                .enumerate()
                .any(|(at, (name, _))| self.0[..at].iter().any(|(other, _)| other == name));
        }
        let mut names: Vec<_> = self.names().collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl Value<'_> {
    /// The text that this is.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The whole number that this is.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.as_i64() } else { None }
    }

    /// The number that this is, to the nearest that a double has.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { number.as_f64() } else { None }
    }

    /// The truth value that this is.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The member of this object that has this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        if let Self::Object(members) = self { members.get(name) } else { None }
    }
}

impl PartialEq<serde_json::Value> for Value<'_> {
    fn eq(&self, other: &serde_json::Value) -> bool {
        match (self, other) {
            (Self::Null, serde_json::Value::Null) => true,
            (Self::Bool(value), serde_json::Value::Bool(other)) => value == other,
            (Self::Number(value), serde_json::Value::Number(other)) => value == other,
            (Self::String(value), serde_json::Value::String(other)) => value == other,
            (Self::Array(items), serde_json::Value::Array(others)) => items == others,
            (Self::Object(members), serde_json::Value::Object(others)) => {
                members.0.len() == others.len()
                    && members
                        .0
                        .iter()
                        .all(|(name, value)| others.get(name.as_ref()).is_some_and(|other| value == other))
            }
            _ => false,
        }
    }
}

impl From<Value<'_>> for serde_json::Value {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(value) => Self::Number(value),
            Value::String(value) => Self::String(value.into_owned()),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(members) => Self::Object(members.into_map()),
        }
    }
}

struct Strict {
    /// The capacity of the outer object. Inner objects grow as needed: a body can hold many small ones, and would take
    /// a hundred times its size.
    room: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value<'de>, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self { room: 0 })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value<'de>, A::Error> {
        let mut members = Vec::with_capacity(self.room);
        while let Some(name) = access.next_key_seed(Self { room: 0 })? {
            let Value::String(name) = name else { return Err(de::Error::custom("a name is not a text")) };
            members.push((name, access.next_value_seed(Self { room: 0 })?));
        }
        let members = Members(members);
        // The name stays out of the message: it is the client's text, and may be a secret.
        if members.names_one_twice() {
            Err(de::Error::custom("a member is given twice"))
        } else {
            Ok(Value::Object(members))
        }
    }
}

/// The number of members in the access tokens of most issuers.
const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_values_and_order() {
        let members = object(br#" {"b":1,"a":[null,true,-2,1.5,"x"],"c":{"d":{}}} "#).unwrap();
        assert_eq!(serde_json::to_string(&members).unwrap(), r#"{"b":1,"a":[null,true,-2,1.5,"x"],"c":{"d":{}}}"#);
    }

    #[test]
    fn r22_a_name_given_twice_is_found_among_few_and_many() {
        for count in [2, FEW, FEW + 1, FEW + 2, 1000] {
            let names: Vec<_> = (0..count).map(|number| format!("\"n{number}\":{number}")).collect();
            let text = format!("{{{}}}", names.join(","));
            let found = members(text.as_bytes()).unwrap();
            assert!(found.names().eq((0..count).map(|number| format!("n{number}"))));
            assert_eq!(found.get(&format!("n{}", count - 1)).unwrap().as_i64(), Some(count as i64 - 1));
            for (first, second) in [(0, count - 1), (count - 2, count - 1), (0, 1)] {
                let mut names = names.clone();
                names[second] = names[first].replace('n', "\\u006e");
                assert!(
                    members(format!("{{{}}}", names.join(",")).as_bytes()).is_err(),
                    "{first} and {second} of {count}"
                );
            }
        }
    }

    #[test]
    fn texts_are_borrowed_and_are_what_they_stand_for() {
        let text = br#"{"plain":"a","esc\u0061ped":"\u0062\n"}"#;
        let found = members(text).unwrap();
        assert!(matches!(found.get("plain"), Some(Value::String(Cow::Borrowed("a")))));
        assert_eq!(found.get("escaped").unwrap().as_str(), Some("b\n"));
        assert!(!found.contains_key("esc\\u0061ped") && found.get("Plain").is_none());
    }

    #[test]
    fn a_body_full_of_small_objects_takes_no_more_than_they_need() {
        let found = members(br#"{"list":[{"a":1},{}]}"#).unwrap();
        let of = |value: &Value<'_>| if let Value::Object(members) = value { members.0.capacity() } else { usize::MAX };
        let inner: Vec<_> = found.get("list").unwrap().as_array().unwrap().iter().map(of).collect();
        assert!(inner[0] < FEW && inner[1] == 0, "{inner:?}");
    }

    #[test]
    fn values_are_equal_to_those_that_serde_json_reads() {
        let all = [
            "null",
            "true",
            "false",
            "0",
            "1",
            "-1",
            "1.0",
            "1.5",
            "18446744073709551615",
            r#""""#,
            r#""a""#,
            "[]",
            "[1]",
            "[1,2]",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"a":1,"b":[null]}"#,
            r#"{"b":1}"#,
        ];
        for (at, text) in all.iter().enumerate() {
            let document = format!("{{\"v\":{text}}}");
            let found = members(document.as_bytes()).unwrap();
            for (other_at, other) in all.iter().enumerate() {
                let other: serde_json::Value = serde_json::from_str(other).unwrap();
                assert_eq!(*found.get("v").unwrap() == other, at == other_at, "{text} and {other}");
            }
            assert_eq!(
                serde_json::Value::Object(found.into_map()),
                serde_json::from_str::<serde_json::Value>(&document).unwrap()
            );
        }
        let other_order: serde_json::Value = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        assert!(*members(br#"{"v":{"a":1,"b":2}}"#).unwrap().get("v").unwrap() == other_order);
    }

    #[test]
    fn values_are_asked_for_what_they_are() {
        let found =
            members(br#"{"text":"1","number":1,"big":1e3,"truth":true,"list":[1],"object":{"in":"x"}}"#).unwrap();
        let kinds = |value: &Value<'_>| {
            (value.as_str().is_some(), value.as_i64().is_some(), value.as_bool().is_some(), value.as_array().is_some())
        };
        let of = |name| kinds(found.get(name).unwrap());
        assert_eq!(of("text"), (true, false, false, false));
        assert_eq!(of("number"), (false, true, false, false));
        assert_eq!(of("big"), (false, false, false, false));
        assert_eq!(of("truth"), (false, false, true, false));
        assert_eq!(of("list"), (false, false, false, true));
        assert_eq!(of("object"), (false, false, false, false));
        let inner = |name| found.get(name).unwrap().get("in").and_then(Value::as_str);
        assert_eq!((inner("object"), inner("text"), inner("list")), (Some("x"), None, None));
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":1} x"#,
            r#"{"a":1}{"b":2}"#,
            "[]",
            "1",
            "",
            r#"{"a":NaN}"#,
            r#"{"a":1e999}"#,
            "{\"a\":\"\u{1}\"}",
        ] {
            assert!(object(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(object(deep.as_bytes()).is_err(), "too deep");
    }
}
