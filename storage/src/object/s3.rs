//! How an S3-compatible service is reached.
//!
//! Requests are repeated by [`super::Bucket`], so the client library repeats none: otherwise the
//! two would multiply, and a request could not be counted where it is made. Bodies are signed, so
//! that the service refuses one that was changed or cut on the way.
use super::Error;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredentialProvider};
use object_store::{ClientOptions, RetryConfig};
use std::time::Duration;

/// Time to make a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Idle connections are closed after this; services close theirs after some 20 s.
const IDLE_TIME_MAX: Duration = Duration::from_secs(15);

/// How a service is reached and who asks, where the environment's variables do not say all of it.
#[derive(Clone, Debug, Default)]
pub struct S3Access {
    /// Instead of those of the environment.
    pub credentials: Option<AwsCredentialProvider>,
    /// Instead of `AWS_REGION`.
    pub region: Option<String>,
    /// Instead of `AWS_ENDPOINT_URL`.
    pub endpoint: Option<String>,
}

/// A client for `bucket`. What `access` does not say, endpoint, region, and keys, web identity,
/// container or instance role, comes from the `AWS_` variables.
pub(super) fn open(bucket: &str, access: S3Access) -> Result<AmazonS3, Error> {
    // TLS asks for a provider of the whole process; a second installation is refused, and right.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let options = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIME_MAX)
        .with_pool_idle_timeout(IDLE_TIME_MAX)
        // Each attempt has a deadline of its own.
        .with_timeout_disabled()
        // Whoever sets an http:// endpoint means it.
        .with_allow_http(true);
    let mut builder = AmazonS3Builder::from_env()
        .with_client_options(options)
        .with_bucket_name(bucket)
        .with_retry(retry);
    if let Some(credentials) = access.credentials {
        builder = builder.with_credentials(credentials);
    }
    if let Some(region) = access.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = access.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build().map_err(|error| Error::Open(error.to_string()))
}
