//! The texts of the pages.

use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

macro_rules! texts {
    ($($name:ident),+ $(,)?) => {
        /// Every text of a page, in one language. A table with a missing or unknown key does not parse.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Texts {
            $(pub $name: String,)+
        }

        #[cfg(test)]
        impl Texts {
            pub(super) fn all(&self) -> Vec<(&'static str, &str)> {
                vec![$((stringify!($name), self.$name.as_str())),+]
            }
        }
    };
}

texts! {
    sign_in, sign_in_to, to_continue, username, password, show_password, hide_password, remember, continue_, or,
    continue_with, no_methods, wrong_password, too_many_attempts, seconds, one_second, minutes, one_minute, hours,
    one_hour, form_expired, busy, unavailable, body_lost, session_ended, other_user, code_title, code_for, code,
    code_hint, wrong_code, start_again, step_up, step_up_unavailable, new_password_title, new_password_why,
    new_password, new_password_hint, current_password, password_short, password_long, password_common,
    password_is_name, password_same, save, sign_out, sign_out_question, sign_out_everywhere_note, cancel,
    signed_out_title, signed_out_text, sign_in_again, account, signed_in_as, email, not_verified, roles, sessions,
    sessions_text, this_session, last_used, signed_in_at, address, end_session, end_session_label, end_others,
    change_password, password_changed, authenticator, authenticator_on, authenticator_off, authenticator_add,
    authenticator_remove, authenticator_removed, recovery_left, recovery_new, providers, link, unlink, linked,
    confirm_password, enroll_title, enroll_scan, enroll_picture, enroll_secret, enroll_code, turn_on,
    recovery_title, recovery_text, recovery_saved, copy, copied, error_sign_in_failed, error_provider_denied,
    error_provider, error_provider_unavailable, error_no_account, error_link_first, error_stale, error_cookies,
    error_forbidden, error_forbidden_text, error_sign_in_other, error_not_found, error_not_found_text,
    error_too_many, error_too_many_text, error_unavailable, error_unavailable_text, error_other, try_again, go_back,
    reason, request_id,
}

impl Texts {
    #[allow(clippy::expect_used, reason = "the tables are compiled in, and a test reads them")]
    fn parse(table: &str) -> Self {
        toml::from_str(table).expect("a table of texts has each key")
    }

    /// Returns a duration in words, rounded up: "2 minutes".
    #[must_use]
    pub fn duration(&self, duration: Duration) -> String {
        let seconds = duration.as_secs().max(1);
        let (n, one, many) = match seconds {
            ..60 => (seconds, &self.one_second, &self.seconds),
            60..3600 => (seconds.div_ceil(60), &self.one_minute, &self.minutes),
            _ => (seconds.div_ceil(3600), &self.one_hour, &self.hours),
        };
        if n == 1 { one.clone() } else { fill(many, "n", &n.to_string()) }
    }
}

/// Replaces `{name}` in a text. The result is not HTML: the template escapes it.
#[must_use]
pub fn fill(text: &str, name: &str, value: &str) -> String {
    text.replace(&format!("{{{name}}}"), value)
}

pub(super) static ENGLISH: LazyLock<Texts> = LazyLock::new(|| Texts::parse(include_str!("texts/en.toml")));
pub(super) static GERMAN: LazyLock<Texts> = LazyLock::new(|| Texts::parse(include_str!("texts/de.toml")));
