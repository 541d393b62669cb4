//! The bucket against a real S3-compatible service: `tests/s3/run` starts one and says where it is.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use object_store::StaticCredentialProvider;
use std::sync::Arc;
use storage::env::Env;
use storage::object::{AwsCredential, Bucket, Error, Refusal, S3Access, StoreUrl};

/// The store to test against; `None` where there is none.
fn url() -> Option<StoreUrl> {
    match std::env::var("STRATAMQ_TEST_STORE") {
        Ok(url) => Some(url.parse().unwrap()),
        Err(_) => {
            println!("SKIPPED: STRATAMQ_TEST_STORE names no store; see tests/s3/run");
            None
        }
    }
}

async fn open() -> Option<(Bucket, ())> {
    Some((Bucket::open(&url()?, None, Env::system()).unwrap(), ()))
}

storage::bucket_conformance!(open());

/// What a start says of a store that says no.
async fn refusal(url: &StoreUrl, access: Option<S3Access>) -> Refusal {
    let bucket = Bucket::open(url, access, Env::system()).unwrap();
    let error = bucket.probe().await.unwrap_err();
    let Error::Refused { refusal, .. } = error else { panic!("{error}") };
    refusal
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_to_be_missing() {
    if url().is_some() {
        let missing = "s3://stratamq-no-such-bucket/x".parse().unwrap();
        assert_eq!(refusal(&missing, None).await, Refusal::NoBucket);
    }
}

#[tokio::test]
async fn a_wrong_key_is_said_to_be_wrong() {
    let Some(url) = url() else { return };
    let (key_id, secret) = (std::env::var("AWS_ACCESS_KEY_ID").unwrap(), "wrong".to_owned());
    for key_id in [key_id, "AKIAUNKNOWN".to_owned()] {
        let credential = AwsCredential { key_id, secret_key: secret.clone(), token: None };
        let credentials = Some(Arc::new(StaticCredentialProvider::new(credential)) as _);
        let access = S3Access { credentials, ..S3Access::default() };
        let refusal = refusal(&url, Some(access)).await;
        assert!(matches!(refusal, Refusal::Key(_)), "{refusal:?}");
    }
}
