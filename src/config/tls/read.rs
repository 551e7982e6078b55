//! `[server.tls]`.

use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::external::ExternalInputs;
use crate::config::pem::ca_file;
use crate::config::pem::expiry;
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::schema::kind::{Raw, RawList, flag, raw, raw_list, required, subsections, word};
use crate::config::schema::{Setting, section};
use crate::config::tls::{Certificate, CertificateError, ClientAuth, TlsSettings};

section! {
    /// TLS for clients. With this section, all addresses of `listen` accept only TLS 1.2 and 1.3. Tollgate reads a changed
    /// certificate or key at once; if the pair is invalid, the previous one stays in force.
    TlsKeys = "[server.tls]", Reloadable;

    /// PEM file with the certificate and its chain.
    cert: Raw = required(raw("\"cert.pem\""));

    /// PEM file with the private key: PKCS #8, RSA or EC. Only its owner can have access to it.
    key: Raw = required(raw("\"key.pem\""));

    /// More certificates. A client gets the first certificate for the host name it requests (SNI), or the one of `cert`.
    certificate: Vec<Section<'s>> = subsections(&CertificateKeys::SECTION), default "no other certificates";

    /// PEM file with the CA certificates for client certificates. The application receives the SHA-256 of the client
    /// certificate in `X-Auth-Client-Cert`.
    client_ca: Raw = raw("\"clients-ca.pem\""), default "no client certificates";

    /// Whether a client needs a certificate. `"required"`: every client. `"optional"`: no, but Tollgate verifies one that it
    /// gets.
    client_auth: Option<ClientAuth> = word(&CLIENT_AUTH), default "\"required\"";

    /// HTTP/2, negotiated by ALPN.
    h2: bool = flag(true);

    /// Addresses without TLS that redirect all requests to the first address of `listen`, with status 308.
    redirect(RestartOnly): RawList = raw_list("[\"0.0.0.0:80\"]"), default "[]";
}

section! {
    /// Another certificate.
    CertificateKeys = "[[server.tls.certificate]]", Reloadable;

    /// PEM file with the certificate and its chain.
    cert: Raw = required(raw("\"cert.pem\""));

    /// PEM file with the private key.
    key: Raw = required(raw("\"key.pem\""));
}

/// Reads the reloadable part of the section. `current`: the settings in force, which stay if no file has changed.
pub(in crate::config) fn read(
    keys: &TlsKeys<'_>,
    external: &ExternalInputs,
    current: Option<&Arc<TlsSettings>>,
) -> Result<Arc<TlsSettings>, Reported> {
    let mut files = Vec::new();
    let first = certificate(&keys.cert, &keys.key, external, &mut files);
    let others: Vec<_> = keys
        .certificate
        .iter()
        .map(|section| {
            let keys = CertificateKeys::read(section);
            certificate(&keys.cert, &keys.key, external, &mut files)
        })
        .collect();
    if keys.client_auth.is_some() && !keys.client_ca.is_written() {
        keys.client_auth.error("requires client_ca: write client_ca = \"clients-ca.pem\"");
    }
    let auth = keys.client_auth.unwrap_or(ClientAuth::Required);
    let clients = ca_file(&keys.client_ca, external)?.map(|file| {
        let roots = file.roots();
        files.push(file.text.into());
        files.push(vec![u8::from(auth == ClientAuth::Optional)].into());
        (roots, auth)
    });
    let certificates: Result<Vec<_>, _> = std::iter::once(first).chain(others).collect();
    let tls = TlsSettings::new(certificates?, clients, *keys.h2, &files).map_err(|message| keys.cert.error(message))?;
    let tls = Arc::new(tls);
    match current {
        Some(current) if current.has_same_files(&tls) => Ok(current.clone()),
        _ => Ok(tls),
    }
}

fn certificate(
    cert: &Setting<'_, Raw>,
    key: &Setting<'_, Raw>,
    external: &ExternalInputs,
    files: &mut Vec<Zeroizing<Vec<u8>>>,
) -> Result<Certificate, Reported> {
    let chain = cert.required(|path| public(path, external));
    let secret = key.required(|path| Ok((external.file(path)?, external.secret(path)?)));
    let ((chain_path, chain), (key_path, secret)) = (chain?, secret?);
    let certificate = Certificate::read(&chain, &secret).map_err(|error| match error {
        CertificateError::Chain(message) => cert.error(format!("{} {message}", chain_path.display())),
        CertificateError::Key(message) => key.error(format!("{} {message}", key_path.display())),
    })?;
    if let Some(problem) = expiry(certificate.expires_at(), external.now()) {
        cert.warn(format!("{} {problem}: renew it, or write the path of its successor", chain_path.display()));
    }
    files.push(chain.into());
    files.push(secret.as_bytes().to_vec().into());
    Ok(certificate)
}

fn public(path: &str, external: &ExternalInputs) -> Result<(PathBuf, Vec<u8>), String> {
    let path = external.file(path)?;
    let pem = external.public_file(&path)?;
    Ok((path, pem))
}

const CLIENT_AUTH: [(&str, ClientAuth); 2] = [("required", ClientAuth::Required), ("optional", ClientAuth::Optional)];
