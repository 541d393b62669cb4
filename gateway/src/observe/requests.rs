//! How long requests took, by what was asked and what was answered.

use super::names::{Protocol, RPC_MICROS};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::{Distribution, Histogram};

/// What is asked. Names are the program's own, so there are as many as it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// On which front.
    pub protocol: Protocol,
    /// The RPC's or the request code's name.
    pub code: &'static str,
    /// Whether it may wait for a message.
    pub long_polling: bool,
}

impl Request {
    /// An RPC that does not wait.
    pub const fn grpc(code: &'static str) -> Request {
        Request { protocol: Protocol::Grpc, code, long_polling: false }
    }

    /// A Remoting request.
    pub const fn remoting(code: &'static str) -> Request {
        Request { protocol: Protocol::Remoting, code, long_polling: false }
    }

    /// The same, which may wait.
    pub const fn long_polling(self) -> Request {
        Request { long_polling: true, ..self }
    }
}

/// The times of all requests. The table grows by what was ever asked and answered, some dozens.
#[derive(Default)]
pub(super) struct Requests {
    times: RwLock<BTreeMap<(Request, &'static str), Times>>,
}

type Times = Histogram<{ RPC_MICROS.len() + 1 }>;

impl Requests {
    /// A request was answered with `response`, which is the name of a code.
    pub(super) fn answered(&self, request: &Request, response: &'static str, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let key = (*request, response);
        if let Some(times) = self.times.read().get(&key) {
            return times.count(micros);
        }
        let mut times = self.times.write();
        times.entry(key).or_insert_with(|| Histogram::new(RPC_MICROS)).count(micros);
    }

    /// Microseconds by request and response, in order.
    pub(super) fn read(&self) -> Vec<(Request, &'static str, Distribution)> {
        let times = self.times.read();
        times
            .iter()
            .map(|((request, response), times)| (*request, *response, times.read()))
            .collect()
    }
}
