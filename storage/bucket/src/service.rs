//! Asking an S3-compatible service about its bucket, and changing it.
use crate::access::{Access, told};
use crate::error::Error;
use crate::rules::{
    ABORT_DAYS, Answer, Encryption, Lifecycle, Observed, Step, VERSION_DAYS, Versioning,
};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    BucketVersioningStatus, CreateBucketConfiguration, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectLockConfiguration, ObjectLockEnabled,
    ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, PublicAccessBlockConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule, VersioningConfiguration,
};
use storage::env::Timestamp;
use storage::object::Name;

/// The id of our rule among the bucket's.
const RULE: &str = "stratamq";
/// The region whose name a new bucket must not be given.
const FIRST_REGION: &str = "us-east-1";

/// The control plane of one bucket.
#[derive(Clone)]
pub(crate) struct Service {
    client: Client,
    bucket: String,
    prefix: Option<Name>,
    region: Option<String>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The step.
    pub step: Step,
    /// How it went.
    pub outcome: Outcome,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be now.
    Done,
    /// The service does not do this; why.
    Unsupported(String),
    /// The credentials may not; what to allow, and what was said.
    Denied {
        /// The permission, as policies call it.
        permission: &'static str,
        /// What the service said.
        said: String,
    },
}

impl Service {
    /// The control plane of `bucket`; rules are made for what begins with `prefix`.
    pub(crate) fn new(access: &Access, bucket: &str, prefix: Option<Name>) -> Service {
        // Services that are not AWS rarely have a host name per bucket.
        let elsewhere = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"];
        let path_style = access.config.endpoint_url().is_some()
            || elsewhere.iter().any(|name| std::env::var_os(name).is_some());
        let config =
            aws_sdk_s3::config::Builder::from(&access.config).force_path_style(path_style).build();
        Service {
            client: Client::from_conf(config),
            bucket: bucket.to_owned(),
            prefix,
            region: access.config.region().map(ToString::to_string),
        }
    }

    /// The bucket as it is; `None` when there is none.
    ///
    /// # Errors
    /// When the service is not reached, or the credentials may not even ask for the bucket.
    pub(crate) async fn observe(&self) -> Result<Option<Observed>, Error> {
        let Some(region) = self.region_of_bucket().await? else { return Ok(None) };
        Ok(Some(Observed {
            region,
            versioning: self.versioning().await?,
            lifecycle: self.lifecycle().await?,
            encryption: self.encryption().await?,
            private: self.private().await?,
            object_lock: self.object_lock().await?,
        }))
    }

    /// Takes a step. What the service or the credentials do not allow is an outcome, except where
    /// the bucket itself cannot be made.
    ///
    /// # Errors
    /// When the service is not reached, or the bucket cannot be made.
    pub(crate) async fn take(&self, step: Step) -> Result<Taken, Error> {
        let (permission, asked) = match step {
            Step::Make { object_lock } => return self.make(object_lock).await,
            Step::MakeFolder => {
                let outcome = Outcome::Unsupported("a service has no folders".to_owned());
                return Ok(Taken { step, outcome });
            }
            Step::BlockPublicAccess => {
                ("s3:PutBucketPublicAccessBlock", self.block_public_access().await)
            }
            Step::Encrypt => ("s3:PutEncryptionConfiguration", self.encrypt().await),
            Step::KeepVersions => ("s3:PutBucketVersioning", self.keep_versions().await),
            Step::ClearAway => ("s3:PutLifecycleConfiguration", self.clear_away().await),
            Step::AllowObjectLock => {
                ("s3:PutBucketObjectLockConfiguration", self.allow_object_lock().await)
            }
        };
        let outcome = match asked {
            Ok(()) => Outcome::Done,
            Err(No::Unsupported(said)) => Outcome::Unsupported(said),
            Err(No::Denied(said)) => Outcome::Denied { permission, said },
            Err(No::Anonymous) => return Err(Error::NoCredentials),
            Err(No::Other { said, status, .. }) => {
                return Err(self.failed("change the settings of", said, status));
            }
        };
        Ok(Taken { step, outcome })
    }

    fn failed(&self, what: &'static str, said: String, status: Option<u16>) -> Error {
        Error::Failed { what, bucket: self.bucket.clone(), said, reached: status.is_some() }
    }

