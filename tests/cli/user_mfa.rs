//! `tollgate user mfa`: what is shown once, that another implementation reads it, and that it stands nowhere else.

use std::collections::HashSet;

use serde_json::{Value, json};
use tollgate::login::totp;
use tollgate::store::SecondFactor;

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    // Which asks for codes.
    let login = "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"\n";
    let gate = Conf::new(&app).log("level", "\"trace\"").more(login).start();
    (app, gate)
}

/// `tollgate user` with these arguments; the first may be two words.
fn user(gate: &Gate, arguments: &[&str], stdin: &str) -> Ran {
    let config = gate.config_arg();
    let command = std::iter::once("user").chain(arguments[0].split(' '));
    let all: Vec<_> =
        command.chain(["-c", &config, "--realm", "examples"]).chain(arguments[1..].iter().copied()).collect();
    tollgate(&all, stdin)
}

/// What `user mfa enable` printed.
struct Shown {
    all: String,
    uri: String,
    recovery: Vec<String>,
}

impl Shown {
    fn read(printed: &str) -> Self {
        let uri = printed.lines().find(|line| line.starts_with("otpauth://")).expect("a URI").to_owned();
        let is_code = |line: &&str| line.len() == 19 && line.split('-').all(|group| group.len() == 4);
        let recovery = printed.lines().filter(is_code).map(str::to_owned).collect();
        Self { all: printed.to_owned(), uri, recovery }
    }

    /// The secret in base32, as the URI has it.
    fn secret(&self) -> &str {
        self.uri.split("?secret=").nth(1).unwrap().split('&').next().unwrap()
    }

    /// What a camera reads from the picture.
    fn scanned(&self) -> String {
        let drawn = |line: &str| line.chars().next().is_some_and(|char| "█▀▄ ".contains(char));
        let lines: Vec<Vec<char>> =
            self.all.lines().filter(|line| drawn(line)).map(|line| line.chars().collect()).collect();
        let (width, height, scale) = (lines[0].len(), lines.len() * 2, 4);
        // On a dark terminal what is drawn is light.
        let light = |x: usize, y: usize| match lines[y / 2][x] {
            '█' => true,
            '▀' => y.is_multiple_of(2),
            '▄' => !y.is_multiple_of(2),
            _ => false,
        };
        let pixel = |x: usize, y: usize| if light(x / scale, y / scale) { 255 } else { 0 };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * scale, height * scale, pixel);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "{}", self.all);
        grids[0].decode().unwrap().1
    }
}

fn enable(gate: &Gate, name: &str) -> Shown {
    Shown::read(&user(gate, &["mfa enable", name], "").ok().stdout)
}

#[test]
fn enable_shows_a_uri_a_picture_of_it_and_recovery_codes() {
    let (_app, gate) = gate();
    let token = gate.user("Zoë & co");
    gate.visit(&token).expect(200);
    let shown = enable(&gate, "Zoë & co");
    until_true(PATIENCE, "what was opened without it is refused", || gate.visit(&token).status == 401);
    gate.visit(&token).refused(401, "token_revoked");

    let start = "otpauth://totp/examples:Zo%C3%AB%20%26%20co?secret=";
    let rest = shown.uri.strip_prefix(start).unwrap_or_else(|| panic!("{}", shown.uri));
    let (secret, rest) = rest.split_at(32);
    assert!(secret.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)), "{secret}");
    assert_eq!(rest, "&issuer=examples&algorithm=SHA1&digits=6&period=30");
    assert_eq!(shown.scanned(), shown.uri);
    assert!(!shown.all.contains('\x1b'), "colours are for terminals");
    assert!(shown.all.contains("shown only this once"), "{}", shown.all);
    let different: HashSet<_> = shown.recovery.iter().collect();
    assert_eq!(different.len(), 10, "{}", shown.all);

    let again = user(&gate, &["mfa enable", "Zoë & co"], "").failed(65);
    assert!(again.stdout.is_empty() && again.stderr.contains("mfa disable"), "{again:?}");
    user(&gate, &["mfa disable", "Zoë & co"], "").ok();
    user(&gate, &["mfa disable", "Zoë & co"], "").failed(65);
    user(&gate, &["mfa enable", "nobody"], "").failed(65);
    user(&gate, &["mfa enable"], "").failed(64);
    let other = enable(&gate, "Zoë & co");
    assert_ne!(other.secret(), shown.secret());
}

