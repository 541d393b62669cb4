//! Locking objects against deletion: S3 Object Lock in mode COMPLIANCE, which nobody lifts, not
//! even who owns the bucket.
//!
//! A lock is only ever made longer. Asking again for what holds already changes nothing and costs
//! one question.
use crate::access::Access;
use crate::error::Error;
use crate::service::Service;
use storage::env::{Env, Timestamp};
use storage::object::{Name, StoreUrl};

/// The locks of a store whose objects can be locked.
#[derive(Clone)]
pub struct Locks(Service);

impl Locks {
    /// The locks of the store at `url`; `None` for a folder, and for a bucket that was made without
    /// Object Lock or does not say that it has it: topics in it cannot be locked.
    ///
    /// # Errors
    /// When there is no such bucket, or the service is not reached.
    pub async fn open(url: &StoreUrl, env: &Env) -> Result<Option<Locks>, Error> {
        let (bucket, prefix) = match url {
            StoreUrl::Folder(_) => return Ok(None),
            StoreUrl::S3 { bucket, prefix } => (bucket, prefix),
        };
        let access = Access::of_environment(env.clone()).await;
        let service = Service::new(&access, bucket, prefix.clone());
        Ok(service.can_lock().await?.then_some(Locks(service)))
    }

    /// Locks an object at least until `until`, and says until when it is locked. Idempotent; may be
    /// asked again after any error.
    ///
    /// # Errors
    /// When there is no such object, the credentials may not, or the service is not reached.
    pub async fn lock_until(&self, name: &Name, until: Timestamp) -> Result<Timestamp, Error> {
        let until = whole_second(until);
        if let Some(locked) = self.0.locked_until(name).await?.filter(|locked| *locked >= until) {
            return Ok(locked);
        }
        let asked = self.0.lock_until(name, until).await;
        match asked {
            Ok(()) => Ok(until),
            // Somebody else may have locked it for longer meanwhile, which cannot be made shorter.
            Err(error) => match self.0.locked_until(name).await? {
                Some(locked) if locked >= until => Ok(locked),
                Some(_) | None => Err(error),
            },
        }
    }
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Locks")
    }
}

/// The first whole second that is not earlier: services keep no less.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_ceil(1000).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_never_shorter_than_was_asked_for() {
        for (asked, kept) in [(0, 0), (1, 1000), (1000, 1000), (1001, 2000)] {
            assert_eq!(whole_second(Timestamp(asked)), Timestamp(kept));
        }
    }

    #[tokio::test]
    async fn a_folder_has_no_locks() {
        let url = "somewhere/store".parse().unwrap();
        assert!(Locks::open(&url, &Env::system()).await.unwrap().is_none());
    }
}
