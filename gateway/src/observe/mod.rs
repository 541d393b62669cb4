//! What operators see: counts and rates per placement group, and whether this gateway is healthy.
mod rates;
mod stats;

pub use rates::Rates;
pub use stats::{PgStats, Stats};