#[test]
fn a_terminal_gets_black_on_white() {
    let (_app, gate) = gate();
    gate.register("alice");
    let script = "import pty, sys\nsys.exit(pty.spawn(sys.argv[1:]) >> 8)\n";
    let config = gate.config_arg();
    let command = ["user", "mfa", "enable", "-c", &config, "--realm", "examples", "alice"];
    let ran = python(script, &[&[env!("CARGO_BIN_EXE_tollgate")], &command[..]].concat()).ok();
    let picture: Vec<_> = ran.stdout.lines().filter(|line| line.contains(['█', '▀', '▄'])).collect();
    assert!(picture.len() > 15, "{}", ran.stdout);
    assert!(
        picture.iter().all(|line| line.starts_with("\x1b[") && line.trim_end().ends_with("\x1b[0m")),
        "{picture:?}"
    );
    assert_eq!(Shown::read(&ran.stdout).recovery.len(), 10);
}

/// A third-party app makes the codes from the URI alone.
#[test]
fn another_implementation_makes_the_codes_that_we_take() {
    let (_app, gate) = gate();
    gate.register("alice");
    let shown = enable(&gate, "alice");
    let app = r#"
import base64, json, sys, urllib.parse
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor.totp import TOTP
uri = urllib.parse.urlsplit(sys.argv[1])
query = dict(urllib.parse.parse_qsl(uri.query, strict_parsing=True))
assert (uri.scheme, uri.netloc, urllib.parse.unquote(uri.path)) == ("otpauth", "totp", "/examples:alice"), uri
assert query["issuer"] == "examples", query
secret = base64.b32decode(query["secret"])
algorithm = {"SHA1": hashes.SHA1, "SHA256": hashes.SHA256}[query["algorithm"]]
totp = TOTP(secret, int(query["digits"]), algorithm(), int(query["period"]))
print(json.dumps({"secret": list(secret), "codes": [totp.generate(int(time)).decode() for time in sys.argv[2:]]}))
"#;
    let times = [0, 29, 30, now(), 1_999_999_999, 20_000_000_000];
    let texts: Vec<_> = times.iter().map(ToString::to_string).collect();
    let arguments: Vec<_> = std::iter::once(&shown.uri).chain(&texts).map(String::as_str).collect();
    let made: Value = serde_json::from_str(&python(app, &arguments).ok().stdout).unwrap();
    let bytes = made["secret"].as_array().unwrap().iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap());
    let factor = SecondFactor { secret: bytes.collect(), used: -1, recovery: Vec::new() };
    assert_eq!(made["codes"].as_array().unwrap().len(), times.len());
    for (time, code) in times.iter().zip(made["codes"].as_array().unwrap()) {
        let used = totp::consume_code(&factor, code.as_str().unwrap(), *time)
            .unwrap_or_else(|error| panic!("{time}: {error}"));
        assert_eq!(used.used, time / 30);
    }
    // It is the stored one.
    assert!(contains(&database(&gate), &factor.secret));
}

#[test]
fn what_is_shown_once_stands_nowhere_else() {
    let (_app, mut gate) = gate();
    gate.register("alice");
    let shown = enable(&gate, "alice");
    // No login, no change and no other command tells any of it.
    gate.try_log_in("alice", PASSWORD);
    gate.try_log_in("alice", &shown.recovery[0]);
    let listed = user(&gate, &["list"], "").ok().stdout;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(listed.lines().next().unwrap())[3], "MFA");
    assert_eq!(words(listed.lines().nth(1).unwrap())[3], "yes");
    let json = user(&gate, &["list", "--json"], "").ok().stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["mfa"], true);
    let mut told = vec![listed, json];
    let config = gate.config_arg();
    for ran in [
        user(&gate, &["mfa enable", "alice"], ""),
        user(&gate, &["passwd", "alice"], "another password\n"),
        user(&gate, &["disable", "alice"], ""),
        user(&gate, &["enable", "alice"], ""),
        tollgate(&["token", "revoke", "-c", &config, "--realm", "examples", "--user", "alice"], ""),
        tollgate(&["check", "-c", &config], ""),
    ] {
        told.push(ran.stdout + &ran.stderr);
    }
    let record = gate.send(&get(auth(&format!("masterKey={MASTER}"))));
    told.push(record.text());
    told.push(gate.status().to_string());
    gate.stop();
    told.push(gate.stderr());
    let database = database(&gate);
    let canonical = shown.recovery.iter().map(|code| code.replace('-', ""));
    for code in shown.recovery.iter().cloned().chain(canonical) {
        assert!(!contains(&database, code.as_bytes()), "the database holds hashes only");
        assert!(told.iter().all(|text| !text.contains(&code)));
    }
    for text in told {
        assert!(!text.contains(shown.secret()) && !text.contains("otpauth"), "{text}");
    }
}

