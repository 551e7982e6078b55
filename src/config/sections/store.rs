//! `[store]`.

use std::path::Path;

use crate::config::reader::{Keys, Section};
use crate::config::server::StoreUrl;

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys { header: "[store]", known: &["url"], later: &[], parent: None };

/// What is in it. Relative paths begin at `base`.
pub(in crate::config) fn read(section: &Section<'_>, base: &Path) -> Option<StoreUrl> {
    section.required("url", "\"sqlite:///var/lib/tollgate/tollgate.db\"", |text| url(text, base))
}

/// None of the messages quotes the URL, which may hold a password.
fn url(text: &str, base: &Path) -> Result<StoreUrl, String> {
    let Some(path) = text.strip_prefix("sqlite://") else {
        return Err(match text.split(':').next() {
            Some("postgres" | "postgresql") => {
                "PostgreSQL is not supported by this version: write \"sqlite:///path/of/the.db\"".into()
            }
            Some("sqlite") => {
                "two slashes are missing: write \"sqlite:///absolute/path.db\" or \"sqlite://relative.db\"".into()
            }
            _ => "is no URL of a store: write \"sqlite:///absolute/path.db\" or \"sqlite://relative.db\"".into(),
        });
    };
    let problem = if path.is_empty() || path.ends_with('/') {
        "names no file: write \"sqlite:///absolute/path.db\" or \"sqlite://relative.db\""
    } else if path.starts_with(":memory:") {
        "a store in memory would forget every user at the next start: write the path of a file"
    } else if path.contains(['?', '#', '%']) {
        // The store takes the path as it is written. Who writes one of these expects something else of it.
        "has parameters or percent-encoding, and neither is supported: write a path without ?, # and %"
    } else if path.starts_with('/') {
        return Ok(StoreUrl(text.into()));
    } else {
        let path = base.join(path);
        let path = path.to_str().ok_or("is relative to a directory whose name is not UTF-8: write an absolute path")?;
        return Ok(StoreUrl(format!("sqlite://{path}")));
    };
    Err(problem.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute() {
        let url = |text, base| url(text, Path::new(base)).unwrap();
        assert_eq!(url("sqlite:///var/a.db", "/etc").as_str(), "sqlite:///var/a.db");
        assert_eq!(url("sqlite://a.db", "/etc/t").as_str(), "sqlite:///etc/t/a.db");
        assert_eq!(url("sqlite://x/a b.db", "/50%?").as_str(), "sqlite:///50%?/x/a b.db");
        assert_eq!(url("sqlite://a.db", "/").as_str(), "sqlite:///a.db");
    }

    #[test]
    fn what_is_no_store_is_not_quoted() {
        for (bad, message) in [
            ("postgres://u:hunter2@h/d", "not supported by this version"),
            ("mysql://u:hunter2@h/d", "no URL of a store"),
            ("hunter2", "no URL of a store"),
            ("sqlite:hunter2.db", "two slashes"),
            ("sqlite::memory:", "two slashes"),
            ("sqlite://:memory:", "forget"),
            ("sqlite://", "names no file"),
            ("sqlite:///var/", "names no file"),
            ("sqlite:///a.db?mode=memory&p=hunter2", "parameters"),
            ("sqlite:///a%20b.db", "percent"),
        ] {
            let error = url(bad, Path::new("/etc")).unwrap_err();
            assert!(error.contains(message) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }
}
