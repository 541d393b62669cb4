//! The journal.
mod answer;
mod config;
mod draft;
mod level;

pub use answer::{Copy, Sealed, StoreRefused};
pub use config::{Error, Fill, FillState, StoreConfig, StoreId};
pub use draft::{Class, Draft, Patch};
pub use level::{Level, Lost};
