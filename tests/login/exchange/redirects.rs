//! R34: redirects go only to configured URLs.

use std::collections::BTreeSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::*;

/// The one that is allowed.
const ALLOWED: &str = "https://app.example.com/failed";

/// Every form of an open redirect that is known here, none of which is [`ALLOWED`].
fn corpus() -> Vec<String> {
    let mut all: BTreeSet<String> = BTreeSet::new();
    let mut add = |text: &str| {
        assert_ne!(text, ALLOWED);
        all.insert(text.to_owned());
    };
    // Somewhere else, said plainly or in a way that browsers read as if it were.
    for text in [
        "",
        " ",
        "/",
        ".",
        "..",
        "//",
        "///",
        "?",
        "#",
        "/failed",
        "failed",
        "./failed",
        "../failed",
        "?x",
        "#x",
        "null",
        "0",
        "https:",
        "https:/",
        "https://",
        "https:///",
        "https:////",
        "http://",
        "https://evil.example",
        "https://evil.example/",
        "http://evil.example/failed",
        "HTTPS://EVIL.EXAMPLE",
        "ftp://evil.example",
        "ws://evil.example",
        "wss://evil.example",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/////evil.example/..",
        "//evil.example//",
        "//evil.example/%2f..",
        "//evil%E3%80%82example",
        "//evil\u{3002}example",
        "//evil\u{ff0e}example",
        "https://evil\u{ff61}example",
        "//\u{ff45}vil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "\\evil.example",
        "\\\\\\evil.example",
        "/\\/evil.example",
        "\\/\\/evil.example",
        "//\\evil.example",
        "/\\\\evil.example",
        "/%5cevil.example",
        "%5c%5cevil.example",
        "/%5C%5Cevil.example",
        "%2f%2fevil.example",
        "/%2fevil.example",
        "/%2F/evil.example",
        "%2F%2Fevil.example",
        "/%252fevil.example",
        "%252f%252fevil.example",
        "%25252f%25252fevil.example",
        "/%255cevil.example",
        "/%c0%afevil.example",
        "/%e0%80%afevil.example",
        "/.evil.example",
        "/..//evil.example",
        "/.//evil.example",
        "/./\\evil.example",
        "/x/..//evil.example",
        "/%2e%2e//evil.example",
        "/;//evil.example",
        "/;@evil.example",
        "/@evil.example",
        "@evil.example",
        ":evil.example",
        "//:@evil.example",
        "//@evil.example",
        "///@evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https:////evil.example",
        "https:\\\\evil.example",
        "https:\\evil.example",
        "https:/\\evil.example",
        "https:\\/evil.example",
        "https://\\evil.example",
        "https;//evil.example",
        "https:;//evil.example",
        "hhttps://evil.example",
        "https%3a//evil.example",
        "https%3A%2F%2Fevil.example",
        "http:evil.example",
        "http:/evil.example",
        "://evil.example",
        ":///evil.example",
        "/https://evil.example",
        "https://https://evil.example",
        "https://evil.example/https://app.example.com/failed",
        "https://evil.example?https://app.example.com/failed",
        "https://evil.example#https://app.example.com/failed",
        "https://evil.example\\https://app.example.com/failed",
        "https://evil.example/app.example.com/failed",
        "https://evil.example?u=https://app.example.com/failed",
        "https://evil.example/failed",
        "https://evil.example:443/failed",
        "https://evil.example%00.app.example.com/failed",
        "https://2130706433/failed",
        "https://0x7f000001/",
        "https://127.0.0.1/failed",
        "https://127.1/",
        "https://017700000001/",
        "https://[::1]/failed",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/failed",
        "https://169.254.169.254/latest/meta-data",
        "https://xn--pp-example-com/",
        "https://evil.example/\u{202e}dedliaf",
        "\u{2028}//evil.example",
        "\u{feff}//evil.example",
        "\u{a0}//evil.example",
        "\u{3000}//evil.example",
        "\u{2215}\u{2215}evil.example",
        "\u{ff0f}\u{ff0f}evil.example",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "java\nscript:alert(1)",
        "java\r\nscript:alert(1)",
        " javascript:alert(1)",
        "\tjavascript:alert(1)",
        "\u{1}javascript:alert(1)",
        "javascript://app.example.com/failed%0aalert(1)",
        "javascript:https://app.example.com/failed",
        "javascript&colon;alert(1)",
        "javascript%3aalert(1)",
        "vbscript:msgbox(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:text/html;base64,PHNjcmlwdD4=",
        "DATA:,x",
        "blob:https://app.example.com/x",
        "file:///etc/passwd",
        "about:blank",
        "view-source:https://app.example.com/failed",
        "mailto:user@example.com",
        "tel:1",
        "intent://evil.example#Intent;end",
        "filesystem:https://app.example.com/failed",
        "x-app://evil",
        "chrome://settings",
        "/site/callback",
        "/api/login",
        "\"><script>alert(1)</script>",
        "';alert(1)//",
        "<https://app.example.com/failed>",
        "\"https://app.example.com/failed\"",
        "['https://app.example.com/failed']",
        "https://app.example.com/failed,https://evil.example",
        "https://app.example.com/failed https://evil.example",
        "https://app.example.com/failed|https://evil.example",
        "*",
        "https://*",
        "https://*.example.com/failed",
        "https://app.example.com/*",
        "${jndi:ldap://evil.example}",
        "{{7*7}}",
        "%",
        "%%",
        "%zz",
        "\0",
    ] {
        add(text);
    }
    // The allowed one with something before it, after it or in it, and its parts in other forms.
    for before in [
        " ", "\t", "\n", "\r\n", "\0", "\u{1}", "\u{a0}", "\u{feff}", "/", "//", "\\", "x", "%20", "%09", "%0d%0a",
        "url:", "'", "\"", "<",
    ] {
        add(&format!("{before}{ALLOWED}"));
    }
    for after in [
        " ",
        "\t",
        "\n",
        "\r\n",
        "\0",
        "\u{a0}",
        "/",
        "//",
        "\\",
        ".",
        "?",
        "#",
        "&",
        ";",
        ":",
        "@",
        "@evil.example",
        ".evil.example",
        "?x=1",
        "#x",
        "/x",
        "/..",
        "/../evil",
        "/.",
        "x",
        "%",
        "%20",
        "%00",
        "%0d%0aSet-Cookie:%20x=1",
        "\r\nSet-Cookie: x=1",
        "\nLocation: https://evil.example",
        "\r\n\r\n<script>",
        "?redirect=https://evil.example",
        "&token=x",
        "?token=x",
        "%2f",
        "%5c",
        "%3f",
        "%23",
        ";x",
        ",",
        "'",
        "\"",
        ">",
        "\u{301}",
        "\u{200b}",
        "%E2%80%8B",
    ] {
        add(&format!("{ALLOWED}{after}"));
    }
    for host in [
        "app.example.com@evil.example",
        "evil.example@app.example.com",
        "user:pw@app.example.com",
        "@app.example.com",
        ":@app.example.com",
        "app.example.com:443",
        "app.example.com:80",
        "app.example.com:",
        "app.example.com:443@evil.example",
        "app.example.com.",
        "app.example.com.evil.example",
        "app.example.com-evil.example",
        "app.example.comevil.example",
        "app.example.com%2eevil.example",
        "app.example.com%2f.evil.example",
        "app.example.com%00.evil.example",
        "app.example.com%40evil.example",
        "app.example.com\\@evil.example",
        "app.example.com\\.evil.example",
        "app.example.com#@evil.example",
        "app.example.com?@evil.example",
        "app.example.com;.evil.example",
        "app.example.com&.evil.example",
        "app.example.com\t.evil.example",
        "evil.example\\app.example.com",
        "evil.example#app.example.com",
        "evil.example?app.example.com",
        "evil.example%23app.example.com",
        "evilapp.example.com",
        "evil-app.example.com",
        "evil.app.example.com",
        "x.example.com",
        "example.com",
        "app.example.org",
        "app.example.co",
        "app.exampIe.com",
        "app.ex\u{430}mple.com",
        "APP.EXAMPLE.COM",
        "App.example.com",
        "\u{24d0}pp.example.com",
        "app\u{3002}example\u{3002}com",
        "app\u{ff0e}example.com",
        "app%2eexample%2ecom",
        "app.example%E3%80%82com",
        "%61pp.example.com",
        "[app.example.com]",
        " app.example.com",
        "app.example.com ",
        "app .example.com",
        "app..example.com",
        "app.ex\u{ad}ample.com",
        "app.ex\u{200d}ample.com",
        "app.example.com\u{2044}evil.example",
        "app.example.com\u{ff0f}.evil.example",
        "app.example.com\u{ff20}evil.example",
    ] {
        add(&format!("https://{host}/failed"));
    }
    for path in [
        "",
        "/",
        "/Failed",
        "/FAILED",
        "/faile",
        "/fail%65d",
        "/%66ailed",
        "//failed",
        "/./failed",
        "/x/../failed",
        "/failed/..",
        "/%2e/failed",
        "\\failed",
        "/failed\\",
        "/;/failed",
        "/failed;x",
        "%2ffailed",
        "/fai\tled",
        "/fai\nled",
        "/f\u{430}iled",
    ] {
        add(&format!("https://app.example.com{path}"));
    }
    for scheme in [
        "http",
        "HTTPS",
        "Https",
        "hTTPS",
        " https",
        "https ",
        "https\t",
        "ht\ntps",
        "ftp",
        "javascript",
        "x-https",
        "httpss",
        "http\u{17f}",
    ] {
        add(&format!("{scheme}://app.example.com/failed"));
    }
    for text in [
        "https:/app.example.com/failed",
        "https:app.example.com/failed",
        "https:\\\\app.example.com\\failed",
        "//app.example.com/failed",
        "https:///app.example.com/failed",
        "https%3a//app.example.com/failed",
    ] {
        add(text);
    }
    // Decoded once too often, each would be the allowed one, or another.
    let once = utf8_percent_encode(ALLOWED, NON_ALPHANUMERIC).to_string();
    add(&once);
    add(&utf8_percent_encode(&once, NON_ALPHANUMERIC).to_string());
    add(&utf8_percent_encode("//evil.example", NON_ALPHANUMERIC).to_string());
    add(&STANDARD.encode(ALLOWED));
    all.into_iter().collect()
}