    async fn region_of_bucket(&self) -> Result<Option<Answer<String>>, Error> {
        match self.client.head_bucket().bucket(&self.bucket).send().await.map_err(no) {
            Ok(head) => {
                let region = head.bucket_region().map(str::to_owned).or(self.region.clone());
                let none = || Answer::Unanswered("it names none".to_owned());
                Ok(Some(region.map_or_else(none, Answer::Is)))
            }
            Err(No::Other { status: Some(404), .. }) => Ok(None),
            Err(No::Denied(said)) => Err(Error::Denied {
                what: "look at",
                bucket: self.bucket.clone(),
                permission: "s3:ListBucket",
                said,
            }),
            Err(No::Unsupported(said)) => Ok(Some(Answer::Unanswered(said))),
            Err(No::Anonymous) => Err(Error::NoCredentials),
            Err(No::Other { status: Some(301), .. }) => Err(self.failed(
                "show the settings of",
                "it is in another region: set AWS_REGION to it".to_owned(),
                Some(301),
            )),
            Err(No::Other { said, status, .. }) => {
                Err(self.failed("show the settings of", said, status))
            }
        }
    }

    async fn versioning(&self) -> Result<Answer<Versioning>, Error> {
        let asked = self.client.get_bucket_versioning().bucket(&self.bucket).send().await;
        self.answer(asked.map_err(no), None, |found| match found.status() {
            Some(BucketVersioningStatus::Enabled) => Versioning::On,
            Some(_) => Versioning::Suspended,
            None => Versioning::Off,
        })
    }

    async fn lifecycle(&self) -> Result<Answer<Lifecycle>, Error> {
        let asked =
            self.client.get_bucket_lifecycle_configuration().bucket(&self.bucket).send().await;
        let none = ("NoSuchLifecycleConfiguration", Lifecycle::default());
        let prefix = self.prefix.as_ref().map_or("", Name::as_str);
        self.answer(asked.map_err(no), Some(none), |found| lifecycle(found.rules(), prefix))
    }

    async fn encryption(&self) -> Result<Answer<Encryption>, Error> {
        let asked = self.client.get_bucket_encryption().bucket(&self.bucket).send().await;
        let none = ("ServerSideEncryptionConfigurationNotFoundError", Encryption::Off);
        self.answer(asked.map_err(no), Some(none), |found| {
            let rules = found.server_side_encryption_configuration().map(|of| of.rules());
            let by = rules.unwrap_or_default().iter().find_map(|rule| {
                let default = rule.apply_server_side_encryption_by_default()?;
                Some(default.sse_algorithm().as_str().to_owned())
            });
            by.map_or(Encryption::Off, Encryption::By)
        })
    }

    async fn private(&self) -> Result<Answer<bool>, Error> {
        let asked = self.client.get_public_access_block().bucket(&self.bucket).send().await;
        let none = ("NoSuchPublicAccessBlockConfiguration", false);
        self.answer(asked.map_err(no), Some(none), |found| {
            found.public_access_block_configuration().is_some_and(|blocks| {
                let blocks = [
                    blocks.block_public_acls(),
                    blocks.ignore_public_acls(),
                    blocks.block_public_policy(),
                    blocks.restrict_public_buckets(),
                ];
                blocks.iter().all(|block| *block == Some(true))
            })
        })
    }

    async fn object_lock(&self) -> Result<Answer<bool>, Error> {
        let asked = self.client.get_object_lock_configuration().bucket(&self.bucket).send().await;
        let none = ("ObjectLockConfigurationNotFoundError", false);
        self.answer(asked.map_err(no), Some(none), |found| {
            let enabled = found.object_lock_configuration().and_then(|of| of.object_lock_enabled());
            enabled == Some(&ObjectLockEnabled::Enabled)
        })
    }

