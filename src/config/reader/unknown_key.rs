//! Suggestions for unknown keys.

use super::spelling::closest;
use super::{SectionKeys, WHOLE_FILE};

/// Returns the headers of the sections that have a key of this name.
pub(in crate::config) type KeyOwners = fn(&str) -> Vec<&'static str>;

impl SectionKeys {
    /// Returns the key that the operator probably meant.
    pub(super) fn meant(&self, name: &str) -> Option<&'static str> {
        let other = OTHER_NAMES.iter().find(|(other, known)| *other == name && self.contains(known));
        other.map(|(_, known)| *known).or_else(|| closest(name, self.names()))
    }

    /// Returns the error message for an unknown key.
    pub(super) fn explain(&self, name: &str, parent: Option<&Self>, owners: KeyOwners) -> String {
        if let Some(parent) = parent.filter(|parent| parent.header != WHOLE_FILE && parent.contains(name)) {
            return format!("belongs to {0} but follows {1}: move it above the {1} line", parent.header, self.header);
        }
        // The top level of the file has only sections.
        let kind = if self.header == WHOLE_FILE { "section" } else { "key" };
        match self.meant(name) {
            Some(known) => format!("unknown {kind}: did you mean {known}?"),
            None => match &owners(name)[..] {
                [] => format!("unknown {kind}: use one of {}", self.names().collect::<Vec<_>>().join(", ")),
                owners => format!("is a key of {}: move it there", owners.join(" or ")),
            },
        }
    }
}

/// Keys of nginx, Caddy, Traefik and other proxies, each with the key of Tollgate.
const OTHER_NAMES: [(&str, &str); 24] = [
    ("address", "listen"),
    ("addr", "listen"),
    ("bind", "listen"),
    ("port", "listen"),
    ("workers", "threads"),
    ("real_ip_from", "trusted_proxies"),
    ("backend", "upstream"),
    ("backends", "upstream"),
    ("proxy_pass", "upstream"),
    ("target", "upstream"),
    ("url", "upstream"),
    ("location", "path"),
    ("prefix", "path"),
    ("domain", "host"),
    ("hostname", "host"),
    ("server_name", "host"),
    ("auth", "access"),
    ("certificate", "cert"),
    ("cert_file", "cert"),
    ("key_file", "key"),
    ("cors", "origins"),
    ("allowed_origins", "origins"),
    ("jwks_uri", "jwks_url"),
    ("database", "url"),
];
