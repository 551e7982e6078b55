//! The pages that people see: from data to HTML.
//!
//! This module is pure: it knows no request, no store and no policy. A page is a struct with the data that it shows, which
//! the template of the same name in `templates/` renders. askama escapes every value, because user names and messages of
//! identity providers can contain HTML. All texts come from the tables in `texts/`.
//!
//! The pages work without JavaScript. The script adds what a form can't do: it keeps the fragment of the address, shows a
//! password, and copies recovery codes.

mod accent;
mod assets;
mod filters;
mod language;
mod texts;

use askama::Template;

pub use accent::{Accent, InvalidAccent};
pub use assets::{ASSETS_PREFIX, Asset, Assets, LogoType};
pub use language::Language;
pub use texts::{Texts, fill};

/// What all pages of a realm have in common.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub language: Language,
    /// Name of the realm for people.
    pub title: &'a str,
    /// Path of the folder with the assets, such as `/.tollgate/assets/1a2b3c`.
    pub assets: &'a str,
    /// File name of the logo below `assets`; `None`: the first letter of the title stands for it.
    pub logo: Option<&'a str>,
    /// Links below the page, such as to a help page: their texts and URLs.
    pub links: &'a [(String, String)],
}

impl Frame<'_> {
    fn t(&self) -> &'static Texts {
        self.language.texts()
    }

    fn initial(&self) -> String {
        self.title.chars().next().unwrap_or('T').to_uppercase().collect()
    }
}

/// A message at the top of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Announced to screen readers at once.
    Error(String),
    Notice(String),
}

/// Hidden fields that every form sends back.
#[derive(Clone, Copy, Debug)]
pub struct Form<'a> {
    /// The path that the form is sent to.
    pub action: &'a str,
    pub csrf: &'a str,
    /// Path and query of the page to which the sign-in leads back.
    pub to: &'a str,
}

/// An identity provider that a page offers.
#[derive(Clone, Copy, Debug)]
pub struct ProviderLink<'a> {
    pub label: &'a str,
    pub url: &'a str,
}

/// The first page: name and password, and the identity providers.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "sign_in.html")]
pub struct SignInPage<'a> {
    pub frame: Frame<'a>,
    pub form: Form<'a>,
    pub message: Option<Message>,
    /// The host to which the sign-in leads.
    pub host: &'a str,
    /// Whether users of the realm sign in with a password.
    pub password: bool,
    /// Whether the providers come before the password.
    pub providers_first: bool,
    pub providers: &'a [ProviderLink<'a>],
    /// Whether "stay signed in" is offered.
    pub remember: bool,
    pub remembered: bool,
    /// The name that was typed before an error.
    pub username: &'a str,
}

/// The second step: a one-time code.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "code.html")]
pub struct CodePage<'a> {
    pub frame: Frame<'a>,
    pub form: Form<'a>,
    pub message: Option<Message>,
    pub username: &'a str,
    /// The sealed state of the first step.
    pub step: &'a str,
}

/// The step in which a user replaces a temporary password.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "new_password.html")]
pub struct NewPasswordPage<'a> {
    pub frame: Frame<'a>,
    pub form: Form<'a>,
    pub message: Option<Message>,
    pub username: &'a str,
    /// Minimum number of characters.
    pub min: usize,
    /// The sealed state of the step before.
    pub step: &'a str,
}

/// Asks before it ends the session.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "sign_out.html")]
pub struct SignOutPage<'a> {
    pub frame: Frame<'a>,
    pub form: Form<'a>,
    pub username: &'a str,
}

/// Confirms the end of a session.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "signed_out.html")]
pub struct SignedOutPage<'a> {
    pub frame: Frame<'a>,
    pub sign_in: &'a str,
}

/// A session of the account page.
#[derive(Clone, Debug)]
pub struct SessionRow<'a> {
    pub id: String,
    pub host: &'a str,
    /// The browser and the operating system, from the User-Agent header.
    pub agent: String,
    pub address: String,
    /// Date and time as people of the language write them.
    pub created: String,
    pub last_used: String,
    pub current: bool,
}

/// A provider of the account page.
#[derive(Clone, Copy, Debug)]
pub struct ProviderRow<'a> {
    pub id: &'a str,
    pub label: &'a str,
    pub linked: bool,
}

/// What the user is, its sessions, its password and its second factor.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "account.html")]
pub struct AccountPage<'a> {
    pub frame: Frame<'a>,
    pub form: Form<'a>,
    pub message: Option<Message>,
    pub username: &'a str,
    pub email: Option<&'a str>,
    pub email_verified: bool,
    pub roles: &'a [String],
    pub sessions: &'a [SessionRow<'a>],
    /// Whether the user has a password here.
    pub password: bool,
    pub password_min: usize,
    /// `None`: the realm's users have no second factor. Otherwise whether one is on.
    pub authenticator: Option<bool>,
    pub recovery_left: usize,
    pub providers: &'a [ProviderRow<'a>],
}

/// The set-up of an authenticator app.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "enroll.html")]
pub struct EnrollPage<'a> {
    pub frame: Frame<'a>,
    pub form: Form<'a>,
    pub message: Option<Message>,
    pub qr: QrCode,
    /// The secret in Base32, in groups of four.
    pub secret: &'a str,
    /// The sealed secret.
    pub step: &'a str,
}

/// Recovery codes, which are shown once.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "recovery.html")]
pub struct RecoveryPage<'a> {
    pub frame: Frame<'a>,
    pub codes: &'a [String],
    pub next: &'a str,
}

/// A button below an error.
#[derive(Clone, Debug)]
pub struct Action {
    pub label: String,
    pub url: String,
}

/// A denied request, or a sign-in that failed.
#[derive(Clone, Debug, Template)]
#[template(config = "src/pages/askama.toml", path = "error.html")]
pub struct ErrorPage<'a> {
    pub frame: Frame<'a>,
    pub heading: String,
    pub text: String,
    pub actions: &'a [Action],
    /// The reason code (docs/errors.md).
    pub reason: &'a str,
    pub request_id: &'a str,
}

/// The dark squares of a QR code.
#[derive(Clone, Debug)]
pub struct QrCode {
    /// Number of squares in a row, the quiet zone included.
    size: usize,
    /// Path data of SVG, one square for each dark module.
    path: String,
}

impl QrCode {
    /// Encodes a text. `None`: the text is too long.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        use std::fmt::Write as _;
        let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::M).ok()?;
        let (width, colors) = (code.width(), code.into_colors());
        let mut path = String::new();
        for (index, _) in colors.iter().enumerate().filter(|(_, color)| **color == qrcode::Color::Dark) {
            let (x, y) = (index % width + QUIET_ZONE, index / width + QUIET_ZONE);
            let _ = write!(path, "M{x} {y}h1v1h-1z");
        }
        Some(Self { size: width + 2 * QUIET_ZONE, path })
    }
}

/// ISO/IEC 18004: four modules on each side.
const QUIET_ZONE: usize = 4;

#[cfg(test)]
mod tests;
