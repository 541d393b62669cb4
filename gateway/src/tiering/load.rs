//! Older messages for consumers: read from the bucket.

use super::view::Published;
use crate::history::{LoadFailed, Loaded, Loader};
use async_trait::async_trait;
use std::sync::Arc;
use storage::format::{QueueOffset, QueueUid};
use storage::reader::{ReadError, Reader, Want};

/// How often a manifest that was replaced meanwhile is looked up anew.
const RENEWALS_MAX: usize = 4;
/// What one load brings, where no block is larger.
const WANT: Want = Want { messages: 4096, bytes: 4 << 20, tags: u64::MAX };

/// Reads a placement group's messages that the journal no longer has.
pub(super) struct BucketLoader {
    reader: Reader,
    view: Published,
}

impl BucketLoader {
    pub(super) fn new(reader: Reader, view: Published) -> BucketLoader {
        BucketLoader { reader, view }
    }
}

#[async_trait]
impl Loader for BucketLoader {
    async fn load(&self, queue: QueueUid, from: QueueOffset) -> Result<Loaded, LoadFailed> {
        for _ in 0..RENEWALS_MAX {
            match self.reader.read(&self.view.load(), queue, from, WANT).await {
                Ok(chunk) if chunk.ended => {
                    return Ok(Loaded { records: chunk.records, next: QueueOffset(u64::MAX) });
                }
                Ok(chunk) => return Ok(Loaded { records: chunk.records, next: chunk.next }),
                Err(ReadError::Stale { .. }) => {}
                Err(failed) => return Err(LoadFailed::Store(Arc::from(failed.to_string()))),
            }
        }
        Err(LoadFailed::Store(Arc::from("the manifest is replaced over and over")))
    }
}
