//! Any bytes as the target of a request that has all the credentials there are: what is forwarded of it is what was judged.

use tollgate::gate::wire;

use super::fixture::{KEY, SETUP, expand};
use super::request;

/// Whether the application gets it.
pub fn check(data: &[u8]) -> bool {
    let target = expand(data, &[]);
    let mut granted = false;
    for host in ["gate.example", "root.example"] {
        for good in SETUP.good.iter().take(2) {
            let mut bytes = b"GET ".to_vec();
            bytes.extend(&target);
            let head =
                format!(" HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {KEY}\r\nAuthorization: Bearer {}\r\n\r\n", good.text);
            bytes.extend(head.bytes());
            let Some(read) = request::read(&bytes) else { continue };
            granted |= request::check(&read);
            // Without a key in a header, the query's must be right.
            let mut bare = read;
            bare.header.remove_header("x-api-key");
            if wire::target(&bare.raw).is_some() {
                granted |= request::check(&bare);
            }
        }
    }
    granted
}
