//! `[[login]]`.

use std::sync::Arc;

use super::{Declared, path, realm_of};
use crate::config::policy::{Dialect, Login};
use crate::config::reader::{Keys, Section};

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[[login]]",
    known: &["dialect", "path", "realm"],
    later: &[
        "tenants",
        "shape",
        "backend",
        "allowed_clients",
        "required_permission",
        "required_attributes",
        "callback_path",
        "after_login",
        "redirect_url",
    ],
    parent: None,
};

/// What is in it.
pub(in crate::config) fn read(section: &Section<'_>, realms: &[Declared]) -> Option<Arc<Login>> {
    if !section.has("dialect") {
        section.missing("dialect", "is missing: write dialect = \"project\"");
    }
    let dialect = section.choice("dialect", &[("project", Dialect::Project)], &["tenant", "exchange"]);
    let path = section.required("path", "\"/api/1/ce/examples/auth\"", path);
    let realm = realm_of(section, realms);
    Some(Arc::new(Login { dialect: dialect?, path: path?, realm: realm?.realm.clone()? }))
}
