//! From one TOML file to what the gate enforces.
//!
//! [`load`] reads the file, checks all of it, and either returns everything that the program needs ([`Config`]) or every
//! error, each with its line and key. What comes out ([`Policy`] and its parts) has private fields: it can't be made in
//! any other way, so nothing further in has to check it again.

mod database;
mod duration;
mod error;
mod exchange;
mod filesystem;
mod host;
mod input;
mod json_schema;
mod key_sets;
mod keys_dir;
mod kind;
mod limits;
mod load;
mod log;
mod login;
mod origin;
mod outside;
mod pem;
mod policy;
mod reader;
mod report;
mod rotation;
mod route;
#[cfg(test)]
mod samples;
mod schema;
mod secret_file;
mod sections;
mod server;
mod size;
mod spelling;
mod syntax;
mod tls;
mod upstream;
mod user_pool;
mod user_rules;
mod warnings;

pub use database::{Database, Password, Postgres, PostgresTls, SslMode};
pub use duration::parse as parse_duration;
pub use error::{Diagnostic, Errors, Severity};
pub use exchange::{Attribute, Exchange, Revision};
pub use host::{Authority, Host};
pub use input::Input;
pub use json_schema::json_schema;
pub use keys_dir::{KeysDir, save_key};
pub use limits::Limits;
pub use load::{Config, Mode, Reach, load, parse};
pub use log::{AccessLog, Log, LogFormat, LogLevel};
pub use login::{Dialect, Endpoint, Login, MAX_ACCESS_TTL, Shape, Tenant};
pub use origin::{Origin, Origins};
pub use policy::{ApiKey, CookieSpec, MAX_LEEWAY, MAX_TTL, Policy, Realm, SameSite, Sha256};
pub use rotation::{Change, Rotation, Turn, TurnState, tend};
pub use route::{Access, Authorization, CorsBy, EncodedSlash, Found, PathRules, Route, Routing};
pub use schema::{Effect, KeyDoc, SectionDoc, ValueDoc, ValueType};
pub use sections::file::reference;
pub use server::{ForwardedFamily, NO_PROXIES, Proxies, Server};
pub use tls::{EXPIRES_SOON, Tls};
pub use upstream::{Authorities, Balance, HealthCheck, Upstream, UpstreamServer};
pub use user_pool::UserPool;
pub use user_rules::UserRules;
