//! What operators see: counts and rates per placement group, topic and consumer group, the times of
//! requests, and the metrics that they make.
//!
//! Features and fronts count in [`Stats`]; the HTTP front gathers and writes an [`Exposition`]. All
//! metrics are named in [`names`]. The fields of
//! traces are in [`spans`]. Nothing here knows the features.
mod days;
mod exposition;
pub mod names;
mod rates;
mod requests;
pub mod spans;
mod stats;
mod traffic;

pub use days::Mornings;
pub use exposition::{CONTENT_TYPE, Exposition, Family};
pub use rates::Rates;
pub use requests::Request;
pub use stats::{PgStats, Stats};
pub use traffic::{Delivered, Deliveries, Sent, Tally};
