//! Certificates that tests make, and a client that shows what a TLS server says.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{PATIENCE, Request, Response, write_file};

/// A CA.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate that an [`Authority`] has signed, and its key.
pub struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// For these hosts (or none: a client's).
    pub fn sign(&self, names: &[&str]) -> Signed {
        self.sign_until(names, (2999, 1, 1))
    }

    /// The same, up to this day.
    pub fn sign_until(&self, names: &[&str], (year, month, day): (i32, u8, u8)) -> Signed {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test");
        params.not_after = rcgen::date_time_ymd(year, month, day);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        Signed { certificate: params.signed_by(&key, &self.0).unwrap(), key }
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }
}

impl Signed {
    /// `NAME.pem` and `NAME.key` in this directory.
    pub fn write(&self, dir: &Path, name: &str) {
        write_file(&dir.join(format!("{name}.key")), &self.key.serialize_pem(), 0o600);
        fs::write(dir.join(format!("{name}.pem")), self.certificate.pem()).unwrap();
    }

    pub fn der(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }
}

/// A client that trusts one authority.
pub struct TlsClient {
    config: ClientConfig,
    name: &'static str,
}

/// What a handshake led to.
pub struct TlsConn {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    pub fn new(authority: &Authority, name: &'static str) -> Self {
        Self { config: config(authority, None), name }
    }

    pub fn with_certificate(authority: &Authority, name: &'static str, own: &Signed) -> Self {
        Self { config: config(authority, Some(own)), name }
    }

    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Names no host in its hello.
    pub fn without_sni(mut self) -> Self {
        self.config.enable_sni = false;
        self
    }

    pub fn connect(&self, to: SocketAddr) -> Result<TlsConn, String> {
        let tcp = TcpStream::connect(to).map_err(|error| error.to_string())?;
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from(self.name).unwrap();
        let connection = ClientConnection::new(Arc::new(self.config.clone()), name).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| error.to_string())?;
        }
        Ok(TlsConn { stream })
    }

    /// A request over a connection of its own. With TLS 1.3, a server refuses a client's certificate only now.
    pub fn send(&self, to: SocketAddr, request: &Request) -> Result<Response, String> {
        self.connect(to)?.ask(request)
    }
}

impl TlsConn {
    /// The certificate that the server showed.
    pub fn shown(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    pub fn protocol(&self) -> Option<String> {
        self.stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).expect("write to the gate");
    }

    /// No more will be sent: TLS says so, or only TCP.
    pub fn finish_writing(&mut self, politely: bool) {
        if politely {
            self.stream.conn.send_close_notify();
            self.stream.conn.complete_io(&mut self.stream.sock).unwrap();
        } else {
            self.stream.sock.shutdown(Shutdown::Write).unwrap();
        }
    }

    /// Everything until Tollgate ends the connection, as TLS does it.
    pub fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("the gate ends with a close_notify");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything until it ends with this.
    pub fn read_until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("more of the answer");
            bytes.push(byte[0]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The answer, which has a Content-Length or ends the connection.
    pub fn ask(&mut self, request: &Request) -> Result<Response, String> {
        self.stream.write_all(&request.bytes("localhost")).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let mut part = [0; 4096];
        loop {
            if let Some(answer) = Response::complete(&bytes) {
                return Ok(answer);
            }
            match self.stream.read(&mut part) {
                Ok(0) => return Err("the connection ended".into()),
                Ok(length) => bytes.extend(&part[..length]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

fn config(authority: &Authority, own: Option<&Signed>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![own.der().clone()], key).unwrap()
        }
    }
}
