//! The PROXY prefix that load balancers put before the first byte (HAProxy's "The PROXY protocol", versions 1 and 2).
//! Pure: bytes in, verdict out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest prefix of version 1, with its line end.
pub(super) const V1_BYTES_MAX: usize = 107;
/// The longest prefix of version 2 that is taken: addresses plus type-length-values.
pub(super) const V2_BYTES_MAX: usize = 16 + 2048;

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Not a PROXY prefix.
    Absent,
    /// The beginning of one: more bytes decide.
    Incomplete,
    /// A prefix of `bytes` bytes; `peer` is the client it names, if it names one.
    Present { bytes: usize, peer: Option<SocketAddr> },
    /// It began as one and is none.
    Malformed,
}

/// Reads the PROXY prefix at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Prefix {
    if begins(bytes, V1_START) {
        version_1(bytes)
    } else if begins(bytes, V2_START) {
        version_2(bytes)
    } else {
        Prefix::Absent
    }
}

/// Whether `bytes` and `start` agree as far as both go, and there is at least one byte.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().zip(start).all(|(a, b)| a == b)
}

fn version_1(bytes: &[u8]) -> Prefix {
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_BYTES_MAX { Prefix::Incomplete } else { Prefix::Malformed };
    };
    let Ok(line) = std::str::from_utf8(&window[..end]) else {
        return Prefix::Malformed;
    };
    let mut words = line.split(' ').skip(1);
    let peer = match words.next() {
        Some("UNKNOWN") => None,
        Some("TCP4" | "TCP6") => {
            let ip = words.next().and_then(|word| word.parse::<IpAddr>().ok());
            let port = words.nth(1).and_then(|word| word.parse::<u16>().ok());
            match (ip, port) {
                (Some(ip), Some(port)) => Some(SocketAddr::new(ip, port)),
                (Some(_) | None, Some(_) | None) => return Prefix::Malformed,
            }
        }
        Some(_) | None => return Prefix::Malformed,
    };
    Prefix::Present { bytes: end + 2, peer }
}

fn version_2(bytes: &[u8]) -> Prefix {
    let (Some(version_command), Some(family), Some(length)) =
        (bytes.get(12), bytes.get(13), bytes.get(14..16))
    else {
        return Prefix::Incomplete;
    };
    let total = 16 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if version_command >> 4 != 2 || total > V2_BYTES_MAX {
        return Prefix::Malformed;
    }
    let Some(addresses) = bytes.get(16..total) else {
        return Prefix::Incomplete;
    };
    let local_command = version_command & 0x0f == 0;
    let peer = match family >> 4 {
        _ if local_command => None,
        1 => addresses.first_chunk::<12>().map(|a| {
            let ip = Ipv4Addr::new(a[0], a[1], a[2], a[3]);
            SocketAddr::new(ip.into(), u16::from_be_bytes([a[8], a[9]]))
        }),
        2 => addresses.first_chunk::<36>().map(|a| {
            let mut ip = [0; 16];
            ip.copy_from_slice(&a[..16]);
            SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes([a[32], a[33]]))
        }),
        _ => None,
    };
    Prefix::Present { bytes: total, peer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_names_the_client() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 8081\r\nrest";
        let peer = Some("192.0.2.7:50123".parse().unwrap());
        assert_eq!(parse(line), Prefix::Present { bytes: line.len() - 4, peer });
    }

    #[test]
    fn version_1_unknown_keeps_the_socket_address() {
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Prefix::Present { bytes: 15, peer: None });
    }

    #[test]
    fn every_beginning_of_a_prefix_is_incomplete() {
        let one = b"PROXY TCP6 ::1 ::1 1 2\r\n";
        let two = version_2_prefix(0x21, 0x11, &[192, 0, 2, 7, 0, 0, 0, 0, 0xc3, 0xcb, 0, 80]);
        for prefix in [&one[..], &two[..]] {
            for end in 1..prefix.len() {
                assert_eq!(parse(&prefix[..end]), Prefix::Incomplete, "{end}");
            }
        }
    }

    #[test]
    fn version_2_names_the_client() {
        let prefix = version_2_prefix(0x21, 0x11, &[192, 0, 2, 7, 0, 0, 0, 0, 0xc3, 0xcb, 0, 80]);
        let peer = Some("192.0.2.7:50123".parse().unwrap());
        assert_eq!(parse(&prefix), Prefix::Present { bytes: 28, peer });
    }

    #[test]
    fn version_2_health_check_names_nobody() {
        let prefix = version_2_prefix(0x20, 0x00, &[]);
        assert_eq!(parse(&prefix), Prefix::Present { bytes: 16, peer: None });
    }

    #[test]
    fn other_bytes_are_left_alone() {
        for bytes in [&b"PRI * HTTP/2.0\r\n"[..], &[0x16, 3, 1], &[0, 0, 0, 60], b""] {
            assert_eq!(parse(bytes), Prefix::Absent);
        }
    }

    #[test]
    fn nonsense_after_the_signature_is_refused() {
        assert_eq!(parse(b"PROXY NONSENSE\r\n"), Prefix::Malformed);
        assert_eq!(parse(b"PROXY TCP4 host 1 2 3\r\n"), Prefix::Malformed);
        assert_eq!(parse(&[b'P'; 1]), Prefix::Incomplete);
        assert_eq!(parse(&version_2_prefix(0x11, 0x11, &[0; 12])), Prefix::Malformed);
        let endless = [b"PROXY ", &[b'x'; 200][..]].concat();
        assert_eq!(parse(&endless), Prefix::Malformed);
    }

    fn version_2_prefix(version_command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&V2_START[..], &[version_command, family], &length, addresses].concat()
    }
}
