//! Where the broker is, as options that commands share.

use super::failure::Failure;
use clap::Args;
use client::{Config, Endpoint, Tls};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For commands that administer.
#[derive(Args, Debug)]
pub(super) struct AdminAddress {
    /// HTTP address of the broker
    #[arg(
        long,
        env = "STRATAMQ_ADMIN",
        default_value = "127.0.0.1:8082",
        value_parser = http_address,
        value_name = "HOST:PORT"
    )]
    pub(super) admin: Endpoint,
    /// Print JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// For commands that are a client.
#[derive(Args, Clone, Debug)]
pub(super) struct ClientAddress {
    /// gRPC address of the broker
    #[arg(
        long,
        env = "STRATAMQ_ENDPOINT",
        default_value = "127.0.0.1:8081", value_parser = grpc_address, value_name = "HOST:PORT"
    )]
    endpoint: Endpoint,
    /// Encrypt, without checking the certificate
    #[arg(long)]
    tls: bool,
    /// Encrypt, and check the certificate against these authorities (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "tls")]
    tls_ca: Option<PathBuf>,
    /// How long to wait for an answer
    #[arg(long, default_value = "3s", value_parser = duration, value_name = "TIME")]
    timeout: Duration,
    /// Print JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

impl ClientAddress {
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let tls = match &self.tls_ca {
            Some(file) => roots(file)?,
            None if self.tls => Tls::TrustAll,
            None => Tls::Off,
        };
        Ok(Config { tls, request_timeout: self.timeout, ..Config::new(self.endpoint.clone()) })
    }
}

fn http_address(text: &str) -> Result<Endpoint, client::Error> {
    Endpoint::parse(text, 8082)
}

fn grpc_address(text: &str) -> Result<Endpoint, client::Error> {
    Endpoint::parse(text, 8081)
}

fn roots(file: &Path) -> Result<Tls, Failure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let found = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
    let found: Result<Vec<_>, _> = found.collect();
    let roots = found.map_err(|error| unreadable(&error))?;
    if roots.is_empty() {
        return Err(unreadable(&"there is no certificate in it"));
    }
    Ok(Tls::Roots(roots))
}

/// `500ms`, `30s`, `5m`, `2h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is no time; try 500ms or 30s"))?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match &text[digits.len()..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        other => return Err(format!("unknown unit {other:?}; use ms, s, m or h")),
    }
    .ok_or_else(|| format!("{text:?} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "s", "5", "1.5s", "5 s", "-1s", "5d", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
