//! Reading an object's tail, and telling which part of it is damaged.

use crate::format::FormatError;
use crate::format::object::{
    Directory, FOOTER_BYTES, Footer, KeyTable, Properties, QueueIndex, Span, TAIL_READ_BYTES, Tail,
    TailRead,
};
use crate::object::{Bucket, Error, Name, Purpose, Span as Asked};
use crate::tier::ObjectName;
use bytes::Bytes;
use std::fmt;

/// A part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// All of it: it has another length than it had.
    Whole,
    /// A block of messages.
    Messages,
    /// A block of operations.
    Operations,
    /// A page of the key index.
    KeyPage,
    /// A partition of the key index.
    Partition,
    /// Where blocks are.
    QueueIndex,
    /// Where the parts of the key index are.
    PartitionTable,
    /// Whose records.
    Directory,
    /// Words.
    Properties,
    /// Where the parts before are.
    Footer,
    /// The root of a manifest.
    Root,
    /// A page of a manifest.
    Page,
    /// A checkpoint of the proof.
    Checkpoint,
}

impl Part {
    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Part::Whole => "object",
            Part::Messages => "block of messages",
            Part::Operations => "block of operations",
            Part::KeyPage => "key page",
            Part::Partition => "key partition",
            Part::QueueIndex => "queue index",
            Part::PartitionTable => "partition table",
            Part::Directory => "directory",
            Part::Properties => "properties",
            Part::Footer => "footer",
            Part::Root => "manifest root",
            Part::Page => "manifest page",
            Part::Checkpoint => "proof checkpoint",
        }
    }
}

/// A part that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which kind of part.
    pub part: Part,
    /// Where it lies.
    pub at: Span,
    /// How it shows.
    pub source: FormatError,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { part, at, source } = self;
        write!(f, "{} at byte {}, {} bytes: {source}", part.label(), at.at, at.len)
    }
}

/// Why an object, or a part of it, could not be read.
#[derive(Debug)]
pub enum Unreadable {
    /// There is none of that name.
    Gone,
    /// It is not what was written.
    Damaged(Damage),
    /// The store does not answer, or refuses.
    Store(Error),
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Unreadable {
        match error {
            Error::NotFound { .. } => Unreadable::Gone,
            Error::OutOfRange { .. } | Error::TooMuch { .. } => {
                let (part, at) = (Part::Whole, Span::default());
                Unreadable::Damaged(Damage { part, at, source: FormatError::Length })
            }
            other @ (Error::Foreign { .. }
            | Error::Refused { .. }
            | Error::Unavailable { .. }
            | Error::Down { .. }
            | Error::Open(_)
            | Error::Broken(_)) => Unreadable::Store(other),
        }
    }
}

/// The name as the bucket takes it.
pub(super) fn stored(name: impl fmt::Display) -> Name {
    Name::parse(&name.to_string()).expect("our names have letters, digits, - and . only")
}

/// An object's tail, if it is the tail of the object of this name.
///
/// # Errors
/// [`Unreadable`], with the part of the tail that is damaged.
pub async fn tail_of(bucket: &Bucket, name: &ObjectName) -> Result<Tail, Unreadable> {
    let key = stored(name);
    let end = bucket.get(&key, Asked::Tail(TAIL_READ_BYTES), Purpose::Check).await?;
    let len = end.object_bytes;
    let tail = match Tail::read(&end.bytes) {
        Ok(TailRead::Whole(tail)) => Ok(*tail),
        // What a damaged footer asks for may not be there.
        Ok(TailRead::Longer(span)) if span.end() == len => {
            let all = bucket.get(&key, span.at..span.end(), Purpose::Check).await?;
            match Tail::read(&all.bytes) {
                Ok(TailRead::Whole(tail)) => Ok(*tail),
                Ok(TailRead::Longer(_)) => Err(whole(len, FormatError::Length)),
                Err(source) => Err(locate(&all.bytes, len, source)),
            }
        }
        Ok(TailRead::Longer(_)) => Err(whole(len, FormatError::Length)),
        Err(source) => Err(locate(&end.bytes, len, source)),
    };
    let tail = tail.map_err(Unreadable::Damaged)?;
    let footer = &tail.footer;
    let id = name.id();
    if footer.object_len != len {
        return Err(Unreadable::Damaged(whole(len, FormatError::Length)));
    }
    if (footer.id, footer.nonce) != (id.id, id.nonce) {
        // A sound object, under another's name.
        return Err(Unreadable::Damaged(whole(len, FormatError::Contradiction)));
    }
    Ok(tail)
}

fn whole(len: u64, source: FormatError) -> Damage {
    Damage { part: Part::Whole, at: Span { at: 0, len }, source }
}

/// Which part of the tail at the end of `bytes` is damaged, in an object of `len` bytes.
fn locate(bytes: &Bytes, len: u64, source: FormatError) -> Damage {
    let footer_len = (FOOTER_BYTES as u64).min(len);
    let footer_at = Span { at: len - footer_len, len: footer_len };
    let footer = match Footer::decode(bytes) {
        Ok(footer) => footer,
        Err(source) => return Damage { part: Part::Footer, at: footer_at, source },
    };
    if footer.object_len != len {
        return whole(len, FormatError::Length);
    }
    let from = len - bytes.len() as u64;
    let [queues, keys, directory, words] = footer.parts().map(|at| (at, part(bytes, at, from)));
    let read = [
        (Part::QueueIndex, queues.0, QueueIndex::decode(&queues.1).map(drop)),
        (Part::PartitionTable, keys.0, KeyTable::decode(&keys.1).map(drop)),
        (Part::Directory, directory.0, Directory::decode(&directory.1).map(drop)),
        (Part::Properties, words.0, Properties::decode(&words.1).map(drop)),
    ];
    for (part, at, read) in read {
        if let Err(source) = read {
            return Damage { part, at, source };
        }
    }
    // Each part is sound, and they do not belong together.
    let at = Span { at: footer.tail_at, len: len - footer.tail_at };
    Damage { part: Part::Footer, at, source }
}

/// A part of an object of which `bytes` begin at `from`; empty where they do not have it.
fn part(bytes: &Bytes, at: Span, from: u64) -> Bytes {
    at.of(bytes, from).map_or_else(Bytes::new, |part| bytes.slice_ref(part))
}
