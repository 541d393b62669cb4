//! Where the broker is, as options that commands share.

use super::context::{self, Context};
use super::failure::Failure;
use super::http::Admin;
use super::print;
use clap::Args;
use client::{Config, Endpoint, Tls};
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::env::Env;

/// Digits of a time in milliseconds, from September 2001 on.
const MILLISECONDS_DIGITS_MIN: usize = 13;

/// For commands that administer.
#[derive(Args, Debug)]
pub(super) struct AdminAddress {
    /// HTTP address of the broker [env: STRATAMQ_ADMIN] [default: 127.0.0.1:8082]
    #[arg(long, value_parser = http_address, value_name = "HOST:PORT")]
    admin: Option<Endpoint>,
    /// A cluster that has a name here: see stratamq context [env: STRATAMQ_CONTEXT]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Print JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

impl AdminAddress {
    /// The API at the address that counts.
    pub(super) fn open(&self) -> Result<Admin, Failure> {
        let found = locate(self.admin.clone(), self.context.as_deref(), &ADMIN)?;
        Ok(Admin::at(found.address, found.origin))
    }
}

/// For commands that are a client.
#[derive(Args, Clone, Debug)]
pub(super) struct ClientAddress {
    /// gRPC address of the broker [env: STRATAMQ_ENDPOINT] [default: 127.0.0.1:8081]
    #[arg(long, value_parser = grpc_address, value_name = "HOST:PORT")]
    endpoint: Option<Endpoint>,
    /// A cluster that has a name here: see stratamq context [env: STRATAMQ_CONTEXT]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
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
    /// The failure, with who named the place where nobody answers.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        match locate(self.endpoint.clone(), self.context.as_deref(), &GRPC) {
            Ok(found) => failure.led_by(&found.origin),
            Err(_) => failure,
        }
    }

    pub(super) fn config(&self) -> Result<Config, Failure> {
        let found = locate(self.endpoint.clone(), self.context.as_deref(), &GRPC)?;
        let context = found.context.unwrap_or_default();
        let unchecked = self.tls || (self.tls_ca.is_none() && context.tls);
        let tls = match self.tls_ca.as_ref().or(context.tls_ca.as_ref()) {
            Some(file) if !self.tls => roots(file)?,
            Some(_) | None if unchecked => Tls::TrustAll,
            Some(_) | None => Tls::Off,
        };
        Ok(Config { tls, request_timeout: self.timeout, ..Config::new(found.address) })
    }
}

/// One of a cluster's two doors.
struct Door {
    named_by: &'static str,
    option: &'static str,
    parse: fn(&str) -> Result<Endpoint, client::Error>,
    of: fn(&Context) -> Option<&String>,
    default: &'static str,
}

const ADMIN: Door = Door {
    named_by: "STRATAMQ_ADMIN",
    option: "--admin HOST:PORT",
    parse: http_address,
    of: |context| context.admin.as_ref(),
    default: "127.0.0.1",
};
const GRPC: Door = Door {
    named_by: "STRATAMQ_ENDPOINT",
    option: "--endpoint HOST:PORT",
    parse: grpc_address,
    of: |context| context.endpoint.as_ref(),
    default: "127.0.0.1",
};

/// Where a command goes.
struct Located {
    address: Endpoint,
    /// What else is known of the place; not where the command line or the environment names it.
    context: Option<Context>,
    /// Who named it, where it was not typed; empty where nobody did.
    origin: String,
}

/// The strongest word about the address: the option, the context of the command line, the
/// environment, the context in use, this machine.
fn locate(given: Option<Endpoint>, context: Option<&str>, door: &Door) -> Result<Located, Failure> {
    if let Some(address) = given {
        return Ok(Located { address, context: None, origin: String::new() });
    }
    let context = match context {
        Some(name) => Some(context::named(name)?),
        None => match std::env::var(door.named_by) {
            Ok(text) if !text.is_empty() => {
                let address = (door.parse)(&text)
                    .map_err(|error| Failure::usage(format!("{}: {error}", door.named_by)))?;
                return Ok(Located { address, context: None, origin: door.named_by.to_owned() });
            }
            Ok(_) | Err(_) => context::current()?,
        },
    };
    let name = context.as_ref().map(|context| context.name.clone()).unwrap_or_default();
    let text = match context.as_ref().map(door.of) {
        Some(Some(text)) => text.as_str(),
        Some(None) => {
            return Err(Failure::usage(format!("context {name} has no address for this command"))
                .hint(format!("give it one with: stratamq context add {name} {}", door.option)));
        }
        None => door.default,
    };
    let address = (door.parse)(text).map_err(|error| {
        Failure::usage(format!("context {name}: {error}"))
            .hint(format!("give it another with: stratamq context add {name} {}", door.option))
    })?;
    let origin = if name.is_empty() { name } else { format!("context {name}") };
    Ok(Located { address, context, origin })
}

pub(super) fn http_address(text: &str) -> Result<Endpoint, client::Error> {
    Endpoint::parse(text, 8082)
}

pub(super) fn grpc_address(text: &str) -> Result<Endpoint, client::Error> {
    Endpoint::parse(text, 8081)
}

fn roots(file: &Path) -> Result<Tls, Failure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("authorities in {}: {error}", file.display()))
            .hint("--tls-ca takes a file of certificates in PEM")
    };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
    let found: Result<Vec<_>, _> = found.collect();
    let roots = found.map_err(|error| unreadable(&error))?;
    if roots.is_empty() {
        return Err(unreadable(&"there is no certificate in it"));
    }
    Ok(Tls::Roots(roots))
}

/// A name as it was typed. An empty one is a shell's variable that was not set.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the name is empty".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// `500ms`, `30s`, `5m`, `2h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is no time; try 500ms or 30s"))?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match &text[digits.len()..] {
        "" => return Err(format!("{text:?} has no unit; try {text}s, or ms, m, h")),
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        other => return Err(format!("unknown unit {other:?}; use ms, s, m or h")),
    }
    .ok_or_else(|| format!("{text:?} is too long"))
}

/// A moment as people say it, in milliseconds since 1970: how long ago (`2h`, `2h ago`, `-2h`), a time
/// (`2026-08-05`, `2026-08-05T14:00Z`, `2026-08-05 14:00:09`, RFC 3339), or those milliseconds
/// themselves.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    let ago = text.strip_suffix(" ago").or_else(|| text.strip_prefix('-')).unwrap_or(text);
    if let Ok(ago) = duration(ago) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(Env::system().now().0.saturating_sub(ago));
    }
    // Shorter numbers are years, or mistakes.
    if text.len() >= MILLISECONDS_DIGITS_MIN
        && let Ok(ms) = text.parse()
    {
        return Ok(ms);
    }
    print::moment(text).ok_or_else(|| format!("{text:?} is no time; try 2h or 2026-08-05T14:00Z"))
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

    #[test]
    fn moments_are_read_as_people_say_them() {
        let hours = 2 * 3_600_000;
        for text in ["2h", "2h ago", "-2h"] {
            let now = Env::system().now().0;
            let read = moment(text).unwrap();
            assert!((now - hours..=now - hours + 60_000).contains(&read), "{text}");
        }
        assert_eq!(moment("1754402400123"), Ok(1_754_402_400_123));
        assert_eq!(moment("2025-08-05T14:00:00.123Z"), Ok(1_754_402_400_123));
        assert_eq!(moment("2025-08-05T16:30:00+02:30"), Ok(1_754_402_400_000));
        for text in ["", "2h later", "--2h", "175440240", "-2026-08-05"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
