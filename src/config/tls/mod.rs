//! `[server.tls]`: certificates of the listeners, and client certificates.

pub(in crate::config) mod read;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use crate::config::pem;
use crate::config::sealed::Sealed;

/// TLS settings for client connections.
#[derive(Clone)]
pub struct TlsSettings {
    /// The configuration for rustls.
    pub config: Arc<ServerConfig>,
    /// Expiry of the certificate that expires first, in Unix seconds.
    pub expires_at: i64,
    /// Hash of all files.
    digest: Vec<u8>,
    pub(in crate::config) _sealed: Sealed,
}

/// A certificate chain and its matching private key.
#[derive(Debug)]
pub(in crate::config) struct Certificate {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    expires_at: i64,
}

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum ClientAuth {
    /// The handshake fails without one.
    Required,
    /// A client certificate must be valid, but a client need not send one.
    Optional,
}

impl TlsSettings {
    /// `certificates`: the first one is the default. `roots`: CA certificates for client certificates. `files`: the text of all
    /// files, to detect changes.
    pub(in crate::config) fn new(
        certificates: Vec<Certificate>,
        clients: Option<(RootCertStore, ClientAuth)>,
        h2: bool,
        files: &[Zeroizing<Vec<u8>>],
    ) -> Result<Self, String> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(|error| error.to_string())?;
        let knows_clients = clients.is_some();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some((roots, auth)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
            }
        };
        let expires_at = certificates.iter().map(|certificate| certificate.expires_at).min().unwrap_or(i64::MAX);
        let mut config = builder.with_cert_resolver(Arc::new(SniResolver::new(certificates)));
        config.alpn_protocols = if h2 { vec![b"h2".into(), b"http/1.1".into()] } else { vec![b"http/1.1".into()] };
        if knows_clients {
            // TRAP: rustls does not verify the client certificate of a resumed session again, although it can have expired.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
        }
        let mut digest = Context::new(&SHA256);
        for file in files {
            digest.update(&(file.len() as u64).to_be_bytes());
            digest.update(file);
        }
        digest.update(&[u8::from(h2)]);
        Ok(Self {
            _sealed: Sealed(()),
            config: Arc::new(config),
            expires_at,
            digest: digest.finish().as_ref().to_vec(),
        })
    }

    /// Returns whether the files have the same content. Then the previous settings stay, so that sessions can be resumed.
    pub(in crate::config) fn has_same_files(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a chain and its key, both PEM. The errors contain nothing of the key.
    pub(in crate::config) fn read(chain: &[u8], key: &str) -> Result<Self, CertificateError> {
        let chain = pem::certificates(chain).map_err(CertificateError::Chain)?;
        let leaf = chain.first().ok_or_else(|| {
            CertificateError::Chain("contains no certificate: write the certificate and its chain as PEM".into())
        })?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| {
            CertificateError::Chain("contains no X.509 certificate: write the certificate and its chain as PEM".into())
        })?;
        let expires_at = parsed.validity().not_after.timestamp();
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let names = names.collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
            CertificateError::Key(
                "contains no PEM private key: write the path of a file with -----BEGIN PRIVATE KEY-----".into(),
            )
        })?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                CertificateError::Key("does not match the certificate: write the key of this certificate".into())
            }
            _ => CertificateError::Key("can't be used: write a PKCS #8, RSA or EC key without a password".into()),
        })?;
        Ok(Self { key: Arc::new(key), names, expires_at })
    }

    /// `notAfter`, in Unix seconds.
    pub(in crate::config) const fn expires_at(&self) -> i64 {
        self.expires_at
    }
}

/// The invalid file of the two, and the problem.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) enum CertificateError {
    Chain(String),
    Key(String),
}

fn provider() -> CryptoProvider {
    default_provider()
}

/// The certificates by host name. A client without SNI, or with an unknown name, gets the first certificate, as with nginx: the
/// client then reports the wrong name.
#[derive(Debug)]
struct SniResolver {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// Wildcard certificates, by the name after `*.`.
    below: HashMap<String, Vec<Arc<CertifiedKey>>>,
    first: Vec<Arc<CertifiedKey>>,
}

impl SniResolver {
    fn new(certificates: Vec<Certificate>) -> Self {
        let mut table = Self { exact: HashMap::new(), below: HashMap::new(), first: Vec::new() };
        for Certificate { key, names, .. } in certificates {
            if table.first.is_empty() {
                table.first.push(key.clone());
            }
            for name in names {
                match name.strip_prefix("*.") {
                    Some(parent) => table.below.entry(parent.into()).or_default().push(key.clone()),
                    None => table.exact.entry(name).or_default().push(key.clone()),
                }
            }
        }
        table
    }

    fn certificates_for(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.first };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let found = self.exact.get(&name).or_else(|| self.below.get(parent?));
        found.unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for SniResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A name can have an ECDSA certificate and an RSA certificate.
        let keys = self.certificates_for(hello.server_name());
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        keys.iter().find(fits).or_else(|| keys.first()).cloned()
    }
}
