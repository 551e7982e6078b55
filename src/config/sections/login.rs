//! `[[login]]`.

use std::sync::Arc;

use super::{Realms, path, realm_of};
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
pub(in crate::config) fn read(section: &Section<'_>, realms: &Realms) -> Option<Arc<Login>> {
    if !section.has("dialect") {
        section.missing("dialect", "is missing: write dialect = \"project\"");
    }
    let dialect = section.choice("dialect", &[("project", Dialect::Project)], &["tenant", "exchange"]);
    let path = section.required("path", "\"/api/1/ce/examples/auth\"", path);
    let realm = realm_of(section, realms);
    Some(Arc::new(Login { dialect: dialect?, path: path?, realm: realm?.realm.clone()? }))
}

#[cfg(test)]
mod tests {
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, with};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (
                r#"dialect = "tenant""#,
                r#"login[0].dialect: "tenant" is not supported by this version: write "project""#,
            ),
            (r#"dialect = "oauth""#, r#""oauth" is none of the values: write "project""#),
            (r#"path = "login""#, "does not start with a slash"),
            (r#"realm = "examples""#, r#"there is no realm "examples": write [[realm]] with that name"#),
            ("tenants = {}", "login[0].tenants: is not supported by this version"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(LOGIN, keys)), expected);
        }
        let no_dialect = LOGIN.replace("dialect = \"project\"\n", "");
        assert_error(&format!("{SERVER}{REALM}{no_dialect}"), "write dialect = \"project\"");
    }
}
