//! From one TOML file to what the gate enforces.
//!
//! [`load()`] reads the file, checks all of it, and either returns everything that the program needs ([`Config`]) or every
//! error, each with its line and key. What comes out ([`Policy`] and its parts) has private fields: it can't be made in
//! any other way, so nothing further in has to check it again.

mod database;
mod duration;
mod error;
mod exchange;
mod external;
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
mod tenant;
mod tls;
mod upstream;
mod user_pool;
mod user_rules;
mod warnings;

pub use database::{Database, DatabasePassword, PostgresSettings, PostgresTls, SslMode};
pub use duration::parse as parse_duration;
pub use error::{Diagnostic, Errors, Severity};
pub use exchange::{AnswerVersion, ExchangeLogin, RequiredAttribute};
pub use host::{Authority, Host};
pub use input::Input;
pub use json_schema::json_schema;
pub use keys_dir::{KeysDir, save_key};
pub use limits::Limits;
pub use load::{Config, Mode, Reach, load, parse};
pub use log::{AccessLog, Log, LogFormat, LogLevel};
pub use login::{Dialect, Endpoint, EndpointTokens, Login, LoginMatch, LoginOperation, ProjectLogin};
pub use origin::{Origin, Origins};
pub use policy::{ApiKey, CookieSpec, MAX_LEEWAY, MAX_TTL, Policy, Realm, SameSite, Sha256};
pub use rotation::{KeyChange, KeyState, KeyStatus, RotationResult, maintain_keys};
pub use route::{Access, Authorization, CorsBy, EncodedSlash, PathRules, Route, RouteMatch, RouteTable};
pub use schema::{Effect, KeyDoc, SectionDoc, ValueDoc, ValueType};
pub use sections::file::reference;
pub use server::{ForwardedFamily, NO_PROXIES, Proxies, ServerSettings};
pub use tenant::{MAX_ACCESS_TTL, ResponseShape, TenantLogin};
pub use tls::{EXPIRES_SOON, TlsSettings};
pub use upstream::{CaCertificates, HealthCheck, LoadBalancing, ServerAddress, Upstream};
pub use user_pool::UserPool;
pub use user_rules::UserRules;
