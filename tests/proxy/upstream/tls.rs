//! TLS towards the application: its certificate is for the name that the file says, from an authority that it says, and
//! valid.

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use super::*;

/// An application behind TLS, whose certificate a CA has signed that it writes to `ca.pem`; `other.pem` has a CA that
/// has signed nothing. TLS is Python's, not Tollgate's.
const SERVER: &str = r#"
import datetime, http.server, ipaddress, json, os, ssl
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
here = os.path.dirname(os.path.abspath(__file__))
def name(text): return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
def certificate(subject, public, issuer, key, extensions, end):
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - 9 * day).not_valid_after(end)
    for extension, critical in extensions: builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())
def write(file, certificate): open(here + "/" + file, "wb").write(certificate.public_bytes(serialization.Encoding.PEM))
def authority(file):
    key = ec.generate_private_key(ec.SECP256R1())
    basic = (x509.BasicConstraints(ca=True, path_length=None), True)
    write(file, certificate("test authority", key.public_key(), "test authority", key, [basic], now + day))
    return key
authority_key, _, server_key = authority("ca.pem"), authority("other.pem"), ec.generate_private_key(ec.SECP256R1())
write("cert.pem", certificate("app", server_key.public_key(), "test authority", authority_key,
    [(x509.SubjectAlternativeName([NAMES]), False), (x509.BasicConstraints(ca=False, path_length=None), True)], END))
