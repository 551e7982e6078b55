//! The networks from which users sign in, as far as the store remembers them.

use std::net::IpAddr;

/// A hashed client network: an IPv4 address, or the first 64 bits of an IPv6 address. The hash keeps addresses out of
/// reports and backups at a glance. It does not protect them from an attacker with the database, who can hash all IPv4
/// addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NetworkId(pub [u8; 16]);

impl NetworkId {
    /// Returns the network of an address, for IPv4-mapped addresses too.
    #[must_use]
    pub fn from_address(client: IpAddr) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(b"tollgate network");
        match client.to_canonical() {
            IpAddr::V4(address) => context.update(&address.octets()),
            IpAddr::V6(address) => context.update(&address.octets()[..8]),
        }
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(id)
    }
}

impl std::fmt::Debug for NetworkId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("NetworkId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_of_ipv4_or_half_of_one_of_ipv6() {
        let id = |text: &str| NetworkId::from_address(text.parse().unwrap());
        assert_eq!(id("192.0.2.1"), id("::ffff:192.0.2.1"));
        assert_eq!(id("2001:db8::1"), id("2001:db8::ffff:1:2:3"));
        for (one, other) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::1", "192.0.2.1")] {
            assert_ne!(id(one), id(other));
        }
    }
}
