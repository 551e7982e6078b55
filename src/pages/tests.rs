use super::texts::{ENGLISH, GERMAN};
use super::*;

const HOSTILE: &str = "<script>alert('1')</script>\"&";

fn frame(links: &[(String, String)]) -> Frame<'_> {
    Frame { language: Language::English, title: HOSTILE, assets: "/.tollgate/assets/0", logo: None, links }
}

fn form() -> Form<'static> {
    Form { action: "/.tollgate/sign-in", csrf: "csrf", to: HOSTILE }
}

/// Every page, with hostile data in each place.
fn pages() -> Vec<String> {
    let (frame, form) = (frame(&[]), form());
    let links = [(HOSTILE.to_owned(), "https://example.com/\"><script>".to_owned())];
    let providers = [ProviderLink { label: HOSTILE, url: "/.tollgate/providers/x" }];
    let message = Some(Message::Error(HOSTILE.into()));
    let sessions = [SessionRow {
        id: HOSTILE.into(),
        host: HOSTILE,
        agent: HOSTILE.into(),
        address: HOSTILE.into(),
        created: HOSTILE.into(),
        last_used: HOSTILE.into(),
        current: false,
    }];
    let actions = [Action { label: HOSTILE.into(), url: HOSTILE.into() }];
    let hostile = [HOSTILE.to_owned()];
    let sign_in = SignInPage {
        frame: Frame { links: &links, ..frame },
        form,
        message: message.clone(),
        host: HOSTILE,
        password: true,
        providers_first: false,
        providers: &providers,
        remember: true,
        remembered: true,
        username: HOSTILE,
    };
    let providers_first = SignInPage { providers_first: true, ..sign_in.clone() };
    let code = CodePage { frame, form, message: message.clone(), username: HOSTILE, step: HOSTILE };
    let new_password =
        NewPasswordPage { frame, form, message: message.clone(), username: HOSTILE, min: 8, step: HOSTILE };
    let rows = [ProviderRow { id: HOSTILE, label: HOSTILE, linked: true }];
    let account = AccountPage {
        frame,
        form,
        message: Some(Message::Notice(HOSTILE.into())),
        username: HOSTILE,
        email: Some(HOSTILE),
        email_verified: false,
        roles: &hostile,
        sessions: &sessions,
        password: true,
        password_min: 8,
        authenticator: Some(true),
        recovery_left: 3,
        providers: &rows,
    };
    let qr = QrCode::new(b"otpauth://totp/x").unwrap();
    let enroll = EnrollPage { frame, form, message, qr, secret: HOSTILE, step: HOSTILE };
    let error = ErrorPage {
        frame,
        heading: HOSTILE.into(),
        text: HOSTILE.into(),
        actions: &actions,
        reason: HOSTILE,
        request_id: HOSTILE,
    };
    vec![
        sign_in.render().unwrap(),
        providers_first.render().unwrap(),
        code.render().unwrap(),
        new_password.render().unwrap(),
        SignOutPage { frame, form, username: HOSTILE }.render().unwrap(),
        SignedOutPage { frame, sign_in: HOSTILE }.render().unwrap(),
        account.render().unwrap(),
        enroll.render().unwrap(),
        RecoveryPage { frame, codes: &hostile, next: HOSTILE }.render().unwrap(),
        error.render().unwrap(),
    ]
}

#[test]
fn values_are_escaped_everywhere() {
    for page in pages() {
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
        assert!(!page.contains("<script>") && !page.contains("alert('1')"), "{page}");
        // The Content-Security-Policy would refuse them.
        for inline in ["style=", "onclick", "javascript:"] {
            assert!(!page.contains(inline), "{inline}: {page}");
        }
    }
}

#[test]
fn both_languages_have_every_text_with_the_same_placeholders() {
    let placeholders = |text: &str| {
        let mut names: Vec<String> =
            text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
        names.sort();
        names
    };
    for ((name, english), (_, german)) in ENGLISH.all().into_iter().zip(GERMAN.all()) {
        assert!(!english.is_empty() && !german.is_empty(), "{name}");
        assert_eq!(placeholders(english), placeholders(german), "{name}");
    }
}

#[test]
fn waits_are_told_in_words() {
    for (seconds, english, german) in [
        (0, "1 second", "einer Sekunde"),
        (1, "1 second", "einer Sekunde"),
        (59, "59 seconds", "59 Sekunden"),
        (60, "1 minute", "einer Minute"),
        (61, "2 minutes", "2 Minuten"),
        (3600, "1 hour", "einer Stunde"),
        (3601, "2 hours", "2 Stunden"),
    ] {
        let wait = std::time::Duration::from_secs(seconds);
        assert_eq!((ENGLISH.duration(wait).as_str(), GERMAN.duration(wait).as_str()), (english, german));
    }
}

#[test]
fn a_placeholder_in_a_value_is_text() {
    let page = SignInPage {
        frame: Frame { title: "{host}", ..frame(&[]) },
        form: form(),
        message: None,
        host: "{title}",
        password: false,
        providers_first: false,
        providers: &[],
        remember: false,
        remembered: false,
        username: "",
    };
    let page = page.render().unwrap();
    assert!(page.contains("to continue to {title}") && page.contains("set up for {host}"), "{page}");
}

#[test]
fn the_picture_is_read_as_a_camera_does() {
    let uri = "otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP&issuer=Example";
    let qr = QrCode::new(uri.as_bytes()).unwrap();
    let scale = 4;
    let mut dark = vec![false; qr.size * qr.size];
    for square in qr.path.split('M').skip(1) {
        let (x, rest) = square.split_once(' ').unwrap();
        let (y, _) = rest.split_once('h').unwrap();
        dark[y.parse::<usize>().unwrap() * qr.size + x.parse::<usize>().unwrap()] = true;
    }
    let shade = |x: usize, y: usize| if dark[y / scale * qr.size + x / scale] { 0 } else { 255 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(qr.size * scale, qr.size * scale, shade);
    assert_eq!(image.detect_grids()[0].decode().unwrap().1, uri);
    assert!(QrCode::new(&[b'x'; 4096]).is_none());
}