/// `URL?token=…&redirect_url=…`, encoded as a form's.
fn failing(url: &str) -> Request {
    get(format!("{CALLBACK}?token=rubbish&redirect_url={}", utf8_percent_encode(url, NON_ALPHANUMERIC)))
}

/// Of a refusal: that it leads nowhere, and says nothing of what was asked for.
#[track_caller]
fn leads_nowhere(answer: &Response) {
    assert!(answer.all("location").is_empty() && answer.all("refresh").is_empty(), "{:?}", answer.headers);
    assert!(answer.all("set-cookie").is_empty(), "{:?}", answer.headers);
    let told = format!("{:?}{}", answer.headers, answer.text()).to_lowercase();
    for trace in ["evil", "script", "failed", "//"] {
        assert!(!told.contains(trace), "{trace}: {told}");
    }
}

#[test]
fn r34_no_form_of_an_open_redirect_is_accepted() {
    let exchange = Exchange::with_user(&format!("redirect_urls = [\"{ALLOWED}\", \"https://app.example.com/other\"]"));
    let all = corpus();
    assert!(all.len() >= 200, "{}", all.len());
    let (token, mut conn) = (machine(), exchange.gate.conn());
    for url in &all {
        eprintln!("{url:?}");
        let body = json!({"email": "dXNlckBleGFtcGxlLmNvbQ==", "redirect_url": url});
        let answer = conn.ask(&post(LOGIN).bearer(&token).json(&body));
        says(&answer, 400, UNKNOWN);
        leads_nowhere(&answer);
        let answer = conn.ask(&failing(url));
        says(&answer, 401, UNAUTHORIZED);
        leads_nowhere(&answer);
    }
    // As they are, unencoded, where they can stand in a request at all. One that decodes to the allowed one is it.
    let plain = |url: &&String| url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let decodes_to_it = |url: &&String| percent_encoding::percent_decode_str(url).decode_utf8_lossy() == ALLOWED;
    let mut sent = 0;
    for url in all.iter().filter(plain).filter(|url| !decodes_to_it(url) && !url.starts_with(&format!("{ALLOWED}&"))) {
        eprintln!("{url}");
        let answer = exchange.gate.send(&get(format!("{CALLBACK}?token=rubbish&redirect_url={url}")));
        assert!(matches!(answer.status, 400 | 401), "{}", answer.status);
        leads_nowhere(&answer);
        sent += 1;
    }
    assert!(sent >= 200, "{sent}");
}

