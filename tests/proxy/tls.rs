//! `[server.tls]`: Tollgate's own certificates, those of its clients, and the way from http to https.

use std::fs;
use std::path::Path;

use crate::harness::*;

/// Starts Tollgate with this section `[server.tls]`. `files` writes the files that it names, beside the configuration.
fn start(app: &App, section: &str, files: impl Fn(&Path)) -> Gate {
    let home = tempfile::tempdir().unwrap();
    files(home.path());
    let section = section.replace("DIR", home.path().to_str().unwrap());
    let gate = Conf::new(app).server_tables(&format!("[server.tls]\n{section}")).start();
    // It stays for as long as Tollgate may look.
    fs::write(gate.dir.path().join("home"), home.keep().to_str().unwrap()).unwrap();
    gate
}

fn home(gate: &Gate) -> std::path::PathBuf {
    fs::read_to_string(gate.dir.path().join("home")).unwrap().into()
}

const PAIR: &str = "cert = \"DIR/a.pem\"\nkey = \"DIR/a.key\"\n";

fn write_pair(authority: &Authority, names: &[&str]) -> impl Fn(&Path) {
    let signed = authority.sign(names);
    move |dir| signed.write(dir, "a")
}

#[test]
fn clients_are_served_over_tls_and_the_app_hears_of_it() {
    let (app, authority) = (App::start(), Authority::new("authority"));
    let gate = start(&app, PAIR, write_pair(&authority, &["gate.example.com"]));
    let client = TlsClient::new(&authority, "gate.example.com");
    client.send(gate.addr, &get("/open/x").key()).unwrap().expect(200);
    let seen = app.seen().pop().unwrap();
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(seen.header("x-auth-client-cert"), None);
    // An HTTP client is no TLS client, and Tollgate goes on.
    let mut plain = gate.conn();
    plain.write("GET /open/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!String::from_utf8_lossy(&plain.try_read_to_end().unwrap_or_default()).contains("HTTP/1.1"));
    client.send(gate.addr, &get("/open/x").key()).unwrap().expect(200);
    // The cookie comes back over TLS as it does over http.
    gate_login(&gate, &client);
}

fn gate_login(gate: &Gate, client: &TlsClient) {
    let body = serde_json::json!({"username": "alice", "password": PASSWORD});
    client.send(gate.addr, &post(auth("")).json(&body)).unwrap().expect(200);
    let answer = client.send(gate.addr, &post(auth("login=true")).json(&body)).unwrap().expect(200);
    let (token, _) = answer.set_cookie(COOKIE).unwrap();
    client.send(gate.addr, &get("/app/x").key().cookie(&token)).unwrap().expect(200);
}

#[test]
fn the_protocol_is_what_both_sides_prefer() {
    let (app, authority) = (App::start(), Authority::new("authority"));
    let gate = start(&app, PAIR, write_pair(&authority, &["gate.example.com"]));
    let client = || TlsClient::new(&authority, "gate.example.com");
    let protocol = |client: TlsClient| client.connect(gate.addr).unwrap().protocol();
    assert_eq!(protocol(client().alpn(&["http/1.1", "h2"])).as_deref(), Some("h2"));
    assert_eq!(protocol(client().alpn(&["http/1.1"])).as_deref(), Some("http/1.1"));
    assert_eq!(protocol(client()), None);
    let url = format!("https://gate.example.com:{}/open/x?key={KEY}", gate.addr.port());
    let resolve = format!("gate.example.com:{}:127.0.0.1", gate.addr.port());
    let ca = home(&gate).join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let base = ["--resolve", &resolve, "--cacert", ca.to_str().unwrap(), "-o", "/dev/null"];
    let with = |more: &[&str]| curl(&[&base[..], more, &["-w", "%{http_version} %{http_code}", &url]].concat());
    assert_eq!(with(&["--http2"]).ok().stdout, "2 200");
    assert_eq!(with(&["--http1.1"]).ok().stdout, "1.1 200");
    assert_eq!(with(&["--tlsv1.2", "--tls-max", "1.2"]).ok().stdout, "2 200");
    assert_eq!(with(&["--tlsv1.3"]).ok().stdout, "2 200");
    assert_ne!(with(&["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]).code, Some(0));
    let gate = start(&app, &format!("{PAIR}h2 = false\n"), write_pair(&authority, &["gate.example.com"]));
    let client = client().alpn(&["http/1.1", "h2"]);
    assert_eq!(client.connect(gate.addr).unwrap().protocol().as_deref(), Some("http/1.1"));
}

#[test]
fn a_client_gets_the_certificate_for_the_host_that_it_names() {
    let (app, authority) = (App::start(), Authority::new("authority"));
    let (first, second) = (authority.sign(&["a.example.com"]), authority.sign(&["b.example.com", "*.w.example.com"]));
    let section = format!("{PAIR}[[server.tls.certificate]]\ncert = \"DIR/b.pem\"\nkey = \"DIR/b.key\"\n");
    let gate = start(&app, &section, |dir| {
        first.write(dir, "a");
        second.write(dir, "b");
    });
    let shown = |name| TlsClient::new(&authority, name).connect(gate.addr).map(|conn| conn.shown());
    assert_eq!(shown("a.example.com").unwrap(), *first.der());
    assert_eq!(shown("b.example.com").unwrap(), *second.der());
    assert_eq!(shown("B.example.com").unwrap(), *second.der());
    assert_eq!(shown("x.w.example.com").unwrap(), *second.der());
    // For the others there is the first, which their clients refuse.
    for name in ["x.y.w.example.com", "w.example.com", "c.example.com"] {
        assert!(shown(name).unwrap_err().contains("not valid for name"), "{name}");
    }
    let nameless = TlsClient::new(&authority, "a.example.com").without_sni();
    assert_eq!(nameless.connect(gate.addr).unwrap().shown(), *first.der());
}

#[test]
fn a_new_certificate_comes_into_force_and_a_bad_pair_does_not() {
    let (app, authority) = (App::start(), Authority::new("authority"));
    let gate = start(&app, PAIR, write_pair(&authority, &["gate.example.com"]));
    let client = TlsClient::new(&authority, "gate.example.com");
    let mut open = client.connect(gate.addr).unwrap();
    let first = open.shown();
    let second = authority.sign(&["gate.example.com"]);
    second.write(&home(&gate), "a");
    let shown = || client.connect(gate.addr).unwrap().shown();
    until_true(PATIENCE, "the new certificate is shown", || shown() == *second.der());
    assert_ne!(first, *second.der());
    open.ask(&get("/open/x").key()).unwrap().expect(200);
    // The key of another certificate: the old pair stays, and the operator is told why.
    let third = authority.sign(&["gate.example.com"]);
    let generation = gate.generation();
    fs::write(home(&gate).join("a.key"), "nonsense").unwrap();
    until_true(PATIENCE, "the bad key is noticed", || gate.status()["last_reload"]["ok"] == false);
    let errors = gate.status()["last_reload"]["errors"].to_string();
    assert!(errors.contains("server.tls.key: ") && errors.contains("contains no PEM private key"), "{errors}");
    gate.says("previous configuration stays in force");
    assert_eq!((shown(), gate.generation()), (second.der().clone(), generation));
    third.write(&home(&gate), "a");
    until_true(PATIENCE, "the good pair is shown", || shown() == *third.der());
    // The same again: sessions can still be resumed, so nothing is made anew.
    gate.hang_up();
    until_true(PATIENCE, "another reload", || gate.generation() > generation + 1);
    assert_eq!(shown(), *third.der());
}

#[test]
fn a_certificate_that_has_expired_is_served_and_told() {
    let (app, authority) = (App::start(), Authority::new("authority"));
    let expired = authority.sign_until(&["gate.example.com"], (2020, 1, 2));
    let gate = start(&app, PAIR, |dir| expired.write(dir, "a"));
    assert_eq!(gate.status()["certificate_expires_at"], "2020-01-02T00:00:00Z");
    let warned = tollgate(&["check", "-c", &gate.config_arg()], "").ok().stderr;
    assert!(
        warned.contains("warning: server.tls.cert: ")
            && warned.contains(" has expired at 2020-01-02T00:00:00Z: renew it"),
        "{warned}"
    );
    tollgate(&["check", "--strict", "-c", &gate.config_arg()], "").failed(78);
    until_true(PATIENCE, "it is told", || gate.stderr().contains("a certificate of [server.tls] has expired"));
    let client = TlsClient::new(&authority, "gate.example.com");
    assert!(client.connect(gate.addr).err().unwrap().contains("expired"), "it is up to the client");
}

#[test]
fn clients_show_certificates_where_they_have_to() {
    let (app, authority, other) = (App::start(), Authority::new("authority"), Authority::new("other"));
    let ours = authority.sign(&[]);
    let section = format!("{PAIR}client_ca = \"DIR/ca.pem\"\n");
    let files = |dir: &Path| {
        authority.sign(&["gate.example.com"]).write(dir, "a");
        fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    };
    let known = TlsClient::with_certificate(&authority, "gate.example.com", &ours);
    let stranger = TlsClient::with_certificate(&authority, "gate.example.com", &other.sign(&[]));
    let nobody = TlsClient::new(&authority, "gate.example.com");
    let forged = get("/open/x").key().header("X-Auth-Client-Cert", "00").header("x_auth_client_cert", "01");
    let told = |seen: Seen| [seen.all("x-auth-client-cert"), seen.all("x_auth_client_cert")].concat();
    let fingerprint = {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, ours.der());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let gate = start(&app, &section, files);
    known.send(gate.addr, &forged).unwrap().expect(200);
    assert_eq!(told(app.seen().pop().unwrap()), std::slice::from_ref(&fingerprint));
    let seen = app.seen().len();
    assert!(nobody.send(gate.addr, &forged).is_err());
    assert!(stranger.send(gate.addr, &forged).is_err());
    assert_eq!(app.seen().len(), seen, "who has no certificate reaches nobody");
    let gate = start(&app, &format!("{section}client_auth = \"optional\"\n"), files);
    known.send(gate.addr, &forged).unwrap().expect(200);
    assert_eq!(told(app.seen().pop().unwrap()), [fingerprint]);
    nobody.send(gate.addr, &forged).unwrap().expect(200);
    assert!(told(app.seen().pop().unwrap()).is_empty(), "nobody can say that it has one");
    assert!(stranger.send(gate.addr, &forged).is_err());
    // Another CA in the file: from the next connection on, its certificates are trusted.
    fs::write(home(&gate).join("ca.pem"), other.pem()).unwrap();
    until_true(PATIENCE, "the new authority counts", || known.send(gate.addr, &forged).is_err());
    stranger.send(gate.addr, &forged).unwrap().expect(200);
}

#[test]
fn http_is_sent_to_https() {
    let (app, authority) = (App::start(), Authority::new("authority"));
    let port = free_port();
    let section = format!("{PAIR}redirect = [\"127.0.0.1:{port}\"]\n");
    let gate = start(&app, &section, write_pair(&authority, &["gate.example.com"]));
    let http = ([127, 0, 0, 1], port).into();
    let tls = gate.addr.port();
    for (host, target, expected) in [
        ("gate.example.com", "/a/b?c=d", format!("https://gate.example.com:{tls}/a/b?c=d")),
        ("gate.example.com:80", "//evil.example", format!("https://gate.example.com:{tls}//evil.example")),
        ("[::1]:8080", "/", format!("https://[::1]:{tls}/")),
    ] {
        let answer = get(target).host(host).send(http).expect(308);
        assert_eq!((answer.header("location"), answer.header("connection")), (Some(expected.as_str()), Some("close")));
    }
    post("/a").host("gate.example.com").body("x=1").send(http).expect(308);
    get("/").host("a b").send(http).expect(400);
    get("/").host("evil.example/path").send(http).expect(400);
    get("http://evil.example/").host("evil.example").send(http).expect(400);
    assert_eq!(app.seen().len(), 0);
}

#[test]
fn a_bad_start_says_which_file_and_why() {
    let (app, authority) = (App::start(), Authority::new("authority"));
    let dir = tempfile::tempdir().unwrap();
    authority.sign(&["a.example"]).write(dir.path(), "a");
    authority.sign(&["b.example"]).write(dir.path(), "b");
    write_file(&dir.path().join("open.key"), "", 0o644);
    fs::write(dir.path().join("empty.pem"), "").unwrap();
    let check = |section: &str| {
        let section = section.replace("DIR", dir.path().to_str().unwrap());
        let text = Conf::new(&app).server_tables(&format!("[server.tls]\n{section}")).text(1, 2);
        let file = dir.path().join("t.toml");
        write_file(&file, &text, 0o600);
        tollgate(&["serve", "-c", file.to_str().unwrap()], "").failed(78).stderr
    };
    for (section, expected) in [
        ("cert = \"DIR/a.pem\"\nkey = \"DIR/b.key\"", "server.tls.key: "),
        ("cert = \"DIR/a.pem\"\nkey = \"DIR/b.key\"", "b.key does not match the certificate"),
        ("cert = \"DIR/none.pem\"\nkey = \"DIR/a.key\"", "none.pem: it does not exist"),
        ("cert = \"DIR/empty.pem\"\nkey = \"DIR/a.key\"", "empty.pem contains no PEM certificate"),
        ("cert = \"DIR/a.key\"\nkey = \"DIR/a.key\"", "a.key contains a key and no certificate"),
        ("cert = \"DIR/a.pem\"\nkey = \"DIR/a.pem\"", "a.pem"),
        ("cert = \"DIR/a.pem\"\nkey = \"DIR/open.key\"", "run chmod 600"),
        ("cert = \"DIR/a.pem\"", "server.tls.key: is missing: write key = \"key.pem\""),
        ("cert = \"DIR/a.pem\"\nkey = \"DIR/a.key\"\nclient_auth = \"required\"", "requires client_ca"),
        ("cert = \"DIR/a.pem\"\nkey = \"DIR/a.key\"\nclient_ca = \"DIR/empty.pem\"", "contains no PEM certificate"),
        ("cert = \"DIR/a.pem\"\nkey = \"DIR/a.key\"\nredirect = [\"127.0.0.1:1\"]", "is also in server.listen"),
        ("cert = \"DIR/a.pem\"\nkey = \"DIR/a.key\"\nmin_version = \"1.3\"", "server.tls.min_version"),
    ] {
        let said = check(section);
        assert!(said.contains(expected) && !said.contains("PRIVATE KEY"), "{section}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn tls_itself_needs_a_restart() {
    let (app, authority) = (App::start(), Authority::new("authority"));
    let gate = Conf::new(&app).start();
    write_pair(&authority, &["gate.example.com"])(gate.dir.path());
    let section = PAIR.replace("DIR", gate.dir.path().to_str().unwrap());
    gate.edit_by_rename(&gate.conf().server_tables(&format!("[server.tls]\n{section}")));
    until_true(PATIENCE, "the change is seen", || gate.status()["cold_changes"] == serde_json::json!(["server.tls"]));
    gate.send(&get("/open/x").key()).expect(200);
}
