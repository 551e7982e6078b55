//! `tollgate user mfa`: second factors. The secret and the recovery codes are printed once, when they are created.

use clap::Subcommand;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

use super::{Console, Terms, UserArgs, change, find};
use crate::exit::{self, Failure};
use crate::login::totp::{self, Enrollment};
use crate::store::{SessionsToEnd, Store, User};

/// `user mfa`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Mfa {
    /// Create a user's second factor, print it once, and end all its sessions
    Enable(UserArgs),
    /// Remove a user's second factor: the password is sufficient again
    Disable(UserArgs),
}

impl Mfa {
    pub(super) const fn one(&self) -> &UserArgs {
        match self {
            Self::Enable(one) | Self::Disable(one) => one,
        }
    }

    pub(super) async fn run(
        &self,
        store: &dyn Store,
        terms: Terms<'_>,
        console: &mut Console<'_>,
        now_ms: i64,
    ) -> Result<(), Failure> {
        let UserArgs { place, user: name } = self.one();
        match self {
            Self::Enable(_) => {
                find(store, &place.realm, name).await?;
                terms.can_ask("a code")?;
                let Enrollment { factor, recovery } =
                    totp::enroll().map_err(|error| Failure::new(exit::SOFTWARE, error.to_string()))?;
                let set = |user: User| match user.second_factor {
                    // A second run must not replace a second factor that is in use.
                    Some(_) => {
                        let line = format!("{name} has a second factor already: remove it first (user mfa disable)");
                        Err(Failure::new(exit::DATA, line))
                    }
                    None => Ok(User { second_factor: Some(factor.clone()), updated_at: now_ms, ..user }),
                };
                // Sessions from before must not stay.
                let (user, ended) = change(store, &place.realm, name, SessionsToEnd::All, set).await?;
                let account = user.username.or(user.email).unwrap_or(user.id);
                let uri = totp::uri(&factor.secret, &place.realm, &account);
                console.print_line(&format!("{name} has a second factor now, {ended} sessions ended"))?;
                console.print_secret(&leaflet(&uri, &recovery, console.colours))
            }
            Self::Disable(_) => {
                let set = |user: User| match user.second_factor {
                    None => Err(Failure::new(exit::DATA, format!("{name} has no second factor"))),
                    Some(_) => Ok(User { second_factor: None, updated_at: now_ms, ..user }),
                };
                change(store, &place.realm, name, SessionsToEnd::Nothing, set).await?;
                console.print_line(&format!("second factor of {name} removed"))
            }
        }
    }
}

/// The user's authenticator data.
fn leaflet(uri: &str, recovery: &[Zeroizing<String>], colours: bool) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
    text.push_str("All of this is shown only this once.\n\nFor the authenticator app:\n\n");
    // None if the URI is too long for a QR code, which no allowed name is.
    if let Some(image) = qr_code(uri, colours) {
        text.push_str(&image);
        text.push_str("\n\n");
    }
    text.push_str(uri);
    text.push_str("\n\nRecovery codes, for when the app is lost. Each works once, in place of the six digits:\n");
    for code in recovery {
        text.push('\n');
        text.push_str(code);
    }
    text
}

/// Two rows of modules per line, with the quiet zone that readers require. On a terminal it is black on white, in any
/// color scheme. Elsewhere there are no colors, and the light modules are drawn: correct on a dark terminal, and
/// inverted on a light one, which most readers accept.
fn qr_code(text: &str, colours: bool) -> Option<Zeroizing<String>> {
    // The lowest of the levels: the code is small, and a screen has no stains.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    if colours {
        let image = Zeroizing::new(renderer.build());
        let lines: Vec<_> = image.lines().map(|line| format!("{BLACK_ON_WHITE}{line}{RESET}")).collect();
        return Some(Zeroizing::new(lines.join("\n")));
    }
    Some(Zeroizing::new(renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build()))
}