    /// An answer, or that there is none; `none` is the code by which the service says that nothing
    /// is set.
    fn answer<T, A>(
        &self,
        asked: Result<A, No>,
        none: Option<(&str, T)>,
        read: impl FnOnce(A) -> T,
    ) -> Result<Answer<T>, Error> {
        match (asked, none) {
            (Ok(found), _) => Ok(Answer::Is(read(found))),
            (Err(No::Other { code: Some(code), .. }), Some((unset, value))) if code == unset => {
                Ok(Answer::Is(value))
            }
            (Err(No::Unsupported(said) | No::Denied(said)), _) => Ok(Answer::Unanswered(said)),
            (Err(No::Anonymous), _) => Err(Error::NoCredentials),
            (Err(No::Other { said, status, .. }), _) => {
                Err(self.failed("show the settings of", said, status))
            }
        }
    }

    /// Whether objects can be locked.
    ///
    /// # Errors
    /// When there is no such bucket, or the service is not reached.
    pub(crate) async fn can_lock(&self) -> Result<bool, Error> {
        match self.region_of_bucket().await? {
            Some(_) => Ok(self.object_lock().await? == Answer::Is(true)),
            None => Err(Error::Missing { bucket: self.bucket.clone() }),
        }
    }

    /// Until when nobody can delete an object; `None` where somebody can. Asked by a HEAD: some
    /// services answer the question for the lock alone in a form that the SDK does not read.
    ///
    /// # Errors
    /// When there is no such object, the credentials may not, or the service is not reached.
    pub(crate) async fn locked_until(&self, name: &Name) -> Result<Option<Timestamp>, Error> {
        let asked = self.client.head_object().bucket(&self.bucket).key(self.key(name));
        match asked.send().await.map_err(no) {
            Ok(found) => Ok(compliance(&found)),
            Err(refused) => Err(self.refused("tell the lock of", "s3:GetObject", refused)),
        }
    }

    /// Locks an object until a time, which may not be earlier than that of a lock that it has.
    ///
    /// # Errors
    /// As [`Service::locked_until`], and when it is locked for longer.
    pub(crate) async fn lock_until(&self, name: &Name, until: Timestamp) -> Result<(), Error> {
        let until = i64::try_from(until.0 / 1000).unwrap_or(i64::MAX);
        let lock = ObjectLockRetention::builder()
            .mode(ObjectLockRetentionMode::Compliance)
            .retain_until_date(DateTime::from_secs(until));
        let put = self.client.put_object_retention().bucket(&self.bucket).key(self.key(name));
        let asked = put.retention(lock.build()).send().await.map(drop).map_err(no);
        asked.map_err(|refused| self.refused("lock", "s3:PutObjectRetention", refused))
    }

    /// The key of an object of the store.
    fn key(&self, name: &Name) -> String {
        self.prefix.as_ref().map_or(name.to_string(), |prefix| format!("{prefix}/{name}"))
    }

    fn refused(&self, what: &'static str, permission: &'static str, refused: No) -> Error {
        let bucket = self.bucket.clone();
        match refused {
            No::Denied(said) => Error::DeniedObject { what, bucket, permission, said },
            No::Anonymous => Error::NoCredentials,
            No::Unsupported(said) => Error::FailedObject { what, bucket, said, reached: true },
            No::Other { said, status, .. } => {
                Error::FailedObject { what, bucket, said, reached: status.is_some() }
            }
        }
    }

