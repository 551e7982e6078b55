//! The log: lines on stderr, for people or for machines.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogLevel};

/// Starts logging. A second call changes nothing.
pub(super) fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    // ☠ Only our own lines follow the level. Below `error`, pingora, h2 and sqlx write whole request heads, and with
    // them tokens and keys (`threats.md` R7); what they do to a request we log ourselves.
    let filter = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("tollgate", level)
        .with_target("pingora_proxy", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => {
            tracing_subscriber::registry().with(filter).with(lines.with_ansi(false).with_target(false)).try_init()
        }
        LogFormat::Json => {
            tracing_subscriber::registry().with(filter).with(lines.json().flatten_event(true)).try_init()
        }
    };
    drop(started);
    // ☠ A panic in a hook ends one connection, and pingora swallows it: say that it happened.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a request or task panicked; please report this");
    }));
}