/// Two of the 256 colors that no terminal theme changes.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::super::tests::Shop;
    use super::*;
    use crate::login::totp::CodeError;

    #[tokio::test]
    async fn enable_ends_every_session_and_shows_what_opens_the_next() {
        let shop = Shop::open().await;
        shop.run(&["add", "--email", "a@example.com", "Alice"], "a long secret\n").await.unwrap();
        shop.run(&["add", "bob"], "a long secret\n").await.unwrap();
        let (ended, _bystander) = (shop.log_in("alice").await, shop.log_in("bob").await);
        let said = shop.run(&["mfa enable", "ALICE"], "").await.unwrap();
        assert!(said.starts_with("ALICE has a second factor now, 1 sessions ended\n"), "{said}");
        assert_eq!(shop.revoked().await, [ended]);
        let user = shop.user("alice").await;
        let factor = user.second_factor.unwrap();
        assert!(said.contains(&*totp::uri(&factor.secret, "examples", "Alice")), "{said}");
        let codes: Vec<_> = said.lines().skip_while(|line| !line.starts_with("Recovery codes")).skip(2).collect();
        assert_eq!(codes.len(), 10, "{said}");
        for code in codes {
            totp::consume_code(&factor, code, 0).unwrap();
        }
        assert_eq!(totp::consume_code(&factor, "aaaa-bbbb-cccc-dddd", 0), Err(CodeError::Wrong));
        assert!(shop.user("bob").await.second_factor.is_none());
    }

    #[tokio::test]
    async fn a_second_factor_is_not_overwritten() {
        let shop = Shop::open().await;
        shop.run(&["add", "alice"], "a long secret\n").await.unwrap();
        shop.run(&["mfa enable", "alice"], "").await.unwrap();
        let before = shop.user("alice").await;
        let failure = shop.run(&["mfa enable", "alice"], "").await.unwrap_err();
        assert!(failure.code == exit::DATA && failure.lines[0].contains("mfa disable"), "{failure:?}");
        assert_eq!(shop.user("alice").await, before);
        // A new password must not bypass it.
        shop.run(&["passwd", "alice"], "a new secret\n").await.unwrap();
        assert_eq!(shop.user("alice").await.second_factor, before.second_factor);
    }

    #[tokio::test]
    async fn disable_removes_it_and_ends_nothing() {
        let shop = Shop::open().await;
        shop.run(&["add", "alice"], "a long secret\n").await.unwrap();
        for command in ["mfa disable", "mfa enable"] {
            let failure = shop.run(&[command, "nobody"], "").await.unwrap_err();
            assert_eq!(failure, Failure::new(exit::DATA, "there is no user nobody"));
        }
        let failure = shop.run(&["mfa disable", "alice"], "").await.unwrap_err();
        assert_eq!(failure, Failure::new(exit::DATA, "alice has no second factor"));
        shop.run(&["mfa enable", "alice"], "").await.unwrap();
        let first = shop.user("alice").await.second_factor.unwrap();
        shop.log_in("alice").await;
        assert_eq!(shop.run(&["mfa disable", "alice"], "").await.unwrap(), "second factor of alice removed\n");
        assert!(shop.user("alice").await.second_factor.is_none() && shop.revoked().await.is_empty());
        shop.run(&["mfa enable", "alice"], "").await.unwrap();
        let second = shop.user("alice").await.second_factor.unwrap();
        assert!(first.secret != second.secret && first.recovery != second.recovery);
    }

    #[tokio::test]
    async fn list_tells_who_has_one() {
        let shop = Shop::open().await;
        shop.run(&["add", "alice"], "a long secret\n").await.unwrap();
        shop.run(&["mfa enable", "alice"], "").await.unwrap();
        let table = shop.run(&["list"], "").await.unwrap();
        let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!((words[0][3], words[1][3]), ("MFA", "yes"));
        let line: serde_json::Value = serde_json::from_str(&shop.run(&["list", "--json"], "").await.unwrap()).unwrap();
        assert_eq!(line["mfa"], true);
    }

    /// Whether each module is dark, row by row.
    fn modules(image: &str) -> Vec<Vec<bool>> {
        let half = |line: &str, full: char| line.chars().map(|char| char == full || char == '█').collect::<Vec<_>>();
        image.lines().flat_map(|line| [half(line, '▀'), half(line, '▄')]).collect()
    }

    #[test]
    fn a_qr_code_on_a_terminal_brings_its_colours() {
        let uri = totp::uri(&[7; 20], "examples", "alice");
        let (plain, coloured) = (qr_code(&uri, false).unwrap(), qr_code(&uri, true).unwrap());
        let bare: Vec<_> = coloured
            .lines()
            .map(|line| line.strip_prefix(BLACK_ON_WHITE).and_then(|line| line.strip_suffix(RESET)).unwrap())
            .collect();
        let (light, mut dark) = (modules(&plain), modules(&bare.join("\n")));
        // The number of rows is odd: the second half of the last line is empty.
        dark.last_mut().unwrap().iter_mut().for_each(|drawn| *drawn = true);
        let inverted: Vec<Vec<_>> = dark.iter().map(|row| row.iter().map(|drawn| !drawn).collect()).collect();
        assert!(light == inverted && !plain.contains('\x1b'), "{}\n{}", *plain, *coloured);
        let (side, quiet) = (light[0].len(), 4);
        assert_eq!(light.len(), side + 1);
        for (y, row) in light[..side].iter().enumerate() {
            for (x, drawn) in row.iter().enumerate() {
                let inside = |at: usize| (quiet..side - quiet).contains(&at);
                assert!(*drawn || (inside(x) && inside(y)), "{x}, {y}: nothing but light around it");
            }
        }
        assert!(!light[quiet][quiet], "a corner begins right there");
        // Every terminal has 80 columns.
        assert!(side <= 80, "{side}");
    }

    #[test]
    fn the_longest_names_have_a_qr_code() {
        let uri = totp::uri(&[7; 20], &"r".repeat(64), &"𝒜".repeat(128));
        assert!(qr_code(&uri, false).is_some() && uri.len() > 1500);
        // Without the drawing, the secret can be typed.
        let text = leaflet(&"x".repeat(3000), &[Zeroizing::new("code".to_owned())], false);
        assert!(text.contains(&"x".repeat(3000)) && text.ends_with("\ncode"));
    }
}
