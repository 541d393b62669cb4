//! A folder of this machine as a bucket.
use crate::rules::{Finding, Verdict};
use nix::sys::statvfs::statvfs;
use std::path::Path;
use std::time::Duration;
use storage::env::Env;
use storage::object::{Bucket, Error, StoreUrl};

/// Less room than this, in bytes, and a broker's first hour may not fit.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// A sync that takes longer slows down every upload.
const SYNC_TIME_GOOD: Duration = Duration::from_millis(100);

/// How the folder stands: whether it is there, takes files, syncs them, and has room. What is not
/// there is not made.
///
/// # Errors
/// When the folder takes no files; the error says what to do.
pub(crate) async fn check_folder(folder: &Path, env: &Env) -> Result<Vec<Finding>, Error> {
    const WHAT: &str = "folder";
    if !folder.is_dir() {
        let is = if folder.exists() { "no folder" } else { "missing" };
        let advice = "stratamq store create makes it";
        return Ok(vec![Finding::of(WHAT, is, Verdict::Wrong, advice)]);
    }
    let shown = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let bucket = Bucket::open(&StoreUrl::Folder(folder.to_owned()), None, env.clone())?;
    let found = bucket.probe().await?;
    let mut findings = vec![
        Finding::good(WHAT, shown.display().to_string()),
        room(folder),
        synced(found.put_time),
    ];
    if !found.create_only {
        findings.push(Finding::of(
            "files",
            "are replaced where they should be refused",
            Verdict::Wrong,
            "the file system has no hard links: take another",
        ));
    }
    Ok(findings)
}

/// Makes the folder, and those above it.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn create_folder(folder: &Path, env: &Env) -> Result<(), Error> {
    Bucket::open(&StoreUrl::Folder(folder.to_owned()), None, env.clone()).map(drop)
}

fn room(folder: &Path) -> Finding {
    const WHAT: &str = "free space";
    let free = match statvfs(folder) {
        Ok(of) => wide(of.blocks_available()).saturating_mul(wide(of.fragment_size())),
        Err(error) => {
            return Finding::of(WHAT, "unknown", Verdict::Unanswered, error.to_string());
        }
    };
    let is = format!("{} MiB", free >> 20);
    if free < FREE_BYTES_MIN {
        let advice = "everything that is ever sent stays here: give it room";
        return Finding::of(WHAT, is, Verdict::Better, advice);
    }
    Finding::good(WHAT, is)
}

/// The operating systems differ in the width of these numbers.
fn wide(n: impl Into<u64>) -> u64 {
    n.into()
}

fn synced(time: Duration) -> Finding {
    const WHAT: &str = "sync";
    let is = format!("a small object is stored and synced in {} ms", time.as_millis().max(1));
    if time > SYNC_TIME_GOOD {
        return Finding::of(WHAT, is, Verdict::Better, "a disk that syncs faster is better");
    }
    Finding::good(WHAT, is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_made_once_and_then_good() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, env) = (dir.path().join("a/b"), Env::system());
        let missing = check_folder(&folder, &env).await.unwrap();
        assert_eq!(missing.first().map(|finding| finding.verdict), Some(Verdict::Wrong));
        assert!(!folder.exists(), "a look makes nothing");
        for _ in 0..2 {
            create_folder(&folder, &env).unwrap();
        }
        let findings = check_folder(&folder, &env).await.unwrap();
        assert!(findings.iter().all(|finding| finding.verdict != Verdict::Wrong), "{findings:?}");
        let left = std::fs::read_dir(folder.join("probe")).unwrap().count();
        assert_eq!(left, 0, "nothing stays behind");
    }

    #[tokio::test]
    async fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let findings = check_folder(file.path(), &Env::system()).await.unwrap();
        let is = findings.first().map(|finding| finding.is.as_str());
        assert_eq!(is, Some("no folder"));
    }
}
