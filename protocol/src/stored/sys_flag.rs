//! The flag word of a message (`MessageSysFlag`).
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | body compressed |
//! | 1 | several tags |
//! | 2, 3 | transaction state: 0 none, 4 prepared, 8 committed, 12 rolled back |
//! | 4, 5 | born host, store host is IPv6 |
//! | 6, 7 | dispatch inside the broker: must be unwrapped, inner batch |
//! | 8 to 10 | compression algorithm |

/// The flag word. Bits without a meaning here are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SysFlag(pub i32);

/// What became of a transactional message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// Not transactional.
    None,
    /// A half message.
    Prepared,
    /// Committed.
    Committed,
    /// Rolled back.
    RolledBack,
}

/// How a compressed body was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing said: zlib, or gzip from gRPC clients. The first bytes tell.
    Unspecified,
    /// LZ4 frame.
    Lz4,
    /// Zstandard.
    Zstd,
    /// zlib.
    Zlib,
    /// A number that has no meaning yet.
    Unknown(u8),
}

impl SysFlag {
    /// The body is compressed.
    pub const COMPRESSED: Self = Self(1);
    /// The message has several tags.
    pub const MULTI_TAGS: Self = Self(1 << 1);
    /// A half message.
    pub const PREPARED: Self = Self(1 << 2);
    /// A committed transaction.
    pub const COMMITTED: Self = Self(2 << 2);
    /// A transaction rolled back.
    pub const ROLLED_BACK: Self = Self(3 << 2);
    /// The born host is IPv6. Set by the encoder from the address.
    pub const BORN_HOST_V6: Self = Self(1 << 4);
    /// The store host is IPv6. Set by the encoder from the address.
    pub const STORE_HOST_V6: Self = Self(1 << 5);
    /// Dispatched inside the broker.
    pub const NEED_UNWRAP: Self = Self(1 << 6);
    /// Several messages in one body.
    pub const INNER_BATCH: Self = Self(1 << 7);

    const TRANSACTION: i32 = 3 << 2;
    const COMPRESSION_SHIFT: u32 = 8;

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other` set.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// With the bits of `other` cleared.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The two transaction bits.
    pub fn transaction(self) -> TransactionState {
        match self.0 & Self::TRANSACTION {
            0 => TransactionState::None,
            4 => TransactionState::Prepared,
            8 => TransactionState::Committed,
            _ => TransactionState::RolledBack,
        }
    }

    /// With the two transaction bits set to `state`.
    #[must_use]
    pub fn with_transaction(self, state: TransactionState) -> Self {
        let bits = match state {
            TransactionState::None => Self(0),
            TransactionState::Prepared => Self::PREPARED,
            TransactionState::Committed => Self::COMMITTED,
            TransactionState::RolledBack => Self::ROLLED_BACK,
        };
        Self(self.0 & !Self::TRANSACTION).with(bits)
    }

    /// How the body is compressed; `None` when it is not.
    pub fn compression(self) -> Option<Compression> {
        if !self.contains(Self::COMPRESSED) {
            return None;
        }
        Some(match (self.0 >> Self::COMPRESSION_SHIFT) & 7 {
            0 => Compression::Unspecified,
            1 => Compression::Lz4,
            2 => Compression::Zstd,
            3 => Compression::Zlib,
            4 => Compression::Unknown(4),
            5 => Compression::Unknown(5),
            6 => Compression::Unknown(6),
            _ => Compression::Unknown(7),
        })
    }
}
