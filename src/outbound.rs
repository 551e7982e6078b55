//! HTTP requests to servers of others: trusted certificates, the limit of a response, and the text of an error.

use std::error::Error as _;

use reqwest::{Certificate, ClientBuilder, Response, redirect};

/// Returns a client builder without redirects, for https only unless `insecure_http` is set.
///
/// # Errors
/// `roots`, certificates (PEM) to trust instead of the system's, can't be read.
pub fn client_builder(insecure_http: bool, roots: Option<&[u8]>) -> Result<ClientBuilder, String> {
    // An error means that a default provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        // The operator configured this server, and not the target of a redirect.
        .redirect(redirect::Policy::none())
        .https_only(!insecure_http)
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
    let Some(roots) = roots else { return Ok(builder) };
    let roots = Certificate::from_pem_bundle(roots).map_err(|error| format!("ca_file: {}", root_cause(&error)))?;
    Ok(builder.tls_certs_only(roots))
}

/// Reads the body of a response, of at most `limit` bytes.
///
/// # Errors
/// The connection was closed early; or, `None`, the body is larger.
pub async fn read_limited(mut response: Response, limit: usize) -> Result<Vec<u8>, Option<reqwest::Error>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Some)? {
        if body.len() + chunk.len() > limit {
            return Err(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Returns the innermost cause. The errors around it are "error sending request".
#[must_use]
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut reason = error.to_string();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    reason
}