    async fn make(&self, object_lock: bool) -> Result<Taken, Error> {
        let place = self.region.as_deref().filter(|region| *region != FIRST_REGION).map(|region| {
            let place = BucketLocationConstraint::from(region);
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let made = self
            .client
            .create_bucket()
            .bucket(&self.bucket)
            .set_create_bucket_configuration(place)
            .set_object_lock_enabled_for_bucket(object_lock.then_some(true))
            .send()
            .await;
        let what = "make";
        match made.map_err(no) {
            Ok(_) => {}
            Err(No::Other { code: Some(code), .. }) if code == "BucketAlreadyOwnedByYou" => {}
            Err(No::Other { code: Some(code), .. }) if code == "BucketAlreadyExists" => {
                return Err(Error::Taken { bucket: self.bucket.clone() });
            }
            Err(No::Denied(said)) => {
                let (bucket, permission) = (self.bucket.clone(), "s3:CreateBucket");
                return Err(Error::Denied { what, bucket, permission, said });
            }
            Err(No::Anonymous) => return Err(Error::NoCredentials),
            Err(No::Unsupported(said)) => return Err(self.failed(what, said, Some(501))),
            Err(No::Other { said, status, .. }) => return Err(self.failed(what, said, status)),
        }
        Ok(Taken { step: Step::Make { object_lock }, outcome: Outcome::Done })
    }

    async fn block_public_access(&self) -> Result<(), No> {
        let blocks = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true)
            .build();
        let put = self.client.put_public_access_block().bucket(&self.bucket);
        put.public_access_block_configuration(blocks).send().await.map(drop).map_err(no)
    }

    async fn encrypt(&self) -> Result<(), No> {
        let by = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(ServerSideEncryption::Aes256)
            .build()
            .map_err(built)?;
        let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(by);
        let rules = ServerSideEncryptionConfiguration::builder().rules(rule.build());
        let put = self.client.put_bucket_encryption().bucket(&self.bucket);
        let rules = rules.build().map_err(built)?;
        put.server_side_encryption_configuration(rules).send().await.map(drop).map_err(no)
    }

    async fn keep_versions(&self) -> Result<(), No> {
        let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let put = self.client.put_bucket_versioning().bucket(&self.bucket);
        put.versioning_configuration(on).send().await.map(drop).map_err(no)
    }

    /// Other people's rules stay: a PUT replaces all of them, so they are asked for first.
    async fn clear_away(&self) -> Result<(), No> {
        let asked =
            self.client.get_bucket_lifecycle_configuration().bucket(&self.bucket).send().await;
        let mut rules = match asked.map_err(no) {
            Ok(found) => found.rules().to_vec(),
            Err(No::Other { code: Some(code), .. }) if code == "NoSuchLifecycleConfiguration" => {
                Vec::new()
            }
            Err(refused) => return Err(refused),
        };
        rules.retain(|rule| rule.id() != Some(RULE));
        rules.push(our_rule(self.prefix.as_ref())?);
        let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules));
        let put = self.client.put_bucket_lifecycle_configuration().bucket(&self.bucket);
        let rules = rules.build().map_err(built)?;
        put.lifecycle_configuration(rules).send().await.map(drop).map_err(no)
    }

    async fn allow_object_lock(&self) -> Result<(), No> {
        let on = ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled);
        let put = self.client.put_object_lock_configuration().bucket(&self.bucket);
        put.object_lock_configuration(on.build()).send().await.map(drop).map_err(no)
    }
}

/// Until when the lock holds that nobody lifts.
fn compliance(found: &HeadObjectOutput) -> Option<Timestamp> {
    let holds = found.object_lock_mode() == Some(&ObjectLockMode::Compliance);
    let until = found.object_lock_retain_until_date()?.to_millis().ok()?;
    u64::try_from(until).ok().filter(|_| holds).map(Timestamp)
}

fn our_rule(prefix: Option<&Name>) -> Result<LifecycleRule, No> {
    let aborts =
        AbortIncompleteMultipartUpload::builder().days_after_initiation(ABORT_DAYS).build();
    let versions = NoncurrentVersionExpiration::builder().noncurrent_days(VERSION_DAYS).build();
    // An empty prefix is the whole bucket.
    let begins = prefix.map_or(String::new(), |prefix| format!("{prefix}/"));
    LifecycleRule::builder()
        .id(RULE)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix(begins).build())
        .abort_incomplete_multipart_upload(aborts)
        .noncurrent_version_expiration(versions)
        .build()
        .map_err(built)
}

/// What the rules do to everything below `prefix`; a rule for a part of it, or for what has a tag,
/// cannot be relied on, but can lose objects.
fn lifecycle(rules: &[LifecycleRule], prefix: &str) -> Lifecycle {
    let mut found = Lifecycle::default();
    let least = |a: Option<i32>, b: Option<i32>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    for rule in rules.iter().filter(|rule| *rule.status() == ExpirationStatus::Enabled) {
        let begins = begins_with(rule);
        let below = format!("{prefix}/");
        let covers = prefix.is_empty() && begins.is_empty() || below.starts_with(begins);
        let touches = covers || begins.starts_with(&below) || prefix.is_empty();
        let narrowed = rule.filter().is_some_and(|filter| filter.tag().is_some());
        if covers && !narrowed {
            let aborts = rule.abort_incomplete_multipart_upload();
            let aborts = aborts.and_then(AbortIncompleteMultipartUpload::days_after_initiation);
            found.aborts_after_days = least(found.aborts_after_days, aborts);
            let versions = rule.noncurrent_version_expiration();
            let versions = versions.and_then(NoncurrentVersionExpiration::noncurrent_days);
            found.versions_end_after_days = least(found.versions_end_after_days, versions);
        }
        if touches {
            let objects = rule.expiration().and_then(|expiration| expiration.days());
            found.objects_end_after_days = least(found.objects_end_after_days, objects);
        }
    }
    found
}

