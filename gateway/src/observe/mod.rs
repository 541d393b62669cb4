//! What operators see: counts and rates per placement group, and whether this gateway is healthy.
mod days;
mod rates;
mod stats;

pub use days::Mornings;
pub use rates::Rates;
pub use stats::{PgStats, Stats};
