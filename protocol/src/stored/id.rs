//! Message ids. All are upper-case hexadecimal; clients parse some of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The id that a Remoting broker gives a message: its address and the message's physical offset, 32
/// digits for IPv4, 56 for IPv6. Clients take both out again to view the message.
pub fn offset_message_id(store_host: SocketAddr, physical_offset: i64) -> String {
    let port = u32::from(store_host.port());
    let offset = physical_offset.cast_unsigned();
    match store_host.ip() {
        IpAddr::V4(ip) => format!("{:08X}{port:08X}{offset:016X}", u32::from(ip)),
        IpAddr::V6(ip) => format!("{:032X}{port:08X}{offset:016X}", u128::from(ip)),
    }
}

/// Address and physical offset of an offset message id; `None` for any other id.
pub fn parse_offset_message_id(id: &str) -> Option<(SocketAddr, i64)> {
    let (ip, rest) = match id.len() {
        32 => {
            let (ip, rest) = id.split_at_checked(8)?;
            (IpAddr::V4(Ipv4Addr::from(hex_u32(ip)?)), rest)
        }
        56 => {
            let (ip, rest) = id.split_at_checked(32)?;
            (IpAddr::V6(Ipv6Addr::from(hex_u128(ip)?)), rest)
        }
        _ => return None,
    };
    let (port, offset) = rest.split_at_checked(8)?;
    let port = u16::try_from(hex_u32(port)?).ok()?;
    Some((SocketAddr::new(ip, port), hex_u64(offset)?.cast_signed()))
}

/// The id that a Remoting client gives a message over IPv4 (`MessageClientIDSetter`), 32 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassicId {
    /// Address of the client.
    pub ip: Ipv4Addr,
    /// Low 16 bits of its process id.
    pub process: u16,
    /// Hash code of its class loader.
    pub class_loader: u32,
    /// Milliseconds since the client's month began.
    pub since_month_ms: u32,
    /// Counts up for each message.
    pub counter: u16,
}

impl fmt::Display for ClassicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, process, class_loader, since_month_ms, counter } = *self;
        let ip = u32::from(ip);
        write!(f, "{ip:08X}{process:04X}{class_loader:08X}{since_month_ms:08X}{counter:04X}")
    }
}

impl ClassicId {
    /// Reads 32 digits. Any 32 digits are one, an offset message id too: ask by where the id comes from.
    pub fn parse(id: &str) -> Option<Self> {
        let bits = if id.len() == 32 { hex_u128(id)? } else { return None };
        Some(Self {
            ip: Ipv4Addr::from(low_u32(bits >> 96)),
            process: low_u16(bits >> 80),
            class_loader: low_u32(bits >> 48),
            since_month_ms: low_u32(bits >> 16),
            counter: low_u16(bits),
        })
    }
}

/// The id that a gRPC client gives a message, version 1: 34 digits that begin with `01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcId {
    /// A hardware address of the client's machine, or random.
    pub mac: [u8; 6],
    /// Low 16 bits of the client's process id.
    pub process: u16,
    /// Seconds since [`GrpcId::EPOCH_SECONDS`].
    pub seconds: u32,
    /// Counts up for each message.
    pub sequence: u32,
}

impl GrpcId {
    /// 2021-01-01T00:00:00Z in seconds since 1970, from where `seconds` counts.
    pub const EPOCH_SECONDS: u64 = 1_609_459_200;

    /// Reads 34 digits of version 1. Ids of other versions and lengths are legal too, and opaque.
    pub fn parse(id: &str) -> Option<Self> {
        let digits = if id.len() == 34 { id.strip_prefix("01")? } else { return None };
        let bits = hex_u128(digits)?;
        let [_, _, mac @ ..] = low_u64(bits >> 80).to_be_bytes();
        Some(Self {
            mac,
            process: low_u16(bits >> 64),
            seconds: low_u32(bits >> 32),
            sequence: low_u32(bits),
        })
    }
}

impl fmt::Display for GrpcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("01")?;
        for byte in self.mac {
            write!(f, "{byte:02X}")?;
        }
        write!(f, "{:04X}{:08X}{:08X}", self.process, self.seconds, self.sequence)
    }
}

/// Digits only: Rust's parser would take a sign.
fn hex_u128(digits: &str) -> Option<u128> {
    let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if hex { u128::from_str_radix(digits, 16).ok() } else { None }
}

fn hex_u64(digits: &str) -> Option<u64> {
    u64::try_from(hex_u128(digits)?).ok()
}

fn hex_u32(digits: &str) -> Option<u32> {
    u32::try_from(hex_u128(digits)?).ok()
}

fn low_u64(bits: u128) -> u64 {
    let [_, _, _, _, _, _, _, _, low @ ..] = bits.to_be_bytes();
    u64::from_be_bytes(low)
}

fn low_u32(bits: u128) -> u32 {
    let [_, _, _, _, low @ ..] = low_u64(bits).to_be_bytes();
    u32::from_be_bytes(low)
}

fn low_u16(bits: u128) -> u16 {
    let [_, _, low @ ..] = low_u32(bits).to_be_bytes();
    u16::from_be_bytes(low)
}
