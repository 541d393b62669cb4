//! How the service is reached and who asks: the usual AWS chain, for both planes.
use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use object_store::CredentialProvider;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use storage::env::{Env, Timestamp};
use storage::object::{AwsCredential, S3Access};
use tokio::sync::Mutex;

/// One question to the control plane, repeated ones and all.
const OPERATION_TIME_MAX: Duration = Duration::from_secs(20);
/// Time to make a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Credentials are asked for anew this long before they end: longer than any request lasts.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// What the environment says of how to reach a service: endpoint, region, and credentials from the
/// environment, the profile files, web identity, the container or the instance, in this order.
#[derive(Clone, Debug)]
pub struct Access {
    pub(crate) config: SdkConfig,
    env: Env,
}

impl Access {
    /// Reads the environment and the profile files; asks nobody yet.
    pub async fn of_environment(env: Env) -> Access {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(OPERATION_TIME_MAX)
            .connect_timeout(CONNECT_TIME_MAX)
            .build();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .load()
            .await;
        Access { config, env }
    }

    /// The same for the data plane, whose library knows no profiles by itself.
    pub fn for_data(&self) -> S3Access {
        let credentials = self.config.credentials_provider().map(|chain| {
            let lent = Lent { chain, env: self.env.clone(), kept: Mutex::new(None) };
            Arc::new(lent) as _
        });
        S3Access {
            credentials,
            region: self.config.region().map(ToString::to_string),
            endpoint: self.config.endpoint_url().map(str::to_owned),
        }
    }
}

/// The SDK's chain, lent to the data plane. Keeps credentials until shortly before they end.
struct Lent {
    chain: SharedCredentialsProvider,
    env: Env,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    credential: Arc<AwsCredential>,
    /// `None` for those that do not end.
    renew_at: Option<Timestamp>,
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the AWS credentials chain")
    }
}

#[async_trait]
impl CredentialProvider for Lent {
    type Credential = AwsCredential;

    /// Who comes while they are asked for waits for the one answer.
    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = &*kept
            && kept.renew_at.is_none_or(|renew_at| self.env.now() < renew_at)
        {
            return Ok(Arc::clone(&kept.credential));
        }
        let fresh = self.chain.provide_credentials().await.map_err(|error| {
            // The data plane knows this text for what it is.
            let source = format!("<Code>NoCredentials</Code><Message>{}</Message>", told(&error));
            object_store::Error::Generic { store: "S3", source: source.into() }
        })?;
        let fresh = Kept::of(&fresh);
        let credential = Arc::clone(&fresh.credential);
        *kept = Some(fresh);
        Ok(credential)
    }
}

impl Kept {
    fn of(from: &Credentials) -> Kept {
        let credential = AwsCredential {
            key_id: from.access_key_id().to_owned(),
            secret_key: from.secret_access_key().to_owned(),
            token: from.session_token().map(str::to_owned),
        };
        let renew_at = from.expiry().map(|end| {
            let renewed = end.duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::default().plus(renewed.saturating_sub(RENEWED_BEFORE))
        });
        Kept { credential: Arc::new(credential), renew_at }
    }
}

/// An error with its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(at) = cause {
        let said = at.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = at.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::provider::{error::CredentialsError, future};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::SystemTime;
    use storage::env::ManualClock;

    /// Gives credentials that end at a time, and counts how often.
    #[derive(Debug)]
    struct Counted {
        asked: Arc<AtomicU32>,
        ends: Option<SystemTime>,
    }

    impl ProvideCredentials for Counted {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let turn = self.asked.fetch_add(1, Ordering::SeqCst);
            let key = format!("key-{turn}");
            let found =
                Credentials::new(key, "secret", Some("token".to_owned()), self.ends, "test");
            future::ProvideCredentials::ready(Ok(found))
        }
    }

    #[derive(Debug)]
    struct Nobody;

    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none")))
        }
    }

    fn lent(chain: impl ProvideCredentials + 'static, env: Env) -> Lent {
        Lent { chain: SharedCredentialsProvider::new(chain), env, kept: Mutex::new(None) }
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_end() {
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let ends = Some(UNIX_EPOCH + Duration::from_secs(3_600));
        let asked = Arc::new(AtomicU32::new(0));
        let chain = Counted { asked: Arc::clone(&asked), ends };
        let lent = lent(chain, Env::with_clock(Arc::clone(&clock) as _));
        for _ in 0..3 {
            let credential = lent.get_credential().await.unwrap();
            assert_eq!(
                (&*credential.key_id, credential.token.as_deref()),
                ("key-0", Some("token"))
            );
        }
        clock.advance(Duration::from_secs(3_300));
        assert_eq!(lent.get_credential().await.unwrap().key_id, "key-1");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn credentials_that_do_not_end_are_asked_for_once() {
        let asked = Arc::new(AtomicU32::new(0));
        let chain = Counted { asked: Arc::clone(&asked), ends: None };
        let lent = lent(chain, Env::system());
        for _ in 0..3 {
            lent.get_credential().await.unwrap();
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_machine_without_credentials_is_told_how_to_get_some() {
        let credentials = Some(Arc::new(lent(Nobody, Env::system())) as _);
        let access = S3Access { credentials, region: None, endpoint: None };
        let url = "s3://bucket".parse().unwrap();
        let bucket = storage::object::Bucket::open(&url, Some(access), Env::system()).unwrap();
        let error = bucket.probe().await.unwrap_err().to_string();
        assert!(error.contains("set AWS_ACCESS_KEY_ID"), "{error}");
    }
}
