//! Whether a store is there and does what the rest relies on, found out by doing it.
use super::bucket::{Ask, Bucket};
use super::error::{Error, Fault};
use super::{Kind, Name, Patience, Purpose, Span};
use bytes::Bytes;
use object_store::{ObjectStore, PutMode};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes of the object that is stored, read and deleted again.
const PROBE_BYTES: usize = 4_096;
/// The folder it is in.
const FOLDER: &str = "probe";

/// What a store can do, beside what every store must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// A PUT that may only make is refused where there is an object. Without it, a look comes
    /// before each PUT, and only the nonce in names keeps writers apart.
    pub create_only: bool,
    /// What was stored is in the next list.
    pub lists_at_once: bool,
    /// What was deleted is gone for the next read.
    pub deletes_at_once: bool,
    /// Time of the PUT of one small object.
    pub put_time: Duration,
}

impl Bucket {
    /// Stores, reads, lists and deletes a small object, and remembers what the store can do. Some
    /// eight requests; a few seconds at most where nobody answers.
    ///
    /// # Errors
    /// What the store refused, with what to do about it; [`Error::Broken`] when it does not return
    /// what was stored.
    pub async fn probe(&self) -> Result<Capabilities, Error> {
        let bucket = self.with_patience(probing(self.patience));
        let env = &bucket.shared.env;
        let nonce = env.random_u64();
        let name = Name::parse(FOLDER)
            .and_then(|folder| folder.join("at-start"))
            .and_then(|name| name.with_nonce(nonce))
            .map_err(|refused| Error::Broken(refused.to_string()))?;
        let began = env.monotonic();
        bucket.create(&name, pattern(nonce), Purpose::Probe).await?;
        let put_time = env.monotonic().saturating_sub(began);
        let create_only = bucket.refuses_a_second(&name).await?;
        let stored = if create_only { pattern(nonce) } else { pattern(!nonce) };
        bucket.reads_right(&name, &stored).await?;
        let lists_at_once = bucket.lists(&name).await?;
        bucket.delete(std::slice::from_ref(&name), Purpose::Probe).await?;
        let deletes_at_once =
            matches!(bucket.head(&name, Purpose::Probe).await, Err(Error::NotFound { .. }));
        self.shared.known.create_only.store(create_only, Ordering::Relaxed);
        Ok(Capabilities { create_only, lists_at_once, deletes_at_once, put_time })
    }

    /// Whether a PUT that may only make leaves what is there.
    async fn refuses_a_second(&self, name: &Name) -> Result<bool, Error> {
        let other = pattern(!nonce_of(name));
        let path = self.path(name);
        let ask = Ask { sent_bytes: other.len() as u64, ..Ask::new(Kind::Put, Purpose::Probe) };
        let mut budget = self.budget();
        let put = || {
            let payload = other.clone().into();
            self.shared.store.put_opts(&path, payload, PutMode::Create.into())
        };
        match self.persist(ask, name, &mut budget, put).await {
            Err(Fault::Exists) => Ok(true),
            Ok(_) => Ok(false),
            Err(Fault::Refused(super::Refusal::Unsupported(_))) => {
                let put = || {
                    self.shared.store.put_opts(
                        &path,
                        other.clone().into(),
                        PutMode::Overwrite.into(),
                    )
                };
                let again = self.persist(ask, name, &mut budget, put).await;
                again.map_err(|fault| self.error(fault, Kind::Put, name, &budget))?;
                Ok(false)
            }
            Err(fault) => Err(self.error(fault, Kind::Put, name, &budget)),
        }
    }

    async fn reads_right(&self, name: &Name, stored: &Bytes) -> Result<(), Error> {
        let len = stored.len() as u64;
        for (span, expected) in [
            (Span::All, 0..stored.len()),
            (Span::Range(100..101), 100..101),
            (Span::Range(1_000..len), 1_000..stored.len()),
            (Span::Tail(64), stored.len() - 64..stored.len()),
        ] {
            let fetched = self.get(name, span.clone(), Purpose::Probe).await?;
            if fetched.bytes != stored.slice(expected) || fetched.object_bytes != len {
                return Err(Error::Broken(format!(
                    "it returns other bytes than it was given, for {span:?}"
                )));
            }
        }
        Ok(())
    }

    async fn lists(&self, name: &Name) -> Result<bool, Error> {
        let folder = Name::parse(FOLDER).map_err(|refused| Error::Broken(refused.to_string()))?;
        let mut listing = self.list(Some(&folder), None, Purpose::Probe);
        // Only what other probes left behind is in the same folder.
        while let Some(entry) = listing.next().await? {
            if entry.name == *name {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A start does not wait long for a store that is down: it says so.
fn probing(patience: Patience) -> Patience {
    Patience {
        attempts_max: patience.attempts_max.min(4),
        time_max: patience.time_max.min(Duration::from_secs(15)),
        attempt_time_max: patience.attempt_time_max.min(Duration::from_secs(10)),
        ..patience
    }
}

/// Bytes that no cache or error page looks like.
fn pattern(seed: u64) -> Bytes {
    let word = |n: u64| seed.wrapping_add(n).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
    (0..PROBE_BYTES as u64 / 8).flat_map(word).collect::<Vec<u8>>().into()
}

/// The nonce at a probe's name's end.
fn nonce_of(name: &Name) -> u64 {
    let hex = name.as_str().rsplit('-').next().unwrap_or_default();
    u64::from_str_radix(hex, 16).unwrap_or_default()
}
