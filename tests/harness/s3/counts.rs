//! What was asked of the service: requests and bytes, by kind and by the folder that they concern.

use super::request::{Asked, Kind, Which};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// How often and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Requests that arrived, failed ones too.
    pub(crate) requests: u64,
    /// Of them, those that a fault kept from being carried out or from being answered whole.
    pub(crate) failed: u64,
    /// Bytes of objects that were sent to the service.
    pub(crate) received_bytes: u64,
    /// Bytes of objects that it sent.
    pub(crate) sent_bytes: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<(Kind, String), Count>);

impl Counts {
    pub(super) fn of(&mut self, asked: &Asked) -> &mut Count {
        self.0.entry((asked.kind, folder(asked.name()).to_owned())).or_default()
    }

    /// All that `which` means. Below a folder it counts whole folders of the first level only.
    pub(super) fn sum(&self, which: &Which) -> Count {
        let mut sum = Count::default();
        for ((kind, folder), count) in &self.0 {
            if which.has(*kind, folder) {
                sum += *count;
            }
        }
        sum
    }

    pub(super) fn rows(&self) -> Vec<(Kind, String, Count)> {
        self.0.iter().map(|((kind, folder), count)| (*kind, folder.clone(), *count)).collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The first part of a name, with its slash; all of a name without one.
fn folder(name: &str) -> &str {
    name.find('/').map_or(name, |at| &name[..=at])
}
