//! The log of the process.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::now_ms;
use crate::config::{Diagnostic, Log, LogFormat, LogLevel};
use crate::log_output::{LogLine, LogWriter};

/// Starts logging. A second call gives the same journal.
///
/// # Errors
/// The system gave no thread.
pub(super) fn start() -> io::Result<Arc<LogWriter>> {
    if let Some(journal) = JOURNAL.get() {
        return Ok(journal.clone());
    }
    let new = LogWriter::new()?;
    let journal = JOURNAL.get_or_init(|| Arc::new(new)).clone();
    let _ = tracing_subscriber::registry().with(Lines { journal: journal.clone() }).try_init();
    // A panic in a task ends one connection, and tokio catches it: without this hook, the log would not have it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a request or task panicked; please report this");
    }));
    Ok(journal)
}

/// Applies these settings.
///
/// # Errors
/// The audit file can't be opened. Then nothing changes.
pub(super) fn follow(log: &Log, journal: &LogWriter) -> Result<(), String> {
    journal.set_audit(&log.audit, log.audit_rotation).map_err(|error| match log.audit_path() {
        Some(path) => format!("log.audit: {} can't be opened: {error}", path.display()),
        None => format!("log.audit: {error}"),
    })?;
    journal.set_json(log.format == LogFormat::Json);
    let level = match log.level {
        LogLevel::Error => 1,
        LogLevel::Warn => 2,
        LogLevel::Info => 3,
        LogLevel::Debug => 4,
        LogLevel::Trace => 5,
    };
    if LEVEL.swap(level, Ordering::Relaxed) != level {
        tracing::callsite::rebuild_interest_cache();
    }
    Ok(())
}

/// Logs the warnings of a configuration that comes into force.
pub(super) fn warnings(warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::ERROR,
        2 => Level::WARN,
        3 => Level::INFO,
        4 => Level::DEBUG,
        _ => Level::TRACE,
    }
}

/// One per process, like its subscriber.
static JOURNAL: OnceLock<Arc<LogWriter>> = OnceLock::new();
static LEVEL: AtomicU8 = AtomicU8::new(3);

struct Lines {
    journal: Arc<LogWriter>,
}

/// Returns whether a line is logged. The level applies to lines of Tollgate only.
///
/// TRAP: below `error`, pingora, h2 and sqlx log whole request heads, with tokens and keys (pingora-proxy 0.9.1, src/lib.rs;
/// SECURITY.md R7). Tollgate logs the failures of a request itself.
fn is_wanted(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_within =
        |name: &str| target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    if is_within("tollgate") {
        *metadata.level() <= level()
    } else {
        *metadata.level() == Level::ERROR && !is_within("pingora_proxy")
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Cached until the level changes. Events of the crate `log` have their target in the event only.
        match (metadata.target(), is_wanted(metadata)) {
            ("log", _) => Interest::sometimes(),
            (_, true) => Interest::always(),
            (_, false) => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(level().into())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = EventFields::default();
        event.record(&mut said);
        let metadata = event.metadata();
        let now_ms = now_ms();
        // `Level` orders errors first. At level = "debug", the operator gets each line.
        let is_limited = *metadata.level() <= Level::INFO;
        let admitted =
            if is_limited { self.journal.admit(metadata.callsite(), said.client(), now_ms) } else { Some(0) };
        let Some(left_out) = admitted else { return };
        let mut line = LogLine::new(self.journal.form(), *metadata.level(), now_ms, &said.message);
        for (name, value) in &said.fields {
            match value {
                Value::Text(text) => line.text(name, text),
                Value::Plain(text) => line.plain(name, text),
            }
        }
        if left_out > 0 {
            line.plain("left_out", left_out);
        }
        self.journal.log(line);
    }
}

/// The fields of an event.
#[derive(Default)]
struct EventFields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

enum Value {
    Text(String),
    /// A number, `true` or `false`.
    Plain(String),
}

impl EventFields {
    /// The client of the event.
    fn client(&self) -> Option<IpAddr> {
        self.fields.iter().find_map(|(name, value)| match value {
            Value::Text(text) if *name == "client" => text.parse().ok(),
            _ => None,
        })
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Plain(text)) => self.message = text,
            // The location fields of the crate `log`. The module is enough.
            ("log.target", Value::Text(text)) => self.fields.push(("target", Value::Text(text))),
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(format!("{value:?}")));
    }
}
