//! What is done to a whole topic and needs more than the catalog: deleting it, which its lock may
//! forbid, and cloning it.
//!
//! A clone refers to messages where they lie in the bucket ([`metadata::model::Origin`]). So the
//! order is: work out what it would show, wait until all of that is in the bucket, make it, let the
//! logs know its queues, then put groups where they are in the source. Whatever ends in between
//! leaves a clone that the same request finishes.
//!
//! `share` alone asks where messages are: which were there at a time, and whether the bucket has
//! them.
mod clone;
mod delete;
mod newest;
mod refused;
mod share;
#[cfg(test)]
mod tests;

pub(crate) use clone::{CloneOrder, clone_topic};
pub(crate) use delete::delete_topic;
pub(crate) use newest::stored_at;
pub(crate) use refused::CloneRefused;
