//! Certificate files: one parser, with the same error messages, for every key that names such a file.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::external::ExternalInputs;
use super::reader::report::Reported;
use super::schema::Setting;
use super::schema::kind::Raw;
use crate::clock::rfc3339;

/// A file with valid CA certificates.
#[derive(Debug)]
pub(super) struct CaFile {
    pub(super) text: Vec<u8>,
    /// At least one.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    path: PathBuf,
}

impl CaFile {
    /// Reads the file at the configured `path`.
    pub(super) fn read(path: &str, external: &ExternalInputs) -> Result<Self, String> {
        let path = external.file(path)?;
        let text = external.public_file(&path)?;
        let certificates = authorities(&text).map_err(|problem| format!("{} {problem}", path.display()))?;
        Ok(Self { text, certificates, path })
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        // Adds all of them: `read` has tried each.
        roots.add_parsable_certificates(self.certificates.iter().cloned());
        roots
    }

    /// Returns a sentence for each certificate that has expired at `now` (Unix seconds) or expires soon.
    pub(super) fn expired(&self, now: i64) -> Vec<String> {
        let expiring = self.certificates.iter().enumerate().filter_map(|(index, der)| {
            let (_, parsed) = X509Certificate::from_der(der).ok()?;
            let problem = expiry(parsed.validity().not_after.timestamp(), now)?;
            let path = self.path.display();
            Some(format!(
                "certificate {} in {path} {problem}: write its successor into the file, or remove it",
                index + 1
            ))
        });
        expiring.collect()
    }
}

/// Reads the CA certificates of an optional key, and warns of those that expire.
pub(super) fn ca_file(file: &Setting<'_, Raw>, external: &ExternalInputs) -> Result<Option<CaFile>, Reported> {
    let certificates = file.optional(|path| CaFile::read(path, external))?;
    for sentence in certificates.iter().flat_map(|certificates| certificates.expired(external.now())) {
        file.warn(sentence);
    }
    Ok(certificates)
}

/// Returns the problem of a certificate with this `notAfter` that has expired at `now` or expires soon (Unix seconds).
pub(super) fn expiry(not_after: i64, now: i64) -> Option<String> {
    match not_after.saturating_sub(now) {
        ..0 => Some(format!("has expired at {}", rfc3339(not_after))),
        0..EXPIRES_SOON => Some(format!("expires soon, at {}", rfc3339(not_after))),
        _ => None,
    }
}

/// Parses the certificates of a PEM file. Returns at least one.
///
/// # Errors
/// A sentence that continues the path of the file.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let (mut certificates, mut has_key) = (Vec::new(), false);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        match section {
            Ok((SectionKind::Certificate, der)) => certificates.push(CertificateDer::from(der)),
            Ok((kind, _)) => has_key |= !matches!(kind, SectionKind::Crl | SectionKind::Csr),
            Err(_) if certificates.is_empty() => return Err(format!("is not PEM: {RESTORE}")),
            Err(_) => return Err(format!("is not PEM after certificate {}: {RESTORE}", certificates.len())),
        }
    }
    if certificates.is_empty() {
        let problem = match text {
            // A SEQUENCE with a length of two bytes.
            [0x30, 0x82, ..] => "is DER: run openssl x509 -inform der to convert it to PEM",
            _ if has_key => "contains a key and no certificate: write the path of the certificate",
            _ => "contains no PEM certificate: write the path of a file with -----BEGIN CERTIFICATE-----",
        };
        return Err(problem.into());
    }
    for (index, der) in certificates.iter().enumerate() {
        // TRAP: pingora panics at a certificate that this parser does not accept.
        if X509Certificate::from_der(der).is_err() {
            return Err(format!("is malformed in certificate {}: {RESTORE}", index + 1));
        }
    }
    Ok(certificates)
}

/// Parses the CA certificates of a PEM file.
fn authorities(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = certificates(text)?;
    for (index, der) in certificates.iter().enumerate() {
        let number = index + 1;
        if RootCertStore::empty().add(der.clone()).is_err() {
            return Err(format!("is malformed in certificate {number}: {RESTORE}"));
        }
        // A server certificate is its own CA only if it is self-signed.
        let useless = X509Certificate::from_der(der)
            .is_ok_and(|(_, parsed)| !parsed.is_ca() && parsed.issuer() != parsed.subject());
        if useless {
            return Err(format!(
                "must contain CA certificates only, but certificate {number} is not one: write the path of the CA certificate that signed it"
            ));
        }
    }
    Ok(certificates)
}

const RESTORE: &str = "restore the file";

