//! For tests, also of other crates: a bucket in memory, a store that fails as it is told, and the
//! checks that every kind of bucket passes.
pub mod conformance;
mod faults;

pub use faults::{Faults, Happened, Plan, Step, Verb};

use super::bucket::{Backend, Bucket};
use super::{Name, Patience};
use crate::env::Env;
use object_store::memory::InMemory;
use std::sync::Arc;
use std::time::Duration;

impl Bucket {
    /// A bucket that ends with the process.
    pub fn in_memory(env: Env) -> Bucket {
        let store = Arc::new(InMemory::new());
        let backend = Backend {
            address: "memory".to_owned(),
            prefix: Some(Name::parse("in/memory").expect("a name")),
            store: Arc::clone(&store) as _,
            parts: Some(store),
            sorted: true,
            service: None,
        };
        Bucket::over(backend, env)
    }

    /// A bucket that ends with the process and fails as `faults` says.
    pub fn faulty(faults: &Arc<Faults>, env: Env) -> Bucket {
        let store = Arc::new(faults.over(InMemory::new()));
        let backend = Backend {
            address: "faulty memory".to_owned(),
            prefix: None,
            store: Arc::clone(&store) as _,
            parts: Some(store),
            sorted: true,
            service: None,
        };
        Bucket::over(backend, env)
    }
}

/// The patience of tests: many attempts, short pauses.
pub fn hasty() -> Patience {
    Patience {
        attempts_max: 40,
        time_max: Duration::from_secs(60),
        attempt_time_max: Duration::from_secs(10),
        pause: Duration::from_millis(1),
        pause_max: Duration::from_millis(4),
    }
}
