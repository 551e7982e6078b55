//! From one TOML file to what the gate enforces.
//!
//! [`load`] reads the file, checks all of it, and either returns everything that the program needs or every error, each
//! with its line and key. What comes out ([`Policy`] and its parts) has private fields: it can't be made in any other
//! way, so nothing further in has to check it again.

mod host;
mod origin;
mod policy;
mod route;
mod server;

pub use host::{Authority, Host};
pub use origin::{Origin, Origins};
pub use policy::{ApiKey, CookieSpec, Dialect, Login, Policy, Realm, SameSite, Sha256};
pub use route::{Access, EncodedSlash, Found, Route, Routing, Upstream};
pub use server::{Server, StoreUrl};
