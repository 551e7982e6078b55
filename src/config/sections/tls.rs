//! `[server.tls]`.

use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{ca_file, server};
use crate::config::outside::Outside;
use crate::config::reader::{Keys, Section};
use crate::config::tls::{Certificate, ClientAuth, Tls, Unfit};

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[server.tls]",
    known: &["cert", "key", "certificate", "client_ca", "client_auth", "h2", "redirect"],
    later: &[],
    parent: Some(&server::KEYS),
};

/// Those of another certificate.
pub(in crate::config) const CERTIFICATE: Keys =
    Keys { header: "[[server.tls.certificate]]", known: &["cert", "key"], later: &[], parent: Some(&KEYS) };

/// What is in it. `current`: what is in force, and stays as it is if nothing has changed.
pub(in crate::config) fn read(
    section: &Section<'_>,
    outside: &Outside,
    current: Option<&Arc<Tls>>,
) -> Option<Arc<Tls>> {
    let mut files = Vec::new();
    let first = certificate(section, outside, &mut files);
    let others: Vec<_> = section.tables("certificate", &CERTIFICATE);
    let others: Vec<_> = others.iter().map(|section| certificate(section, outside, &mut files)).collect();
    let modes = [("required", ClientAuth::Required), ("optional", ClientAuth::Optional)];
    let auth = section.choice("client_auth", &modes, &[]);
    if auth.is_some() && !section.has("client_ca") {
        section.error("client_auth", "needs client_ca: whose certificates should clients show?");
    }
    let clients = ca_file(section, "client_ca", outside).map(|file| {
        let roots = file.roots();
        files.push(file.text.into());
        files.push(vec![u8::from(auth == Some(ClientAuth::Optional))].into());
        (roots, auth.unwrap_or(ClientAuth::Required))
    });
    if section.has("client_ca") && clients.is_none() {
        return None;
    }
    let certificates: Option<Vec<_>> = std::iter::once(first).chain(others).collect();
    let tls = Tls::new(certificates?, clients, section.flag("h2", true), &files);
    let tls = Arc::new(tls.map_err(|message| section.error("cert", message)).ok()?);
    match current {
        Some(current) if current.is_same(&tls) => Some(current.clone()),
        _ => Some(tls),
    }
}

/// `None` was reported.
fn certificate(section: &Section<'_>, outside: &Outside, files: &mut Vec<Zeroizing<Vec<u8>>>) -> Option<Certificate> {
    let chain = section.required("cert", "\"cert.pem\"", |path| public(path, outside));
    let key = section.required("key", "\"key.pem\"", |path| Ok((outside.file(path)?, outside.secret(path)?)));
    let ((chain_path, chain), (key_path, key)) = chain.zip(key)?;
    match Certificate::read(&chain, &key) {
        Ok(certificate) => {
            files.push(chain.into());
            files.push(key.as_bytes().to_vec().into());
            Some(certificate)
        }
        Err(Unfit::Chain(message)) => {
            section.error("cert", format!("{} {message}", chain_path.display()));
            None
        }
        Err(Unfit::Key(message)) => {
            section.error("key", format!("{} {message}", key_path.display()));
            None
        }
    }
}

fn public(path: &str, outside: &Outside) -> Result<(PathBuf, Vec<u8>), String> {
    let path = outside.file(path)?;
    let pem = outside.public_file(&path)?;
    Ok((path, pem))
}