#[test]
fn nothing_is_asked_where_no_login_can_ask() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    gate.register("alice");
    for (arguments, stdin) in [
        (&["mfa enable", "alice"][..], ""),
        (&["passwd", "--temporary", "alice"], "given by the operator\n"),
        (&["add", "--temporary", "bob"], "given by the operator\n"),
    ] {
        let ran = user(&gate, arguments, stdin).failed(78);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("dialect = \"tenant\""), "{ran:?}");
    }
    gate.log_in("alice");
    assert_eq!(user(&gate, &["list", "--json"], "").ok().stdout.lines().count(), 1);
}

#[test]
fn a_machine_logs_in_with_the_secret_that_was_shown() {
    let (_app, mut gate) = gate();
    let ran = user(&gate, &["add", "--machine", "--role", "admin", "billing"], "a typed password\n").ok();
    let line = ran.stdout.lines().find(|line| line.contains("shown only this once")).expect("the secret");
    let secret = line.rsplit(' ').next().unwrap();
    assert!(secret.len() >= 27, "at least 160 bits: {secret}");
    assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{secret}");
    gate.try_log_in("billing", "a typed password").refused(401, "credentials_invalid");
    let token = gate.log_in_with("billing", secret);
    gate.send(&get("/admin/x").key().bearer(&token)).expect(200);
    user(&gate, &["add", "--machine", "--temporary", "other"], "").failed(64);
    let taken = user(&gate, &["add", "--machine", "BILLING"], "").failed(65);
    assert!(taken.stdout.is_empty(), "no secret for nobody: {}", taken.stdout);
    assert!(!user(&gate, &["list", "--json"], "").ok().stdout.contains(secret));
    gate.stop();
    assert!(!gate.stderr().contains(secret) && !contains(&database(&gate), secret.as_bytes()));
}

#[test]
fn a_temporary_password_is_told_in_the_list_until_another_one_is_set() {
    let (_app, gate) = gate();
    let state = || {
        let line: Value = serde_json::from_str(&user(&gate, &["list", "--json"], "").ok().stdout).unwrap();
        let table = user(&gate, &["list"], "").ok().stdout;
        (line["temporary"] == true, table.lines().nth(1).unwrap().split_whitespace().nth(2).unwrap().to_owned())
    };
    user(&gate, &["add", "--temporary", "alice"], "given by the operator\n").ok();
    assert_eq!(state(), (true, "temporary".into()));
    user(&gate, &["passwd", "alice"], "chosen by alice\n").ok();
    assert_eq!(state(), (false, "enabled".into()));
    user(&gate, &["passwd", "--temporary", "alice"], "given again\n").ok();
    assert_eq!(state(), (true, "temporary".into()));
    user(&gate, &["delete", "alice"], "").ok();
    let line = json!({"username": "bob", "password_hash": bcrypt::hash(PASSWORD, 4).unwrap(), "temporary": true});
    user(&gate, &["import", "-"], &format!("{line}\n")).ok();
    assert_eq!(state(), (true, "temporary".into()));
}

fn database(gate: &Gate) -> Vec<u8> {
    let mut bytes = std::fs::read(gate.database()).unwrap();
    bytes.extend(std::fs::read(gate.database().with_extension("db-wal")).unwrap_or_default());
    bytes
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
