//! `[server.tls]`.

use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::ca_file;
use crate::config::kind::{Raw, RawList, flag, raw, raw_list, required, subsections, word};
use crate::config::outside::Outside;
use crate::config::pem::expiry;
use crate::config::reader::Section;
use crate::config::report::Reported;
use crate::config::schema::{Setting, section};
use crate::config::tls::{Certificate, ClientAuth, Tls, Unfit};

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
    outside: &Outside,
    current: Option<&Arc<Tls>>,
) -> Result<Arc<Tls>, Reported> {
    let mut files = Vec::new();
    let first = certificate(&keys.cert, &keys.key, outside, &mut files);
    let others: Vec<_> = keys
        .certificate
        .iter()
        .map(|section| {
            let keys = CertificateKeys::read(section);
            certificate(&keys.cert, &keys.key, outside, &mut files)
        })
        .collect();
    if keys.client_auth.is_some() && !keys.client_ca.is_written() {
        keys.client_auth.error("requires client_ca: write client_ca = \"clients-ca.pem\"");
    }
    let auth = keys.client_auth.unwrap_or(ClientAuth::Required);
    let clients = ca_file(&keys.client_ca, outside)?.map(|file| {
        let roots = file.roots();
        files.push(file.text.into());
        files.push(vec![u8::from(auth == ClientAuth::Optional)].into());
        (roots, auth)
    });
    let certificates: Result<Vec<_>, _> = std::iter::once(first).chain(others).collect();
    let tls = Tls::new(certificates?, clients, *keys.h2, &files).map_err(|message| keys.cert.error(message))?;
    let tls = Arc::new(tls);
    match current {
        Some(current) if current.is_same(&tls) => Ok(current.clone()),
        _ => Ok(tls),
    }
}

fn certificate(
    cert: &Setting<'_, Raw>,
    key: &Setting<'_, Raw>,
    outside: &Outside,
    files: &mut Vec<Zeroizing<Vec<u8>>>,
) -> Result<Certificate, Reported> {
    let chain = cert.required(|path| public(path, outside));
    let secret = key.required(|path| Ok((outside.file(path)?, outside.secret(path)?)));
    let ((chain_path, chain), (key_path, secret)) = (chain?, secret?);
    let certificate = Certificate::read(&chain, &secret).map_err(|error| match error {
        Unfit::Chain(message) => cert.error(format!("{} {message}", chain_path.display())),
        Unfit::Key(message) => key.error(format!("{} {message}", key_path.display())),
    })?;
    if let Some(problem) = expiry(certificate.expires_at(), outside.now()) {
        cert.warn(format!("{} {problem}: renew it, or write the path of its successor", chain_path.display()));
    }
    files.push(chain.into());
    files.push(secret.as_bytes().to_vec().into());
    Ok(certificate)
}

fn public(path: &str, outside: &Outside) -> Result<(PathBuf, Vec<u8>), String> {
    let path = outside.file(path)?;
    let pem = outside.public_file(&path)?;
    Ok((path, pem))
}

const CLIENT_AUTH: [(&str, ClientAuth); 2] = [("required", ClientAuth::Required), ("optional", ClientAuth::Optional)];
