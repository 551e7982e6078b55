//! The realms of the file, for the sections that name one.

use std::sync::Arc;

use super::Realm;
use crate::config::reader::report::{Reported, SourceLocation};
use crate::config::reader::spelling::{closest, quote};
use crate::config::schema::Setting;
use crate::config::schema::kind::Raw;

#[derive(Default)]
pub(in crate::config) struct Realms {
    pub(in crate::config) declared: Vec<Declared>,
    /// There is a realm without a valid name: a login or a route can refer to it.
    pub(in crate::config) misnamed: Option<Reported>,
}

/// A realm of the file, valid or not.
pub(in crate::config) struct Declared {
    pub(in crate::config) name: String,
    /// Location of its API keys, valid or not.
    pub(in crate::config) api_keys: Option<SourceLocation>,
    pub(in crate::config) realm: Result<Arc<Realm>, Reported>,
}

/// Returns the realm with the name in a login or a route.
pub(in crate::config) fn realm_of<'r>(name: &Setting<'_, Raw>, realms: &'r Realms) -> Result<&'r Declared, Reported> {
    let text = name.required(|text| Ok(text.to_owned()))?;
    if let Some(declared) = realms.declared.iter().find(|declared| declared.name == text) {
        return Ok(declared);
    }
    if let Some(reported) = realms.misnamed {
        return Err(reported);
    }
    Err(name.missing_value(match closest(&text, realms.declared.iter().map(|declared| declared.name.as_str())) {
        Some(meant) => format!("there is no realm {}: did you mean \"{meant}\"?", quote(&text)),
        None => format!("there is no realm {}: write [[realm]] with that name", quote(&text)),
    }))
}
