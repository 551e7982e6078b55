//! Reads the configuration file.
//!
//! [`load()`] reads and checks the whole TOML file. It returns everything that the program needs ([`Config`]), or every error
//! with its line and key. [`Policy`] and its parts have public fields to read, and a field of the private type `Sealed`: no
//! other module can make them, so that no other module has to check them again.

mod duration;
mod error;
mod external;
mod file;
#[cfg(test)]
mod fixture;
mod host;
mod input;
mod json_schema;
mod limits;
mod load;
mod log;
mod login;
mod origin;
mod pem;
mod policy;
mod published_jwks;
mod reader;
mod realm;
mod route;
#[cfg(test)]
mod samples;
mod schema;
mod sealed;
mod server;
mod size;
mod store;
mod tls;
mod upstream;
mod values;
mod warnings;

pub use duration::parse as parse_duration;
pub use error::{Diagnostic, Errors, Severity};
pub use file::reference;
pub use host::{Authority, Host};
pub use input::Input;
pub use json_schema::json_schema;
pub use limits::Limits;
pub use load::{Config, Mode, Pending, Reach, load, parse};
pub use log::{AccessLog, Log, LogFormat, LogLevel, audit_problem};
pub use login::cognito::UserPool;
pub use login::exchange::{AnswerVersion, ExchangeLogin, RequiredAttribute};
pub use login::tenant::{MAX_ACCESS_TTL, ResponseShape, TenantLogin};
pub use login::{Dialect, Endpoint, EndpointTokens, Login, LoginMatch, LoginOperation, ProjectLogin};
pub use origin::{Origin, Origins};
pub use pem::EXPIRES_SOON;
pub use policy::Policy;
pub use realm::{ApiKey, CookieSpec, MAX_TTL, Realm, SameSite, Sha256, UserRules};
pub use route::{Access, Authorization, CorsBy, EncodedSlash, NoMatch, PathRules, Route, RouteMatch, RouteTable};
pub use schema::{Effect, KeyDoc, SectionDoc, ValueDoc, ValueType};
pub use server::{ForwardedFamily, NO_PROXIES, Proxies, ServerSettings};
pub use store::{Database, DatabasePassword, PostgresSettings, PostgresTls, SslMode};
pub use tls::TlsSettings;
pub use upstream::{CaCertificates, HealthCheck, LoadBalancing, ServerAddress, Upstream};