#[test]
fn r34_a_good_token_goes_where_the_config_says_whatever_the_url_says() {
    let exchange = Exchange::with_user(&format!(
        "redirect_urls = [\"{ALLOWED}\"]\nafter_login = \"https://app.example.com/home\""
    ));
    for url in ["//evil.example", ALLOWED, "https://evil.example", "javascript:alert(1)", "/\\evil.example"] {
        let token = exchange.callback_token("user@example.com");
        let target = format!("{CALLBACK}?token={token}&redirect_url={}", utf8_percent_encode(url, NON_ALPHANUMERIC));
        let answer = exchange.gate.send(&get(target)).expect(303);
        assert_eq!(answer.header("location"), Some("https://app.example.com/home"), "{url}");
    }
}

#[test]
fn the_allowed_ones_are_taken() {
    let other = "https://app.example.com/other?a=b&c=%20d";
    let exchange = Exchange::with_user(&format!("redirect_urls = [\"{ALLOWED}\", \"{other}\"]"));
    for url in [ALLOWED, other] {
        let body = json!({"email": "dXNlckBleGFtcGxlLmNvbQ==", "redirect_url": url});
        let answer = exchange.gate.send(&post(LOGIN).bearer(&machine()).json(&body));
        let token = token_of(&answer);
        let whole = answer.json()["url"].as_str().unwrap().to_owned();
        let target = whole.strip_prefix("https://app.example.com").unwrap();
        assert_eq!(exchange.gate.send(&get(target)).expect(303).header("location"), Some("/"), "it counts");
        // Used up: the browser goes where its backend wants it then, without a cookie.
        let answer = exchange.gate.send(&get(target)).expect(303);
        assert_eq!((answer.header("location"), answer.all("set-cookie").len()), (Some(url), 0));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.body.is_empty());
        assert_eq!(exchange.gate.send(&failing(url)).expect(303).header("location"), Some(url));
        says(&exchange.visit_callback(&token), 401, UNAUTHORIZED);
    }
    // Two of them are none, even of the allowed ones; and none is allowed unless it is named.
    let twice = get(format!("{CALLBACK}?token=x&redirect_url={ALLOWED}&redirect_url={ALLOWED}"));
    says(&exchange.gate.send(&twice), 401, UNAUTHORIZED);
    let exchange = Exchange::with_user("");
    let body = json!({"email": "dXNlckBleGFtcGxlLmNvbQ==", "redirect_url": ALLOWED});
    says(&exchange.gate.send(&post(LOGIN).bearer(&machine()).json(&body)), 400, UNKNOWN);
    says(&exchange.gate.send(&failing(ALLOWED)), 401, UNAUTHORIZED);
}

