//! The accent color of a realm's pages.

/// A color, with the color of text that is readable on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent {
    rgb: [u8; 3],
}

/// The text is no color in hexadecimal notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a color such as \"#0a7\" or \"#00aa77\"")]
pub struct InvalidAccent;

impl Accent {
    /// Reads `#rgb` or `#rrggbb`.
    ///
    /// # Errors
    /// [`InvalidAccent`].
    pub fn parse(text: &str) -> Result<Self, InvalidAccent> {
        let digits = text.strip_prefix('#').ok_or(InvalidAccent)?;
        let digit = |at: usize| {
            let digit = digits.as_bytes().get(at).and_then(|byte| char::from(*byte).to_digit(16));
            digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(InvalidAccent)
        };
        let mut rgb = [0; 3];
        for (at, part) in rgb.iter_mut().enumerate() {
            *part = match digits.len() {
                3 => digit(at)? * 17,
                6 => digit(2 * at)? * 16 + digit(2 * at + 1)?,
                _ => return Err(InvalidAccent),
            };
        }
        Ok(Self { rgb })
    }

    /// The color in CSS.
    pub(super) fn css(self) -> String {
        let [red, green, blue] = self.rgb;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Black or white, whichever has the higher contrast to the color: at least 4.58, which is above the 4.5 of WCAG 2.2,
    /// 1.4.3.
    pub(super) fn text_css(self) -> &'static str {
        // Both have the same contrast at a luminance of 0.1791.
        if self.luminance() > 0.1791 { "#000" } else { "#fff" }
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = self.rgb.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }
}

impl Default for Accent {
    fn default() -> Self {
        Self { rgb: [0x1f, 0x5f, 0xd6] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_hexadecimal() {
        for (text, css) in [("#0a7", "#00aa77"), ("#00AA77", "#00aa77"), ("#fff", "#ffffff")] {
            assert_eq!(Accent::parse(text).unwrap().css(), css);
        }
        for bad in ["", "#", "0a7", "#0a", "#0a7f", "#0a7xyz", "red", "#ggg", "#é12", "#+12", "#00aa7", "#1;}x{y"] {
            assert_eq!(Accent::parse(bad), Err(InvalidAccent), "{bad}");
        }
    }

    #[test]
    fn text_on_any_color_is_readable() {
        for red in (0..=255).step_by(5) {
            for green in (0..=255).step_by(5) {
                for blue in (0..=255).step_by(15) {
                    let accent = Accent { rgb: [red, green, blue] };
                    let (own, text) = (accent.luminance(), if accent.text_css() == "#000" { 0.0 } else { 1.0_f64 });
                    let contrast = (own.max(text) + 0.05) / (own.min(text) + 0.05);
                    assert!(contrast >= 4.5, "{accent:?}: {contrast}");
                }
            }
        }
    }
}
