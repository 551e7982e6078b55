//! The files that pages refer to: style sheet, script and logo.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::Accent;

/// A file of the pages.
#[derive(Clone, Debug)]
pub struct Asset {
    pub content_type: &'static str,
    pub body: Bytes,
}

/// The assets of a realm.
#[derive(Debug)]
pub struct Assets {
    /// Begins with [`ASSETS_PREFIX`] and ends with a hash of all files, so that browsers can keep them forever.
    base: String,
    style: Asset,
    script: Asset,
    /// With its file name.
    logo: Option<(&'static str, Asset)>,
}

impl Assets {
    /// Makes the assets for a realm with this accent color and this logo: its media type and its bytes.
    #[must_use]
    pub fn new(accent: Accent, logo: Option<(LogoType, Bytes)>) -> Self {
        let colors = format!(":root{{--accent:{};--on-accent:{}}}\n", accent.css(), accent.text_css());
        let style = Asset { content_type: "text/css; charset=utf-8", body: (colors + STYLE).into() };
        let script = Asset { content_type: "text/javascript; charset=utf-8", body: SCRIPT.into() };
        let logo = logo.map(|(kind, body)| (kind.file_name(), Asset { content_type: kind.media_type(), body }));
        let mut hashed = Vec::new();
        for asset in [&style, &script].into_iter().chain(logo.as_ref().map(|(_, asset)| asset)) {
            hashed.extend_from_slice(digest(&SHA256, &asset.body).as_ref());
        }
        let version = data_encoding::HEXLOWER.encode(&digest(&SHA256, &hashed).as_ref()[..8]);
        Self { base: format!("{ASSETS_PREFIX}{version}"), style, script, logo }
    }

    /// Path of the folder, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    #[must_use]
    pub fn logo(&self) -> Option<&str> {
        self.logo.as_ref().map(|(name, _)| *name)
    }

    /// Returns the file at a path. A path with an old version finds nothing.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Asset> {
        match path.strip_prefix(&self.base)?.strip_prefix('/')? {
            "style.css" => Some(&self.style),
            "script.js" => Some(&self.script),
            name => self.logo.as_ref().filter(|(own, _)| *own == name).map(|(_, asset)| asset),
        }
    }
}

/// Image formats of a logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoType {
    Svg,
    Png,
    Jpeg,
    WebP,
}

impl LogoType {
    /// Recognizes the format of an image by its first bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => {
                let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
                let is_svg = text.starts_with("<svg")
                    || (text.starts_with("<?xml") || text.starts_with("<!--")) && text.contains("<svg");
                is_svg.then_some(Self::Svg)
            }
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }

    const fn file_name(self) -> &'static str {
        match self {
            Self::Svg => "logo.svg",
            Self::Png => "logo.png",
            Self::Jpeg => "logo.jpg",
            Self::WebP => "logo.webp",
        }
    }
}

pub const ASSETS_PREFIX: &str = "/.tollgate/assets/";
const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_file_changes_the_path() {
        let svg = Bytes::from_static(b"<svg/>");
        let plain = Assets::new(Accent::default(), None);
        let colored = Assets::new(Accent::parse("#0a7").unwrap(), None);
        let with_logo = Assets::new(Accent::default(), Some((LogoType::Svg, svg.clone())));
        assert!(plain.base() != colored.base() && plain.base() != with_logo.base());
        assert_eq!(plain.base(), Assets::new(Accent::default(), None).base());
        let at = |assets: &Assets, name: &str| assets.at(&format!("{}/{name}", assets.base())).cloned();
        assert_eq!(at(&with_logo, "logo.svg").unwrap().body, svg);
        assert!(at(&plain, "logo.svg").is_none() && at(&plain, "").is_none());
        let style = at(&colored, "style.css").unwrap();
        assert!(style.body.starts_with(b":root{--accent:#00aa77;--on-accent:#000}\n"));
        assert!(at(&plain, "script.js").is_some());
        assert!(plain.at(&format!("{}/style.css", colored.base())).is_none());
        assert!(plain.at(&format!("{}style.css", plain.base())).is_none());
    }

    #[test]
    fn logos_are_known_by_their_bytes() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], Some(LogoType::Png)),
            (b"\xff\xd8\xff\xe0", Some(LogoType::Jpeg)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(LogoType::WebP)),
            (b"\xef\xbb\xbf <svg xmlns=\"http://www.w3.org/2000/svg\"/>", Some(LogoType::Svg)),
            (b"<?xml version=\"1.0\"?><svg/>", Some(LogoType::Svg)),
            (b"<html><svg/></html>", None),
            (b"GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(LogoType::of(bytes), kind, "{bytes:?}");
        }
    }
}
