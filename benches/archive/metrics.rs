//! What a broker says of itself at `/metrics`.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use storage::object::{Kind, Purpose};

/// All of it at one moment.
pub(crate) struct Metrics(String);

impl Metrics {
    /// Asks the broker at this HTTP address.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn read(http: &str) -> io::Result<Metrics> {
        let mut stream = TcpStream::connect(http)?;
        // Version 1.0: the answer comes in one piece and ends with the connection.
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {http}\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        if text.starts_with("HTTP/1.0 200") || text.starts_with("HTTP/1.1 200") {
            Ok(Metrics(text))
        } else {
            Err(io::Error::other(format!("/metrics: {}", text.lines().next().unwrap_or_default())))
        }
    }

    /// The sum of a metric over those that have all of these labels; 0 where there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(['{', ' ']) && labels.iter().all(|l| rest.contains(l));
            if is_it { rest.rsplit_once(' ')?.1.parse::<f64>().ok() } else { None }
        };
        self.0.lines().filter_map(of).sum()
    }

    /// Requests of one kind for one purpose.
    pub(crate) fn requests(&self, purpose: Purpose, kind: Kind) -> f64 {
        self.asked("stratamq_store_requests_total", purpose, kind)
    }

    /// Bytes that requests of one kind brought for one purpose.
    pub(crate) fn received(&self, purpose: Purpose, kind: Kind) -> f64 {
        self.asked("stratamq_store_received_bytes_total", purpose, kind)
    }

    /// Bytes that requests of one kind took for one purpose.
    pub(crate) fn sent(&self, purpose: Purpose, kind: Kind) -> f64 {
        self.asked("stratamq_store_sent_bytes_total", purpose, kind)
    }

    fn asked(&self, name: &str, purpose: Purpose, kind: Kind) -> f64 {
        self.sum(name, &[("purpose", purpose.label()), ("request", kind.label())])
    }
}

/// What consumers and searches ask for, and not who tidies up.
pub(crate) const READING: [Purpose; 4] =
    [Purpose::Read, Purpose::CatchUp, Purpose::Search, Purpose::Manifest];
