//! `[route.health_check]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::host::Authority;
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::quote;
use crate::config::schema::kind::{duration, list, number, required, text};
use crate::config::schema::section;
use crate::config::sealed::Sealed;
use crate::config::upstream::HealthCheck;

section! {
    /// An active health check: Tollgate sends periodic test requests to each upstream server, and forwards requests only to
    /// healthy servers. The first result sets the state. Before it, a server is healthy.
    HealthCheckKeys = "[route.health_check]", Reloadable;

    /// Path of the test request, a `GET` without credentials.
    path: Result<String, Reported> = required(text(target, "\"/healthz\""));

    /// `Host` header of the test request.
    host: Option<String> = text(host, "\"app.internal\""), default "host and port of the server in `upstream`";

    /// Status codes of a successful check, single or as a range.
    status: Vec<RangeInclusive<u16>> = list(status, "[\"200\", \"300-399\"]"), default "[\"200-399\"]";

    /// Time from the end of a check to the start of the next one.
    interval: Duration = duration(MIN_TIME..=MAX_TIME, Duration::from_secs(5));

    /// Maximum time for a check.
    timeout: Duration = duration(MIN_TIME..=MAX_TIME, Duration::from_secs(2));

    /// Number of consecutive successful checks that make an unhealthy server healthy.
    healthy_after: usize = number(1..=100, 2);

    /// Number of consecutive failed checks that make a healthy server unhealthy.
    unhealthy_after: usize = number(1..=100, 3);
}

/// Reads the health check of a route.
pub(in crate::config) fn read(section: &Section<'_>) -> Result<HealthCheck, Reported> {
    let keys = HealthCheckKeys::read(section);
    if keys.status.is_empty_list() {
        keys.status.error("must not be empty: write status = [\"200-399\"], or remove it for the same effect");
    }
    Ok(HealthCheck {
        _sealed: Sealed(()),
        path: keys.path.value?,
        host: keys.host.value,
        status: keys.status.if_written().unwrap_or_else(|| vec![200..=399]),
        interval: keys.interval.value,
        timeout: keys.timeout.value,
        healthy_after: keys.healthy_after.value,
        unhealthy_after: keys.unhealthy_after.value,
    })
}

/// Checks the target of a request line.
fn target(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Ok(text.into());
    }
    Err(format!("invalid path {}: write it as \"/healthz\"", quote(text)))
}

fn host(text: &str) -> Result<String, String> {
    match Authority::parse(text) {
        Some(_) => Ok(text.into()),
        None => Err(format!("invalid host {}: write it as \"app.internal\"", quote(text))),
    }
}

/// Parses `200` or `200-399`.
fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let number = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| digits && (200..=599).contains(status))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(format!(
            "invalid status {}: write a number from 200 to 599, or a range such as \"200-399\"",
            quote(text)
        )),
    }
}

const MIN_TIME: Duration = Duration::from_millis(50);
const MAX_TIME: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::fixture::{REALM, ROUTE, SERVER, assert_error, check};

    #[test]
    fn every_key_and_its_default() {
        let read = |keys: &str| {
            let text = format!("{SERVER}{REALM}{ROUTE}[route.health_check]\n{keys}");
            check(&text).unwrap().policy.routing.routes[0].upstream.health_check.clone().unwrap()
        };
        let short = read("path = \"/up?deep=1\"\n");
        assert_eq!((short.path.as_str(), short.host.as_deref()), ("/up?deep=1", None));
        assert_eq!((short.interval, short.timeout), (Duration::from_secs(5), Duration::from_secs(2)));
        assert_eq!((short.healthy_after, short.unhealthy_after), (2, 3));
        let accepted = |check: &super::HealthCheck| (200..600).filter(|status| check.accepts(*status)).count();
        assert!(short.accepts(200) && short.accepts(399) && !short.accepts(400) && accepted(&short) == 200);
        let long = read("path = \"/\"\nhost = \"app:81\"\nstatus = [\"204\", \"401-403\"]\nunhealthy_after = 1\n");
        assert!(long.accepts(204) && long.accepts(402) && accepted(&long) == 4);
        assert_eq!((long.host.as_deref(), long.unhealthy_after), (Some("app:81"), 1));
    }

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            ("", "route[0].health_check.path: is missing: write path = \"/healthz\""),
            ("path = \"up\"", "invalid path"),
            ("path = \"/a b\"", "invalid path"),
            ("path = \"/\"\nhost = \"a b\"", "invalid host"),
            ("path = \"/\"\nstatus = []", "must not be empty"),
            ("path = \"/\"\nstatus = [\"2xx\"]", "route[0].health_check.status[0]: invalid status \"2xx\""),
            ("path = \"/\"\nstatus = [\"399-200\"]", "invalid status"),
            ("path = \"/\"\nstatus = [\"100\"]", "invalid status"),
            ("path = \"/\"\ninterval = \"1ms\"", "out of range"),
            ("path = \"/\"\nhealthy_after = 0", "out of range"),
            ("path = \"/\"\nread_timeout = \"1s\"", "belongs to [[route]] but follows [route.health_check]"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{ROUTE}[route.health_check]\n{keys}\n"), expected);
        }
    }
}
