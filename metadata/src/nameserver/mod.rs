//! Where a topic is: the name server's answers, worked out from the catalog.
//!
//! Addresses are not in them: each front knows under which address it answers for a broker.
mod route;

pub use route::{BrokerRoute, Route, route};
