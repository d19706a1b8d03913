//! Which network addresses may be fetched from: the public ones.
//!
//! In: an IP address. Out: whether it is one that anybody on the internet could reach. The ranges are those of the IANA
//! registries for special-purpose addresses (RFC 6890 and its updates) that are not globally reachable, and the
//! addresses at which cloud providers answer questions about a machine and its credentials.
//!
//! It resolves no names and knows no exceptions; those are the policy's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is public: globally reachable unicast, and no metadata service.
///
/// IPv6 addresses that carry an IPv4 address (mapped, NAT64) are judged by that.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    /// (network, prefix length)
    const REFUSED: [(Ipv4Addr, u32); 17] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),          // this network, unspecified
        (Ipv4Addr::new(10, 0, 0, 0), 8),         // private
        (Ipv4Addr::new(100, 64, 0, 0), 10),      // carrier-grade NAT; Alibaba's metadata at 100.100.100.200
        (Ipv4Addr::new(127, 0, 0, 0), 8),        // loopback
        (Ipv4Addr::new(168, 63, 129, 16), 32),   // Azure's wire server, within a public range
        (Ipv4Addr::new(169, 254, 0, 0), 16),     // link-local; metadata at 169.254.169.254
        (Ipv4Addr::new(172, 16, 0, 0), 12),      // private
        (Ipv4Addr::new(192, 0, 0, 0), 24),       // protocol assignments; Oracle's metadata at 192.0.0.192
        (Ipv4Addr::new(192, 0, 2, 0), 24),       // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24),     // 6to4 relays, withdrawn
        (Ipv4Addr::new(192, 168, 0, 0), 16),     // private
        (Ipv4Addr::new(198, 18, 0, 0), 15),      // benchmarking
        (Ipv4Addr::new(198, 51, 100, 0), 24),    // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24),     // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 4),        // multicast
        (Ipv4Addr::new(240, 0, 0, 0), 4),        // reserved
        (Ipv4Addr::new(255, 255, 255, 255), 32), // broadcast
    ];
    !REFUSED.iter().any(|&(network, length)| (address.to_bits() ^ network.to_bits()) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = address.segments();
    let embedded = || {
        let ([a, b], [c, d]) = (s6.to_be_bytes(), s7.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (s0, s1, s2, s3, s4, s5) {
        // IPv4-mapped, ::ffff:a.b.c.d
        (0, 0, 0, 0, 0, 0xffff) => embedded(),
        // NAT64, 64:ff9b::a.b.c.d (RFC 6052); its local-use neighbour 64:ff9b:1::/48 falls outside 2000::/3 below
        (0x64, 0xff9b, 0, 0, 0, 0) => embedded(),
        // protocol assignments: Teredo, benchmarking, ORCHID (2001::/23)
        (0x2001, 0..=0x01ff, ..) => false,
        // documentation
        (0x2001, 0x0db8, ..) | (0x3fff, 0..=0x0fff, ..) => false,
        // 6to4, which carries an IPv4 address and is withdrawn
        (0x2002, ..) => false,
        // Global unicast is 2000::/3. All else is loopback, unspecified, unique local (with the metadata services at
        // fd00:ec2::254 and fd20:ce::254), link-local, multicast or not assigned.
        _ => s0 >> 13 == 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn refuses_every_range_that_is_not_public_at_both_ends() {
        let refused = [
            ("unspecified", "0.0.0.0 0.255.255.255 ::"),
            ("loopback", "127.0.0.1 127.255.255.255 ::1"),
            ("private", "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255"),
            ("unique local", "fc00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("carrier-grade NAT", "100.64.0.0 100.127.255.255"),
            ("link-local", "169.254.0.0 169.254.255.255 fe80::1 febf::1 fec0::1"),
            ("metadata", "169.254.169.254 fd00:ec2::254 fd20:ce::254 100.100.100.200 168.63.129.16 192.0.0.192"),
            ("multicast", "224.0.0.0 239.255.255.255 ff02::1"),
            ("reserved", "240.0.0.0 255.255.255.254 255.255.255.255 192.0.0.0 192.0.0.255"),
            ("documentation", "192.0.2.1 198.51.100.1 203.0.113.255 2001:db8::1 3fff::1 3fff:fff::1"),
            ("benchmarking", "198.18.0.0 198.19.255.255 2001:2::1"),
            ("mapped", "::ffff:127.0.0.1 ::ffff:10.1.2.3 ::ffff:169.254.169.254"),
            ("compatible", "::7f00:1 ::8.8.8.8"),
            ("NAT64", "64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::8.8.8.8"),
            ("6to4 and Teredo", "2002:7f00:1:: 2002:808:808:: 192.88.99.1 2001::1 2001:1ff::1"),
            ("discard and others", "100::1 4000::1 5f00::1"),
        ];
        for (range, addresses) in refused {
            for address in addresses.split(' ') {
                assert!(!is_public(address.parse().unwrap()), "{range}: {address}");
            }
        }
    }

    #[test]
    fn allows_public_addresses_beside_the_refused_ranges() {
        let allowed = "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
             168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 \
             192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 8.8.8.8 \
             2000::1 2001:200::1 2001:4860:4860::8888 2606:4700::1111 2a00:1450::1 3ffe::1 \
             ::ffff:8.8.8.8 64:ff9b::8.8.8.8";
        for address in allowed.split_whitespace() {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
