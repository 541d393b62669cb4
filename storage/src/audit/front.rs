//! An object read front to back, a chunk at a time, and hashed on the way.

use super::tail::{Unreadable, stored};
use crate::object::{Bucket, Name, Purpose};
use crate::tier::ObjectName;
use crate::tier::proof::{Digest, Digester};
use bytes::{Bytes, BytesMut};

/// Bytes that are asked for at once.
const CHUNK_BYTES: u64 = 4 << 20;

/// The reader.
pub(super) struct Front<'a> {
    bucket: &'a Bucket,
    name: Name,
    /// Of the object.
    len: u64,
    /// The next byte to be taken.
    at: u64,
    /// Bytes from there on.
    held: Bytes,
    digester: Option<Digester>,
}

impl<'a> Front<'a> {
    pub(super) fn of(bucket: &'a Bucket, name: &ObjectName, len: u64, hashed: bool) -> Front<'a> {
        let digester = hashed.then(Digester::default);
        Front { bucket, name: stored(name), len, at: 0, held: Bytes::new(), digester }
    }

    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// The next bytes, which stay; as many as there are, at most `len`.
    pub(super) async fn peek(&mut self, len: u64) -> Result<Bytes, Unreadable> {
        let len = len.min(self.len - self.at);
        let have = self.held.len() as u64;
        if have < len {
            let from = self.at + have;
            let to = self.len.min(from + (len - have).max(CHUNK_BYTES));
            let chunk = self.bucket.get(&self.name, from..to, Purpose::Check).await?.bytes;
            if let Some(digester) = &mut self.digester {
                digester.update(&chunk);
            }
            self.held = if self.held.is_empty() {
                chunk
            } else {
                let mut both = BytesMut::with_capacity(self.held.len() + chunk.len());
                both.extend_from_slice(&self.held);
                both.extend_from_slice(&chunk);
                both.freeze()
            };
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(self.held.len());
        Ok(self.held.slice(..len))
    }

    /// The next bytes.
    pub(super) async fn take(&mut self, len: u64) -> Result<Bytes, Unreadable> {
        let bytes = self.peek(len).await?;
        self.held = self.held.slice(bytes.len()..);
        self.at += bytes.len() as u64;
        Ok(bytes)
    }

    /// Goes on at `to`, however far that is.
    pub(super) async fn skip_to(&mut self, to: u64) -> Result<(), Unreadable> {
        while self.at < to.min(self.len) {
            self.take((to - self.at).min(CHUNK_BYTES)).await?;
        }
        Ok(())
    }

    /// Reads to the end: the digest of all bytes, if it was wanted.
    pub(super) async fn finish(mut self) -> Result<Option<Digest>, Unreadable> {
        self.skip_to(self.len).await?;
        Ok(self.digester.map(Digester::finish))
    }
}
