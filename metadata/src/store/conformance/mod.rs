//! What every backend must do: the contract of [`MetadataStore`], as checks.
//!
//! A backend says how to make, reopen and age a store ([`Harness`]) and writes
//! [`metadata_conformance!`](crate::metadata_conformance) in its tests. Each check gets a store of its own.

mod ask;
mod leases;
mod transactions;
mod watches;

pub use leases::*;
pub use transactions::*;
pub use watches::*;

use super::{Future, MetadataStore};
use std::sync::Arc;
use std::time::Duration;

/// One store of a backend, to be checked.
pub trait Harness: Send {
    /// The store.
    fn store(&self) -> Arc<dyn MetadataStore>;
    /// Closes the store and opens the same data again.
    fn reopen(&mut self) -> Future<'_, ()>;
    /// Makes the store forget the changes before the present revision; it may add some.
    fn forget_history(&mut self) -> Future<'_, ()>;
    /// Lets time pass for leases.
    fn pass(&mut self, time: Duration) -> Future<'_, ()>;
}

/// Writes one test per check for the backend whose harness `$fresh()` makes.
#[macro_export]
macro_rules! metadata_conformance {
    ($fresh:expr) => {
        $crate::metadata_conformance!(@each $fresh;
            a_put_is_read_back
            a_range_is_sorted_and_ends_with_its_prefix
            a_refused_transaction_changes_nothing_and_reads
            every_compare_is_against_one_state
            of_racing_transactions_one_wins
            a_counter_raced_for_loses_no_count
            the_revision_is_global_and_never_restarts
            a_transaction_over_the_limits_is_refused
            a_key_changed_twice_is_refused
            a_watch_tells_changes_in_order_and_whole
            a_watch_resumes_without_gap_or_repetition
            a_long_past_is_told_to_its_end
            a_watch_ahead_of_the_present_begins_there
            a_watch_dropped_while_waiting_loses_nothing
            a_list_and_a_watch_make_a_copy
            a_forgotten_past_is_said_to_be
            an_expired_lease_deletes_its_keys
            a_lease_kept_alive_stays
            an_expired_lease_is_not_kept_alive
            a_revoked_lease_deletes_its_keys_at_once
            a_put_without_the_lease_frees_the_key
            a_put_with_a_dead_lease_is_refused
            a_lease_has_its_full_time_again_after_a_restart
        );
    };
    (@each $fresh:expr; $($check:ident)*) => {$(
        #[tokio::test]
        async fn $check() {
            let mut harness = $fresh();
            $crate::store::conformance::$check(&mut harness).await;
        }
    )*};
}