/// What the names begin with that a rule is for.
fn begins_with(rule: &LifecycleRule) -> &str {
    let filter = rule.filter();
    let and = filter.and_then(LifecycleRuleFilter::and).and_then(|and| and.prefix());
    #[expect(deprecated, reason = "old rules have their prefix here")]
    let old = rule.prefix();
    filter.and_then(LifecycleRuleFilter::prefix).or(and).or(old).unwrap_or_default()
}

/// A question that was not answered as hoped.
#[derive(Debug)]
enum No {
    Unsupported(String),
    Denied(String),
    /// Nobody was asked.
    Anonymous,
    Other {
        code: Option<String>,
        status: Option<u16>,
        said: String,
    },
}

/// Whether it failed before anybody was asked, for want of credentials.
fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(at) = cause {
        if at.is::<CredentialsError>() {
            return true;
        }
        cause = at.source();
    }
    false
}

fn built(error: aws_sdk_s3::error::BuildError) -> No {
    No::Other { code: None, status: None, said: told(&error) }
}

fn no<E>(error: SdkError<E>) -> No
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if lacks_credentials(&error) {
        return No::Anonymous;
    }
    let code = error.code().map(str::to_owned);
    let status = error.raw_response().map(|response| response.status().as_u16());
    let said = match (&code, error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.clone(),
        (None, _) => match status {
            Some(status) => format!("status {status}"),
            None => told(&error),
        },
    };
    match (code.as_deref(), status) {
        (
            Some(
                "NotImplemented" | "MethodNotAllowed" | "UnsupportedOperation" | "XNotImplemented",
            ),
            _,
        )
        | (_, Some(405 | 501)) => No::Unsupported(said),
        (Some("AccessDenied" | "AllAccessDisabled"), _) | (None, Some(401 | 403)) => {
            No::Denied(said)
        }
        _ => No::Other { code, status, said },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::LifecycleExpiration;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn our_rule_does_what_it_should_for_our_prefix() {
        for (prefix, rule_of) in [("", None), ("mq", Some(name("mq"))), ("mq/a", Some(name("mq")))]
        {
            let rule = our_rule(rule_of.as_ref()).unwrap();
            let found = lifecycle(&[rule], prefix);
            assert_eq!(found.aborts_after_days, Some(ABORT_DAYS), "{prefix:?}");
            assert_eq!(found.versions_end_after_days, Some(VERSION_DAYS));
            assert_eq!(found.objects_end_after_days, None);
        }
    }

    #[test]
    fn a_rule_for_others_does_not_count() {
        for prefix in ["", "mq", "other-and-more"] {
            let rule = our_rule(Some(&name("other"))).unwrap();
            assert_eq!(lifecycle(&[rule], prefix).aborts_after_days, None, "{prefix:?}");
        }
    }

    #[test]
    fn a_rule_that_loses_objects_is_seen_even_where_it_is_for_a_part() {
        let rule = |begins: &str| {
            LifecycleRule::builder()
                .status(ExpirationStatus::Enabled)
                .filter(LifecycleRuleFilter::builder().prefix(begins).build())
                .expiration(LifecycleExpiration::builder().days(30).build())
                .build()
                .unwrap()
        };
        for (begins, prefix, lost) in [
            ("", "mq", Some(30)),
            ("mq/l0/", "mq", Some(30)),
            ("mq/l0/", "", Some(30)),
            ("other/", "mq", None),
            ("mq-old/", "mq", None),
        ] {
            let found = lifecycle(&[rule(begins)], prefix);
            assert_eq!(found.objects_end_after_days, lost, "{begins:?} {prefix:?}");
        }
    }
}
