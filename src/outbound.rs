//! What all requests to servers of others have in common: whom they trust, how much of an answer is read, and what is
//! said when there is none.

use std::error::Error as _;

use reqwest::{Certificate, ClientBuilder, Response, redirect};

/// A client to be, which talks to no other server than the one that is named, over https unless `insecure_http`.
///
/// # Errors
/// `roots`, certificates (PEM) to trust instead of the system's, can't be read.
pub fn client_builder(insecure_http: bool, roots: Option<&[u8]>) -> Result<ClientBuilder, String> {
    // Says so itself if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        // Where a redirect leads is not where the operator said that the server is.
        .redirect(redirect::Policy::none())
        .https_only(!insecure_http)
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
    let Some(roots) = roots else { return Ok(builder) };
    let roots = Certificate::from_pem_bundle(roots).map_err(|error| format!("ca_file: {}", root_cause(&error)))?;
    Ok(builder.tls_certs_only(roots))
}

/// The body of an answer, of at most `limit` bytes.
///
/// # Errors
/// It broke off, or, `None`, it is larger.
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

/// The innermost cause; those around it say "error sending request".
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
