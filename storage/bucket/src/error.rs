//! Why a bucket cannot be checked or made.

/// Why the control plane cannot say or do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such bucket.
    #[error("there is no bucket {bucket}")]
    Missing {
        /// The bucket.
        bucket: String,
    },
    /// The credentials may not.
    #[error(
        "the credentials may not {what} bucket {bucket}: allow {permission}, or use others ({said})"
    )]
    Denied {
        /// What was tried.
        what: &'static str,
        /// The bucket.
        bucket: String,
        /// The permission, as policies call it.
        permission: &'static str,
        /// What the service said.
        said: String,
    },
    /// The machine has no credentials.
    #[error("this machine has no credentials for the service")]
    NoCredentials,
    /// The name is somebody else's.
    #[error("bucket {bucket} belongs to somebody else: all share bucket names, take another")]
    Taken {
        /// The bucket.
        bucket: String,
    },
    /// The service did not answer, or not this.
    #[error("the service does not {what} bucket {bucket}: {said}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// The bucket.
        bucket: String,
        /// What the service said, or why it was not reached.
        said: String,
        /// Whether it answered at all.
        reached: bool,
    },
    /// The credentials may not do this to an object.
    #[error(
        "the credentials may not {what} objects of bucket {bucket}: allow {permission}, or use \
         others ({said})"
    )]
    DeniedObject {
        /// What was tried.
        what: &'static str,
        /// The bucket.
        bucket: String,
        /// The permission, as policies call it.
        permission: &'static str,
        /// What the service said.
        said: String,
    },
    /// The service did not answer about an object, or not this.
    #[error("the service does not {what} an object of bucket {bucket}: {said}")]
    FailedObject {
        /// What was tried.
        what: &'static str,
        /// The bucket.
        bucket: String,
        /// What the service said, or why it was not reached.
        said: String,
        /// Whether it answered at all.
        reached: bool,
    },
    /// The data plane.
    #[error(transparent)]
    Store(#[from] storage::object::Error),
}