/// Time before the expiry of a certificate from which `check` and the log warn, in seconds: two weeks.
pub const EXPIRES_SOON: i64 = 14 * 86_400;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::config::fixture::{LOGIN, REALM, ROUTE, SERVER, check, warnings, with};
    use crate::config::input::Input;

    fn params(name: &str, is_ca: bool) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.into()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        params
    }

    /// A CA, a certificate from it, the key of that certificate, a self-signed certificate, and an expired CA.
    struct Files {
        ca: String,
        leaf: String,
        key: String,
        own: String,
        expired: String,
    }

    fn files() -> Files {
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let ca = params("ca", true);
        let issuer = Issuer::from_params(&ca, &ca_key);
        let mut expired = params("old", true);
        expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
        Files {
            leaf: params("leaf.example", false).signed_by(&key, &issuer).unwrap().pem(),
            ca: ca.self_signed(&ca_key).unwrap().pem(),
            key: key.serialize_pem(),
            own: params("own.example", false).self_signed(&key).unwrap().pem(),
            expired: expired.self_signed(&ca_key).unwrap().pem(),
        }
    }

    /// Returns a configuration for each key that names a file of CA certificates.
    fn every_key(file: &Path) -> Vec<String> {
        let file = file.display();
        let issuer =
            "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"api\"]\ndiscovery = true\n";
        let pool = "[[login]]\ndialect = \"tenant\"\npath = \"/l\"\nrealm = \"a\"\nbackend = \"cognito\"\nclient_id = \"c\"\n\
                    [login.cognito]\nuser_pool = \"eu-west-1_AbCdEf123\"\n";
        let own = std::env::temp_dir();
        let (cert, key) = (own.join("none.pem"), own.join("none.key"));
        let tls = format!(
            "[server.tls]\ncert = \"{}\"\nkey = \"{}\"\nclient_ca = \"{file}\"\n",
            cert.display(),
            key.display()
        );
        let store = format!("url = \"postgres://u@db.example/d?sslrootcert={file}\"");
        vec![
            format!("{SERVER}{tls}{REALM}{LOGIN}"),
            format!("{SERVER}{REALM}{issuer}ca_file = \"{file}\"\n{LOGIN}"),
            format!("{SERVER}{REALM}{pool}ca_file = \"{file}\"\n"),
            format!(
                "{SERVER}{REALM}{}",
                with(
                    ROUTE,
                    &format!(
                        "upstream = [\"https://127.0.0.1\"]\nupstream_name = \"a.example\"\nupstream_ca = \"{file}\""
                    )
                )
            ),
            format!("{SERVER}{REALM}{LOGIN}").replace("url = \"sqlite:///var/lib/t.db\"", &store),
        ]
    }

    #[test]
    fn every_key_reports_the_same_error_for_a_wrong_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let Files { ca, leaf, key, own, .. } = files();
        let der = certificates(ca.as_bytes()).unwrap()[0].to_vec();
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, verdict) in [
            (b"".to_vec(), "ca.pem contains no PEM certificate: write the path of a file"),
            (b"hello".to_vec(), "ca.pem contains no PEM certificate"),
            (key.clone().into_bytes(), "ca.pem contains a key and no certificate: write"),
            (der, "ca.pem is DER: run openssl"),
            (broken.into(), "ca.pem is not PEM: restore"),
            (format!("{ca}{broken}").into_bytes(), "ca.pem is not PEM after certificate 1: restore"),
            (hollow.into(), "ca.pem is malformed in certificate 1: restore"),
            (
                leaf.clone().into_bytes(),
                "ca.pem must contain CA certificates only, but certificate 1 is not one: write",
            ),
            (format!("{ca}{leaf}").into_bytes(), "but certificate 2 is not one"),
        ] {
            std::fs::write(&file, text).unwrap();
            for config in every_key(&file) {
                let errors = check(&config).unwrap_err();
                assert!(errors.iter().any(|error| error.message.contains(verdict)), "{verdict}: {errors}");
            }
        }
        for good in [ca.clone(), own, format!("# two\n{ca}\n{ca}"), format!("{ca}{key}")] {
            std::fs::write(&file, good).unwrap();
            for config in &every_key(&file)[1..] {
                check(config).unwrap();
            }
        }
        std::fs::remove_file(&file).unwrap();
        for config in every_key(&file) {
            assert!(check(&config).unwrap_err().to_string().contains("ca.pem: it does not exist"), "{config}");
        }
    }

    #[test]
    fn a_certificate_that_expires_within_two_weeks_is_reported() {
        let (now, day) = (1_700_000_000, 86_400);
        for (left, expected) in [
            (-1, Some("has expired at ")),
            (0, Some("expires soon, at ")),
            (14 * day - 1, Some("expires soon, at ")),
            (14 * day, None),
        ] {
            let told = expiry(now + left, now);
            assert_eq!(
                told.as_deref().map(|told| &told[..told.len() - "2023-11-14T22:13:20Z".len()]),
                expected,
                "{left}"
            );
        }
    }

    #[test]
    fn a_ca_that_has_expired_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let Files { ca, expired, .. } = files();
        std::fs::write(&file, format!("{ca}{expired}")).unwrap();
        let external = ExternalInputs::new(Input::stat(&dir.path().join("t.toml")), None, false, 1_700_000_000);
        let read = CaFile::read("ca.pem", &external).unwrap();
        assert_eq!((read.certificates.len(), read.roots().len()), (2, 2));
        let told = read.expired(1_700_000_000);
        assert!(
            told.len() == 1
                && told[0].starts_with("certificate 2 in ")
                && told[0].contains(" has expired at 2020-01-01T00:00:00Z: "),
            "{told:?}"
        );
        for config in &every_key(&file)[1..4] {
            let told = warnings(config);
            assert!(told.iter().any(|warning| warning.contains("has expired")), "{told:?}");
        }
    }
}
