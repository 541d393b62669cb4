//! The identities that persisted bytes carry: one newtype per noun, with only the arithmetic that
//! makes sense.

use std::fmt;

/// A placement group: a virtual broker with one log, one owner and one epoch. Below 2^14, so that a
/// log position finds its placement group by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PgId(u32);

impl PgId {
    /// The number of placement groups that a log position can tell apart.
    pub const LIMIT: u32 = 1 << 14;
    /// The first.
    pub const FIRST: PgId = PgId(0);

    /// `None` from [`PgId::LIMIT`] on.
    pub const fn new(id: u32) -> Option<PgId> {
        if id < PgId::LIMIT { Some(PgId(id)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Where this placement group's log begins: `pg << 48`.
    pub const fn first_lsn(self) -> Lsn {
        Lsn((self.0 as u64) << 48)
    }
}

/// One owner and one fixed set of stores of a placement group. 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch that a change of owner or of stores opens.
    pub const fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// A position in a placement group's log, counting payload bytes; it never restarts, is unique in a
/// cluster, and serves as RocketMQ's physical offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The placement group whose log this is a position of; `None` where the bytes did not come
    /// from us.
    pub const fn pg(self) -> Option<PgId> {
        PgId::new((self.0 >> 48) as u32)
    }

    /// The position `bytes` further on.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Lsn {
        Lsn(self.0 + bytes)
    }

    /// Bytes from `earlier` to here; 0 when `earlier` is not earlier.
    pub const fn since(self, earlier: Lsn) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One incarnation of one message queue (or of a queue-like sequence) in a placement group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueUid(pub u64);

/// A message's place in its queue: from 0, growing by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueOffset(pub u64);

impl QueueOffset {
    /// The offset `count` messages further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> QueueOffset {
        QueueOffset(self.0 + count)
    }

    /// Messages from `earlier` to here; 0 when `earlier` is not earlier.
    pub const fn since(self, earlier: QueueOffset) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for PgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

macro_rules! display_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_number!(Epoch, Lsn, QueueUid, QueueOffset);
