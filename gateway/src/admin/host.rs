//! Which names this port answers to.
//!
//! A web page that an operator looks at can make his browser ask the loopback address under the
//! page's own name (DNS rebinding), and would so get past the browser's rules. Such a request gives
//! itself away by its Host. Addresses and `localhost` are never a foreign page's name.

use super::problem::Problem;
use crate::broker::Broker;
use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Health is asked by whatever name a balancer uses, and tells nothing.
const ANY_HOST: [&str; 2] = ["/healthz", "/readyz"];

pub(super) async fn check(
    State(broker): State<Arc<Broker>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
    let asked = host.or_else(|| request.uri().host());
    if ANY_HOST.contains(&request.uri().path()) || is_own(asked, &names(&broker)) {
        return next.run(request).await;
    }
    let asked = asked.unwrap_or_default();
    Problem::misdirected(format!("this port does not answer to the host name {asked:?}"))
        .hint("use an address, or allow the name with: stratamq serve --http-name NAME")
        .into_response()
}

fn names(broker: &Broker) -> Vec<&str> {
    let settings = &broker.settings;
    let advertised = [&settings.advertise.grpc, &settings.advertise.remoting];
    let advertised = advertised.into_iter().flatten().map(|advertised| advertised.host.as_str());
    settings.http_names.iter().map(String::as_str).chain(advertised).collect()
}

/// A request without any Host is no browser's.
fn is_own(host: Option<&str>, names: &[&str]) -> bool {
    let Some(host) = host else { return true };
    let name = without_port(host);
    let in_brackets = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
        None => {
            let same = |own: &&str| own.eq_ignore_ascii_case(name);
            name.parse::<IpAddr>().is_ok() || same(&"localhost") || names.iter().any(same)
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_pages_name_is_not_ours() {
        let own = |host| is_own(host, &["mq.example.org"]);
        for host in [
            "127.0.0.1:8082",
            "10.0.0.7",
            "[::1]:8082",
            "[::1]",
            "localhost",
            "LOCALHOST:8082",
            "mq.example.org",
            "MQ.example.org:80",
        ] {
            assert!(own(Some(host)), "{host}");
        }
        for host in [
            "",
            ":8082",
            "evil.example",
            "evil.example:8082",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "[evil]",
            "127.0.0.1:80:evil",
        ] {
            assert!(!own(Some(host)), "{host}");
        }
        assert!(own(None));
    }
}