open(here + "/key.pem", "wb").write(server_key.private_bytes(serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
sni = {}
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        told = {"host": self.headers["Host"], "connection": self.client_address[1], "sni": sni.get("last")}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args): pass
server = Server(("127.0.0.1", 0), App)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(here + "/cert.pem", here + "/key.pem")
context.sni_callback = lambda connection, name, _: sni.update(last=name)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

fn app(names: &str, end: &str) -> Running {
    python_server(&SERVER.replace("NAMES", names).replace("END", end))
}

/// For `app.internal`, and valid.
fn internal() -> Running {
    app("x509.DNSName('app.internal')", "now + day")
}

fn url(app: &Running) -> String {
    format!("[\"https://127.0.0.1:{}\"]", app.port)
}

fn quoted(path: &std::path::Path) -> String {
    format!("\"{}\"", path.display())
}

/// Starts Tollgate with routes to `app`, which must have this name and a certificate of this file's CA.
fn conf(app: &Running, name: &str, ca: &str) -> Conf {
    let conf = Conf::with_upstream(&url(app)).route("upstream_name", &format!("\"{name}\""));
    if ca.is_empty() { conf } else { conf.route("upstream_ca", &quoted(&app.dir().join(ca))) }
}

#[test]
fn an_app_with_the_right_certificate_is_reached_and_connections_are_kept() {
    let app = internal();
    let gate = conf(&app, "app.internal", "ca.pem").start();
    let ask = || gate.send(&get("/open/x").key().host("www.example.com")).expect(200).json();
    let first = ask();
    assert_eq!(first["host"], "www.example.com", "the host that was judged, not the name that was verified");
    assert_eq!(first["sni"], "app.internal");
    assert_eq!(ask()["connection"], first["connection"]);
    gate.send(&post("/open/x").key().body("x")).expect(501);
}

#[test]
fn the_name_is_that_of_the_url_if_no_other_is_given_and_may_be_an_address() {
    let app_at_localhost = app("x509.DNSName('localhost')", "now + day");
    let ca = quoted(&app_at_localhost.dir().join("ca.pem"));
    let upstream = format!("[\"https://localhost:{}\"]", app_at_localhost.port);
    let gate = Conf::with_upstream(&upstream).route("upstream_ca", &ca).start();
    assert_eq!(gate.send(&get("/open/x").key()).expect(200).json()["sni"], "localhost");
    let gate =
        Conf::with_upstream(&upstream).route("upstream_ca", &ca).route("upstream_name", "\"app.internal\"").start();
    gate.send(&get("/open/x").key()).refused(502, "upstream_failed");
    let numbered = app("x509.IPAddress(ipaddress.ip_address('127.0.0.1'))", "now + day");
    let gate = conf(&numbered, "127.0.0.1", "ca.pem").start();
    gate.send(&get("/open/x").key()).expect(200);
}

#[test]
fn an_app_that_is_not_who_it_should_be_is_502_and_the_log_says_why() {
    let (right, expired) = (internal(), app("x509.DNSName('app.internal')", "now - day"));
    for (app, name, ca, why) in [
        (&right, "other.internal", "ca.pem", "NotValidForName"),
        (&right, "internal", "ca.pem", "NotValidForName"),
        (&right, "127.0.0.1", "ca.pem", "NotValidForName"),
        (&right, "app.internal", "other.pem", "BadSignature"),
        (&right, "app.internal", "", "UnknownIssuer"),
        (&expired, "app.internal", "ca.pem", "Expired"),
    ] {
        let gate = conf(app, name, ca).start();
        let answer = gate.send(&get("/open/x").key()).refused(502, "upstream_failed");
        assert!(!answer.text().contains("certificate") && !answer.text().contains("internal"), "{}", answer.text());
        gate.send(&post("/open/x").key().body("x")).refused(502, "upstream_failed");
        let spaced: String =
            why.chars().flat_map(|char| if char.is_uppercase() { vec![' ', char] } else { vec![char] }).collect();
        let words = spaced.trim().to_lowercase();
        // Written by a thread of its own, after the answer.
        until_true(PATIENCE, why, || {
            let log = gate.stderr();
            log.contains("TLS") && (log.contains(why) || log.to_lowercase().contains(&words))
        });
    }
}

#[test]
fn http_and_https_do_not_understand_each_other_and_nothing_hangs() {
    let (plain, tls) = (App::start(), internal());
    let to_plain =
        Conf::with_upstream(&format!("[\"https://{}\"]", plain.addr)).route("upstream_name", "\"a.example\"");
    let gate = to_plain.route("connect_timeout", "\"500ms\"").start();
    let started = Instant::now();
    assert!(matches!(gate.send(&get("/open/x").key()).status, 502 | 504));
    plain.saw_nothing();
    let gate =
        Conf::with_upstream(&format!("[\"http://127.0.0.1:{}\"]", tls.port)).route("read_timeout", "\"500ms\"").start();
    assert!(matches!(gate.send(&get("/open/x").key()).status, 502 | 504));
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_handshake_that_does_not_end_is_504_in_time() {
    // Connects, and then says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gate = Conf::with_upstream(&format!("[\"https://{}\"]", silent.local_addr().unwrap()))
        .route("upstream_name", "\"app.internal\"")
        .route("connect_timeout", "\"400ms\"")
        .start();
    let started = Instant::now();
    gate.send(&get("/open/x").key()).refused(504, "upstream_timeout");
    gate.send(&post("/open/x").key().body("x")).refused(504, "upstream_timeout");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[test]
fn a_server_with_a_bad_certificate_is_passed_over_for_the_next() {
    let (right, expired) = (internal(), app("x509.DNSName('app.internal')", "now - day"));
    let both = right.dir().join("both.pem");
    let read = |app: &Running| fs::read_to_string(app.dir().join("ca.pem")).unwrap();
    fs::write(&both, read(&right) + &read(&expired)).unwrap();
    let upstream = format!("[\"https://127.0.0.1:{}\", \"https://127.0.0.1:{}\"]", expired.port, right.port);
    let gate = Conf::with_upstream(&upstream)
        .route("upstream_name", "\"app.internal\"")
        .route("upstream_ca", &quoted(&both))
        .start();
    for _ in 0..10 {
        gate.send(&get("/open/x").key()).expect(200);
    }
}

/// TRAP: pingora's connection pool ignores the CA set that verified a connection.
#[test]
fn a_connection_is_not_used_by_a_route_that_trusts_others() {
    let app = internal();
    let route = |path: &str, ca: &str, name: &str| {
        format!(
            "[[route]]\npath = \"{path}\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = {}\n\
             upstream_name = \"{name}\"\nupstream_ca = {}\n",
            url(&app),
            quoted(&app.dir().join(ca))
        )
    };
    let routes = route("/right", "ca.pem", "app.internal")
        + &route("/authority", "other.pem", "app.internal")
        + &route("/name", "ca.pem", "other.internal");
    let gate = conf(&app, "app.internal", "ca.pem").routes(&routes).start();
    for _ in 0..3 {
        gate.send(&get("/right/x").key()).expect(200);
        gate.send(&get("/authority/x").key()).refused(502, "upstream_failed");
        gate.send(&get("/name/x").key()).refused(502, "upstream_failed");
    }
}

#[test]
fn another_authority_is_in_force_at_once_and_a_bad_one_never() {
    let app = internal();
    let ca = app.dir().join("in-use.pem");
    let put = |name: &str| fs::copy(app.dir().join(name), &ca).map(drop).unwrap();
    put("ca.pem");
    let gate = conf(&app, "app.internal", "in-use.pem").start();
    gate.send(&get("/open/x").key()).expect(200);
    let until_reloaded = |replace: &dyn Fn()| {
        let before = gate.generation();
        replace();
        until_true(PATIENCE, "the file is watched", || gate.generation() > before);
    };
    until_reloaded(&|| put("other.pem"));
    gate.send(&get("/open/x").key()).refused(502, "upstream_failed");
    until_reloaded(&|| put("ca.pem"));
    gate.send(&get("/open/x").key()).expect(200);
    let before = gate.generation();
    fs::write(&ca, "no certificate\n").unwrap();
    let failed = || gate.status()["last_reload"]["ok"] == false;
    until_true(PATIENCE, "a bad one is refused", failed);
    assert!(gate.status()["last_reload"]["errors"].to_string().contains("in-use.pem contains no PEM certificate"));
    gate.send(&get("/open/x").key()).expect(200);
    fs::remove_file(&ca).unwrap();
    until_true(PATIENCE, "none is refused", || {
        gate.status()["last_reload"]["errors"].to_string().contains("does not exist")
    });
    gate.send(&get("/open/x").key()).expect(200);
    assert_eq!(gate.generation(), before);
}

#[test]
fn a_start_without_its_authority_or_its_name_is_refused_with_78() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    fs::write(dir.path().join("bad.pem"), "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
    for (upstream, key, value, why) in [
        ("https://localhost:1", "upstream_ca", "gone.pem", "upstream_ca: can't read"),
        ("https://localhost:1", "upstream_ca", "bad.pem", "is malformed in certificate 1"),
        ("https://127.0.0.1:1", "upstream_ca", "gone.pem", "a URL with an IP address requires upstream_name"),
        ("http://127.0.0.1:1", "upstream_name", "app.internal", "applies only to https"),
    ] {
        let routes = format!(
            "[[route]]\npath = \"/\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{upstream}\"]\n{key} = \"{value}\"\n"
        );
        write_file(&file, &Conf::with_upstream("[]").routes(&routes).text(free_port(), free_port()), 0o600);
        for command in ["check", "serve"] {
            let ran = tollgate(&[command, "-c", file.to_str().unwrap()], "").failed(78);
            assert!(ran.stderr.contains(why) && ran.stderr.contains("tollgate.toml:"), "{}", ran.stderr);
        }
    }
}

#[test]
fn checks_look_at_the_certificate_as_requests_do() {
    let app = internal();
    let gate = |ca: &str| {
        let routes = format!(
            "[[route]]\npath = \"/open\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = {}\n\
             upstream_name = \"app.internal\"\nupstream_ca = {}\n\
             [route.health_check]\npath = \"/\"\ninterval = \"50ms\"\n",
            url(&app),
            quoted(&app.dir().join(ca))
        );
        Conf::with_upstream(&url(&app)).routes(&routes).start()
    };
    let healthy = |gate: &Gate| gate.status()["upstreams"][0]["servers"][0]["healthy"].clone();
    let wrong = gate("other.pem");
    until_true(PATIENCE, "it is unhealthy", || healthy(&wrong) == false);
    wrong.send(&get("/open/x").key()).refused(503, "upstream_unavailable");
    let right = gate("ca.pem");
    for _ in 0..20 {
        right.send(&get("/open/x").key()).expect(200);
        assert_eq!(healthy(&right), true, "{}", right.stderr());
    }
}
