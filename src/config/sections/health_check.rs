//! `[route.health_check]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::route;
use crate::config::host::Authority;
use crate::config::reader::{Keys, Section};
use crate::config::spelling::quote;
use crate::config::upstream::HealthCheck;

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[route.health_check]",
    known: &["path", "host", "status", "interval", "timeout", "healthy_after", "unhealthy_after"],
    later: &[],
    parent: Some(&route::KEYS),
};

/// That of a route, if it has one.
pub(super) fn read(route: &Section<'_>) -> Option<HealthCheck> {
    let section = route.table("health_check", &KEYS)?;
    let path = section.required("path", "\"/healthz\"", target);
    let host = section.optional("host", host);
    let mut statuses = section.list("status", status);
    if section.is_empty_list("status") {
        section.error("status", "is empty: write status = [\"200-399\"], or remove it, which means the same");
    } else if statuses.is_empty() {
        statuses.push(200..=399);
    }
    let time = |key, default| section.duration(key, MIN_TIME..=MAX_TIME, default);
    Some(HealthCheck {
        path: path?,
        host,
        status: statuses,
        interval: time("interval", Duration::from_secs(5)),
        timeout: time("timeout", Duration::from_secs(2)),
        healthy_after: section.number("healthy_after", 1..=100, 2),
        unhealthy_after: section.number("unhealthy_after", 1..=100, 3),
    })
}

/// What stands in a request's first line.
fn target(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Ok(text.into());
    }
    Err(format!("{} is no path: write it as \"/healthz\"", quote(text)))
}

fn host(text: &str) -> Result<String, String> {
    match Authority::parse(text) {
        Some(_) => Ok(text.into()),
        None => Err(format!("{} is no host: write it as \"app.internal\"", quote(text))),
    }
}

/// `200`, or `200-399`.
fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let number = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| digits && (200..=599).contains(status))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("{} is no status: write one from 200 to 599, or a range as \"200-399\"", quote(text))),
    }
}

const MIN_TIME: Duration = Duration::from_millis(50);
const MAX_TIME: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::sections::fixture::{REALM, ROUTE, SERVER, assert_error, check};

    #[test]
    fn what_is_written_and_what_is_not() {
        let read = |keys: &str| {
            let text = format!("{SERVER}{REALM}{ROUTE}[route.health_check]\n{keys}");
            check(&text).unwrap().policy.routing().routes()[0].upstream().health_check().cloned().unwrap()
        };
        let short = read("path = \"/up?deep=1\"\n");
        assert_eq!((short.path(), short.host()), ("/up?deep=1", None));
        assert_eq!((short.interval(), short.timeout()), (Duration::from_secs(5), Duration::from_secs(2)));
        assert_eq!((short.healthy_after(), short.unhealthy_after()), (2, 3));
        let accepted = |check: &super::HealthCheck| (200..600).filter(|status| check.accepts(*status)).count();
        assert!(short.accepts(200) && short.accepts(399) && !short.accepts(400) && accepted(&short) == 200);
        let long = read("path = \"/\"\nhost = \"app:81\"\nstatus = [\"204\", \"401-403\"]\nunhealthy_after = 1\n");
        assert!(long.accepts(204) && long.accepts(402) && accepted(&long) == 4);
        assert_eq!((long.host(), long.unhealthy_after()), (Some("app:81"), 1));
    }

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            ("", "route[0].health_check.path: is missing: write path = \"/healthz\""),
            ("path = \"up\"", "is no path"),
            ("path = \"/a b\"", "is no path"),
            ("path = \"/\"\nhost = \"a b\"", "is no host"),
            ("path = \"/\"\nstatus = []", "is empty"),
            ("path = \"/\"\nstatus = [\"2xx\"]", "route[0].health_check.status[0]: \"2xx\" is no status"),
            ("path = \"/\"\nstatus = [\"399-200\"]", "is no status"),
            ("path = \"/\"\nstatus = [\"100\"]", "is no status"),
            ("path = \"/\"\ninterval = \"1ms\"", "out of range"),
            ("path = \"/\"\nhealthy_after = 0", "out of range"),
            ("path = \"/\"\nread_timeout = \"1s\"", "belongs to [[route]] but follows [route.health_check]"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{ROUTE}[route.health_check]\n{keys}\n"), expected);
        }
    }
}