#[test]
fn redirects_that_are_no_text() {
    let exchange = Exchange::with_user(&format!("redirect_urls = [\"{ALLOWED}\"]"));
    for url in [json!(null), json!(1), json!(true), json!([ALLOWED]), json!({"url": ALLOWED})] {
        let body = json!({"email": "dXNlckBleGFtcGxlLmNvbQ==", "redirect_url": url});
        says(&exchange.gate.send(&post(LOGIN).bearer(&machine()).json(&body)), 400, UNKNOWN);
    }
}

#[test]
fn r34_bad_destinations_are_errors_of_the_config() {
    let dir = tempfile::tempdir().unwrap();
    let (app, issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]));
    let check = |keys: &str| {
        let path = dir.path().join("tollgate.toml");
        write_file(&path, &conf(&app, &issuer.url(JWKS), keys).text(free_port(), free_port()), 0o600);
        tollgate(&["check", "-c", path.to_str().unwrap()], "")
    };
    let bad = [
        "",
        "x",
        "//evil.example",
        "///evil.example",
        "/\\\\evil.example",
        "\\\\\\\\evil.example",
        "https:evil.example",
        "https:///x",
        "https://",
        "http://app.example.com/x",
        "javascript:alert(1)",
        "data:,x",
        "https://u@app.example.com/",
        "https://app.example.com\\\\@evil",
        "https://app.example.com/#x",
        "https://app.example.com/a b",
        "https://app.example.com/\\n",
        "https://app.example.com/é",
        "https://exämple.com/",
        "https://*.example.com/x",
        "ftp://app.example.com/",
        " https://app.example.com/",
        "https://app.example.com/ ",
        "https://app.example.com:x/",
    ];
    for text in bad {
        for key in ["after_login", "callback_url", "redirect_urls"] {
            let value = if key == "redirect_urls" { format!("[\"{text}\"]") } else { format!("\"{text}\"") };
            eprintln!("{key} = {value}");
            let ran = check(&format!("{key} = {value}")).failed(78);
            assert!(ran.stderr.contains(&format!("login[1].{key}")), "{}", ran.stderr);
        }
    }
    for text in [
        "/",
        "/x",
        "/x?y=%20z",
        "https://app.example.com",
        "https://app.example.com/x?y",
        "http://localhost:3000/x",
        "http://127.0.0.1/x",
    ] {
        check(&format!("after_login = \"{text}\"")).ok();
    }
    for keys in [
        "callback_url = \"/site/callback\"",
        "redirect_urls = [\"/failed\"]",
        "callback_url = \"https://app.example.com/x?y\"",
        "callback_path = \"/api/login\"",
        "callback_path = \"x\"",
    ] {
        check(keys).failed(78);
    }
}
