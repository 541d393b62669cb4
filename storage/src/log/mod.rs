//! A placement group's log as its owner sees it.
mod answer;

pub use answer::{Appended, Bounds, Entry, Place, ReadError, RecordView, Refused};
