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
    } else if path.contains(['?', '#']) {
        "has parameters, and takes none: write the path only (%3f for a question mark in it)"
    } else if !is_percent_encoded(path) {
        "has a percent sign that is not followed by two hexadecimal digits: write %25 for a percent sign"
    } else if path.starts_with('/') {
        return Ok(StoreUrl(text.into()));
    } else {
        let base =
            base.to_str().ok_or("is relative, and the directory of this file is not UTF-8: write an absolute path")?;
        return Ok(StoreUrl(format!("sqlite://{}/{path}", percent_encode(base.trim_end_matches('/')))));
    };
    Err(problem.into())
}

fn is_percent_encoded(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

/// Just what the driver takes for something else: it decodes the path, and cuts parameters off.
fn percent_encode(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute() {
        let url = |text, base| url(text, Path::new(base)).unwrap();
        assert_eq!(url("sqlite:///var/a.db", "/etc").as_str(), "sqlite:///var/a.db");
        assert_eq!(url("sqlite://a.db", "/etc/t").as_str(), "sqlite:///etc/t/a.db");
        assert_eq!(url("sqlite://x/a%20b.db", "/50%?").as_str(), "sqlite:///50%25%3f/x/a%20b.db");
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
            ("sqlite:///a%zz.db", "percent"),
            ("sqlite:///a%2", "percent"),
        ] {
            let error = url(bad, Path::new("/etc")).unwrap_err();
            assert!(error.contains(message) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }
}
