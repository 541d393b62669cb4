//! A whole store, folder or bucket: how it stands, and making it so.
use crate::access::Access;
use crate::error::Error;
use crate::folder::{check_folder, create_folder};
use crate::rules::{Finding, Step, Verdict, Wanted, findings, steps};
use crate::service::{Outcome, Service, Taken};
use storage::env::Env;
use storage::object::{Bucket, Capabilities, StoreUrl};

/// How the store at `url` stands. Stores, reads and deletes a small object in it, and changes
/// nothing else.
///
/// # Errors
/// When the store is not there, not reached, or does not take objects.
pub async fn check(url: &StoreUrl, wanted: Wanted, env: &Env) -> Result<Vec<Finding>, Error> {
    let (bucket, prefix) = match url {
        StoreUrl::Folder(folder) => return Ok(check_folder(folder, env).await?),
        StoreUrl::S3 { bucket, prefix } => (bucket, prefix),
    };
    let access = Access::of_environment(env.clone()).await;
    let service = Service::new(&access, bucket, prefix.clone());
    let observed = service.observe().await?;
    let observed = observed.ok_or_else(|| Error::Missing { bucket: bucket.clone() })?;
    let mut all = findings(&observed, wanted);
    let data = Bucket::open(url, Some(access.for_data()), env.clone())?;
    all.extend(abilities(data.probe().await?));
    Ok(all)
}

/// What [`create`] would do.
///
/// # Errors
/// When the store is not reached.
pub async fn plan(url: &StoreUrl, wanted: Wanted, env: &Env) -> Result<Vec<Step>, Error> {
    match url {
        StoreUrl::Folder(folder) if folder.is_dir() => Ok(Vec::new()),
        StoreUrl::Folder(_) => Ok(vec![Step::MakeFolder]),
        StoreUrl::S3 { bucket, prefix } => {
            let access = Access::of_environment(env.clone()).await;
            let service = Service::new(&access, bucket, prefix.clone());
            Ok(steps(service.observe().await?.as_ref(), wanted))
        }
    }
}

/// Makes the store at `url` where there is none, and sets what is not as it should be.
///
/// # Errors
/// When the store is not reached, or cannot be made; steps before that were taken.
pub async fn create(url: &StoreUrl, wanted: Wanted, env: &Env) -> Result<Vec<Taken>, Error> {
    let steps = plan(url, wanted, env).await?;
    let mut taken = Vec::new();
    match url {
        StoreUrl::Folder(folder) => {
            for step in steps {
                create_folder(folder, env)?;
                taken.push(Taken { step, outcome: Outcome::Done });
            }
        }
        StoreUrl::S3 { bucket, prefix } => {
            let access = Access::of_environment(env.clone()).await;
            let service = Service::new(&access, bucket, prefix.clone());
            for step in steps {
                taken.push(service.take(step).await?);
            }
        }
    }
    Ok(taken)
}

/// What the probe of the data plane found.
fn abilities(found: Capabilities) -> Vec<Finding> {
    let ms = found.put_time.as_millis().max(1);
    let mut findings = vec![Finding::good("data", format!("a small object is stored in {ms} ms"))];
    let able = |what, able: bool, good: &str, bad: &str, advice: &str| {
        if able {
            Finding::good(what, good)
        } else {
            Finding::of(what, bad, Verdict::Better, advice)
        }
    };
    findings.push(able(
        "PUT that only makes",
        found.create_only,
        "honoured",
        "not honoured",
        "it works, with a look before each PUT; a service that honours If-None-Match is safer",
    ));
    findings.push(able(
        "lists",
        found.lists_at_once,
        "show what is stored at once",
        "lag behind",
        "it works; what nothing refers to is found later",
    ));
    findings.push(able("deletes", found.deletes_at_once, "show at once", "lag behind", "it works"));
    findings
}
