//! Keys over https: the server's certificate is checked, against the system's roots or the section's own.

use super::*;

/// A server of one page with a certificate for 127.0.0.1, signed by a CA whose certificate it writes to a file. TLS is
/// Python's, not Tollgate's.
const SERVER: &str = r#"
import datetime, http.server, ipaddress, json, ssl, sys, os
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
here = os.path.dirname(os.path.abspath(__file__))
def name(text): return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
now = datetime.datetime.now(datetime.timezone.utc)
def certificate(subject, public, issuer, key, extensions):
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    for extension, critical in extensions: builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())
def pem(certificate): return certificate.public_bytes(serialization.Encoding.PEM)
authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
authority = certificate("test authority", authority_key.public_key(), "test authority", authority_key,
    [(x509.BasicConstraints(ca=True, path_length=None), True)])
names = NAMES
leaf = certificate("issuer", server_key.public_key(), "test authority", authority_key,
    [(x509.SubjectAlternativeName(names), False), (x509.BasicConstraints(ca=False, path_length=None), True)])
open(here + "/ca.pem", "wb").write(pem(authority))
open(here + "/cert.pem", "wb").write(pem(leaf))
open(here + "/key.pem", "wb").write(server_key.private_bytes(serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
class Keys(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = JWKS
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(here + "/cert.pem", here + "/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

fn server(names: &str) -> Running {
    let jwks = serde_json::json!({"keys": [KEY_A.jwk()]}).to_string();
    python_server(&SERVER.replace("NAMES", names).replace("JWKS", &format!("b'{jwks}'")))
}

#[test]
fn keys_come_over_https_from_a_server_that_the_authority_vouches_for() {
    let (app, server) = (App::start(), server("[x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]"));
    let more = format!(
        "jwks_url = \"https://127.0.0.1:{}/jwks.json\"\nca_file = \"{}\"\n",
        server.port,
        server.dir().join("ca.pem").display()
    );
    let gate = Conf::new(&app).add_realm_tables(&section_without_keys(ISS, &more)).start();
    gate.visit(&KEY_A.token(&claims())).expect(200);
}

#[test]
fn a_server_that_nobody_vouches_for_or_that_is_another_is_not_believed() {
    let right = "[x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]";
    let wrong = "[x509.DNSName('other.example.com'), x509.IPAddress(ipaddress.ip_address('127.0.0.2'))]";
    // The system does not trust the CA; and a certificate for another name is invalid.
    for (names, with_authority) in [(right, false), (wrong, true)] {
        let (app, server) = (App::start(), server(names));
        let ca = server.dir().join("ca.pem");
        let authority = if with_authority { format!("ca_file = \"{}\"\n", ca.display()) } else { String::new() };
        let more = format!("jwks_url = \"https://127.0.0.1:{}/jwks.json\"\n{authority}", server.port);
        let gate = Conf::new(&app).add_realm_tables(&section_without_keys(ISS, &more)).start_unready();
        let error =
            until(PATIENCE, "/status says so", || status_of(&gate, ISS)["error"].as_str().map(str::to_lowercase));
        assert!(["certificate", "tls"].iter().any(|word| error.contains(word)), "{error}");
        gate.visit(&KEY_A.token(&claims())).refused(503, "issuer_keys_unavailable");
    }
}
