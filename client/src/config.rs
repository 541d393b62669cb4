//! What a client is told at its start: where, as whom, how encrypted, how patient.

use crate::credentials::Credentials;
use crate::error::Error;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::time::Duration;

/// The port that RocketMQ's gRPC front has by default.
const DEFAULT_PORT: u16 = 8081;

/// A host and a port, written `host:port`, `host` (port 8081) or `[v6]:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name or an address, IPv6 without its brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`, `[v6]:port`, or either without the port.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn parse(text: &str, default_port: u16) -> Result<Endpoint, Error> {
        let malformed = || Error::Invalid { what: format!("`{text}` is not HOST:PORT") };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(malformed)?;
                host.parse::<Ipv6Addr>().map_err(|_| malformed())?;
                (host, if after.is_empty() { None } else { after.strip_prefix(':').or(Some("")) })
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(digits) => digits.parse().map_err(|_| malformed())?,
            None => default_port,
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || port == 0 || !host.chars().all(legal) {
            return Err(malformed());
        }
        Ok(Endpoint { host: host.to_owned(), port })
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Endpoint, Error> {
        Endpoint::parse(text, DEFAULT_PORT)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How connections are encrypted.
#[derive(Clone, Debug, Default)]
pub enum Tls {
    /// Plaintext HTTP/2.
    #[default]
    Off,
    /// TLS without a look at the server's certificate: keeps listeners out, not impostors. What the
    /// official Java, Go, C# and C++ clients do by default.
    TrustAll,
    /// TLS with a server that one of these authorities vouches for, under the name in the endpoint.
    Roots(Vec<CertificateDer<'static>>),
}

/// Settings of a producer or consumer.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where routes are asked for. What they name is connected to as well.
    pub access_point: Endpoint,
    /// Default: [`Tls::Off`].
    pub tls: Tls,
    /// Who the client is; every request is signed. Default: nobody.
    pub credentials: Option<Credentials>,
    /// How long an answer may take, beyond the wait that a receive asks for itself. Default: 3 s.
    pub request_timeout: Duration,
    /// HTTP/2 connections per endpoint, at least 1. One serves a few hundred requests in flight; a
    /// connection has one lock at either end, so a load of tens of thousands of requests a second
    /// wants several. Default: 1.
    pub connections: usize,
    /// How often one send is tried, at least 1. Default: as often as the server advises, which is
    /// 3 for Apache's.
    pub send_attempts: Option<u32>,
    /// Whether a send whose outcome is unknown is tried again, as the official clients do: fewer
    /// errors, and now and then a message that is stored twice. Default: false.
    pub resend_unknown: bool,
    /// `resource_namespace` of every topic and group. Default: empty.
    pub namespace: String,
}

impl Config {
    /// The defaults, for this access point.
    pub fn new(access_point: Endpoint) -> Config {
        Config {
            access_point,
            tls: Tls::default(),
            credentials: None,
            request_timeout: Duration::from_secs(3),
            connections: 1,
            send_attempts: None,
            resend_unknown: false,
            namespace: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_in_every_form() {
        let read = |text: &str| text.parse::<Endpoint>().map(|e| (e.host.clone(), e.port)).ok();
        assert_eq!(read("broker:9000"), Some(("broker".into(), 9000)));
        assert_eq!(read("10.0.0.1"), Some(("10.0.0.1".into(), 8081)));
        assert_eq!(read("[::1]:80"), Some(("::1".into(), 80)));
        assert_eq!(read("[::1]"), Some(("::1".into(), 8081)));
        for bad in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:0",
            "a:70000",
            "[::1",
            "[::1]80",
            "[x]:1",
            "a b:1",
            "http://a:1",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn endpoints_are_written_as_they_are_read() {
        for text in ["broker:9000", "[::1]:8081"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }
}
