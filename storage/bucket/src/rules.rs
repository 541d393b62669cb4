//! What a log's bucket should be like. Pure.
//!
//! Objects are immutable and named once, so a bucket needs no versions to be right; they are a net
//! below a person who deletes too much. A net that nobody empties costs money for ever, so versions
//! come with a rule that lets them go. The rule for aborted uploads is not optional: parts of an
//! upload that died with its process are paid for and shown by no list.
use std::fmt;

/// Days after which the parts of an upload that was never finished are dropped. One upload takes
/// minutes; a day is the least there is.
pub(crate) const ABORT_DAYS: i32 = 1;
/// Days that a deleted or replaced version is kept where the bucket keeps versions.
pub(crate) const VERSION_DAYS: i32 = 7;

/// What is asked of the bucket beyond what every bucket needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Topics are to be locked: nobody deletes what is in them before its time.
    pub object_lock: bool,
}

/// What a service said to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    /// This.
    Is(T),
    /// It does not know the question, or does not tell these credentials; why.
    Unanswered(String),
}

/// Whether replaced and deleted objects stay as versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versioning {
    /// They do not, and never did.
    Off,
    /// They do.
    On,
    /// They did; old versions are still there.
    Suspended,
}

/// What the bucket's rules clear away by themselves, of what begins with the store's prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    /// Days after which an unfinished upload is dropped.
    pub(crate) aborts_after_days: Option<i32>,
    /// Days after which a version that is not the present one is dropped.
    pub(crate) versions_end_after_days: Option<i32>,
    /// Days after which objects themselves are dropped: data loss.
    pub(crate) objects_end_after_days: Option<i32>,
}

/// How objects are encrypted when nobody says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// They are not.
    Off,
    /// By this algorithm, as S3 calls it.
    By(String),
}

/// A bucket as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Its region, as the service calls it.
    pub(crate) region: Answer<String>,
    /// Whether versions are kept.
    pub(crate) versioning: Answer<Versioning>,
    /// What is cleared away.
    pub(crate) lifecycle: Answer<Lifecycle>,
    /// How objects are encrypted.
    pub(crate) encryption: Answer<Encryption>,
    /// Whether all four blocks of public access are on.
    pub(crate) private: Answer<bool>,
    /// Whether objects can be locked.
    pub(crate) object_lock: Answer<bool>,
}

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and could be better.
    Better,
    /// It must be changed.
    Wrong,
    /// The service does not say.
    Unanswered,
}

impl Verdict {
    /// A word for it, for scripts.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Better => "better",
            Verdict::Wrong => "wrong",
            Verdict::Unanswered => "unanswered",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What, in a word or two.
    pub what: &'static str,
    /// How it is.
    pub is: String,
    /// How it stands.
    pub verdict: Verdict,
    /// How it should be and what to do; empty when it is good.
    pub advice: String,
}

impl Finding {
    pub(crate) fn good(what: &'static str, is: impl Into<String>) -> Finding {
        Finding { what, is: is.into(), verdict: Verdict::Good, advice: String::new() }
    }

    pub(crate) fn of(
        what: &'static str,
        is: impl Into<String>,
        verdict: Verdict,
        advice: impl Into<String>,
    ) -> Finding {
        Finding { what, is: is.into(), verdict, advice: advice.into() }
    }
}

/// One change to a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the folder.
    MakeFolder,
    /// Make it; objects can be locked in it from the beginning where that is wanted.
    Make {
        /// Whether objects can be locked.
        object_lock: bool,
    },
    /// Let nobody in from outside.
    BlockPublicAccess,
    /// Encrypt what is stored.
    Encrypt,
    /// Keep versions.
    KeepVersions,
    /// Clear away unfinished uploads and old versions.
    ClearAway,
    /// Let objects be locked.
    AllowObjectLock,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::MakeFolder => f.write_str("make the folder"),
            Step::Make { object_lock: false } => f.write_str("make the bucket"),
            Step::Make { object_lock: true } => f.write_str("make the bucket, with Object Lock"),
            Step::BlockPublicAccess => f.write_str("block public access"),
            Step::Encrypt => f.write_str("encrypt what is stored (AES256)"),
            Step::KeepVersions => f.write_str("keep versions of what is deleted or replaced"),
            Step::ClearAway => write!(
                f,
                "drop unfinished uploads after {ABORT_DAYS} day and old versions after \
                 {VERSION_DAYS} days"
            ),
            Step::AllowObjectLock => f.write_str("allow objects to be locked"),
        }
    }
}

/// How a bucket stands, in the order in which a person reads it.
pub(crate) fn findings(observed: &Observed, wanted: Wanted) -> Vec<Finding> {
    vec![
        region(&observed.region),
        private(&observed.private),
        encryption(&observed.encryption),
        uploads(&observed.lifecycle),
        objects(&observed.lifecycle),
        versions(&observed.versioning, &observed.lifecycle),
        object_lock(&observed.object_lock, &observed.versioning, wanted),
    ]
}

/// What makes the bucket as it should be, in the order in which to do it. Also what the service
/// did not answer is tried: setting may be allowed where asking is not.
pub(crate) fn steps(observed: Option<&Observed>, wanted: Wanted) -> Vec<Step> {
    let Some(observed) = observed else {
        return vec![
            Step::Make { object_lock: wanted.object_lock },
            Step::BlockPublicAccess,
            Step::Encrypt,
            Step::KeepVersions,
            Step::ClearAway,
        ];
    };
    let clears = |lifecycle: &Lifecycle| {
        lifecycle.aborts_after_days.is_some() && lifecycle.versions_end_after_days.is_some()
    };
    let needed = [
        (Step::BlockPublicAccess, !matches!(observed.private, Answer::Is(true))),
        (Step::Encrypt, !matches!(observed.encryption, Answer::Is(Encryption::By(_)))),
        (Step::KeepVersions, !matches!(observed.versioning, Answer::Is(Versioning::On))),
        (Step::ClearAway, !matches!(&observed.lifecycle, Answer::Is(is) if clears(is))),
        (
            Step::AllowObjectLock,
            wanted.object_lock && !matches!(observed.object_lock, Answer::Is(true)),
        ),
    ];
    needed.into_iter().filter_map(|(step, needed)| needed.then_some(step)).collect()
}

/// The way out that most findings have.
const CREATE: &str = "stratamq store create sets it";

fn unanswered(what: &'static str, why: &str) -> Finding {
    let is = "unknown".to_owned();
    let advice = format!("this service does not answer it ({why})");
    Finding { what, is, verdict: Verdict::Unanswered, advice }
}

fn region(answer: &Answer<String>) -> Finding {
    match answer {
        Answer::Is(region) => Finding::good("region", region),
        Answer::Unanswered(why) => unanswered("region", why),
    }
}

fn private(answer: &Answer<bool>) -> Finding {
    const WHAT: &str = "public access";
    match answer {
        Answer::Is(true) => Finding::good(WHAT, "blocked"),
        Answer::Is(false) => {
            let advice = format!("messages may be read by everybody if a policy slips: {CREATE}");
            Finding::of(WHAT, "not blocked", Verdict::Wrong, advice)
        }
        Answer::Unanswered(why) => unanswered(WHAT, why),
    }
}

fn encryption(answer: &Answer<Encryption>) -> Finding {
    const WHAT: &str = "encryption";
    match answer {
        Answer::Is(Encryption::By(how)) => Finding::good(WHAT, how),
        Answer::Is(Encryption::Off) => {
            let advice = format!("what is stored should be encrypted: {CREATE}");
            Finding::of(WHAT, "off", Verdict::Wrong, advice)
        }
        Answer::Unanswered(why) => unanswered(WHAT, why),
    }
}

fn uploads(answer: &Answer<Lifecycle>) -> Finding {
    const WHAT: &str = "unfinished uploads";
    match answer {
        Answer::Is(Lifecycle { aborts_after_days: Some(days), .. }) => {
            Finding::good(WHAT, format!("dropped after {days} d"))
        }
        Answer::Is(_) => {
            let advice =
                format!("their parts cost money for ever and no list shows them: {CREATE}");
            Finding::of(WHAT, "kept for ever", Verdict::Wrong, advice)
        }
        Answer::Unanswered(why) => unanswered(WHAT, why),
    }
}

fn objects(answer: &Answer<Lifecycle>) -> Finding {
    const WHAT: &str = "objects";
    match answer {
        Answer::Is(Lifecycle { objects_end_after_days: Some(days), .. }) => Finding::of(
            WHAT,
            format!("dropped after {days} d by a rule of the bucket"),
            Verdict::Wrong,
            "messages vanish that their topics keep: remove the rule; retention belongs to topics",
        ),
        Answer::Is(_) => Finding::good(WHAT, "kept until they are deleted"),
        Answer::Unanswered(why) => unanswered(WHAT, why),
    }
}

fn versions(versioning: &Answer<Versioning>, lifecycle: &Answer<Lifecycle>) -> Finding {
    const WHAT: &str = "versions";
    let ending = match lifecycle {
        Answer::Is(lifecycle) => lifecycle.versions_end_after_days,
        Answer::Unanswered(_) => None,
    };
    match (versioning, ending) {
        (Answer::Is(Versioning::Off), _) => {
            let advice = format!("a net below a mistaken deletion for {VERSION_DAYS} d: {CREATE}");
            Finding::of(WHAT, "not kept", Verdict::Better, advice)
        }
        (Answer::Is(Versioning::On), Some(days)) => {
            Finding::good(WHAT, format!("kept for {days} d"))
        }
        (Answer::Is(Versioning::On | Versioning::Suspended), None) => {
            let advice = format!("what is deleted stays and is paid for, for ever: {CREATE}");
            Finding::of(WHAT, "kept for ever", Verdict::Wrong, advice)
        }
        (Answer::Is(Versioning::Suspended), Some(days)) => {
            let is = format!("suspended; old ones end after {days} d");
            Finding::of(WHAT, is, Verdict::Better, CREATE)
        }
        (Answer::Unanswered(why), _) => unanswered(WHAT, why),
    }
}

fn object_lock(answer: &Answer<bool>, versioning: &Answer<Versioning>, wanted: Wanted) -> Finding {
    const WHAT: &str = "Object Lock";
    match answer {
        Answer::Is(true) if *versioning == Answer::Is(Versioning::On) => Finding::good(WHAT, "on"),
        Answer::Is(true) if wanted.object_lock => {
            Finding::of(WHAT, "on, without versions", Verdict::Wrong, CREATE)
        }
        Answer::Is(true) => Finding::good(WHAT, "on, not asked for"),
        Answer::Is(false) if wanted.object_lock => Finding::of(
            WHAT,
            "off",
            Verdict::Wrong,
            "locked topics need it: stratamq store create --object-lock sets it",
        ),
        Answer::Is(false) => Finding::good(WHAT, "off, not asked for"),
        Answer::Unanswered(_) if !wanted.object_lock => Finding::good(WHAT, "not asked for"),
        Answer::Unanswered(why) => unanswered(WHAT, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Observed {
        let lifecycle = Lifecycle {
            aborts_after_days: Some(1),
            versions_end_after_days: Some(7),
            objects_end_after_days: None,
        };
        Observed {
            region: Answer::Is("eu-central-1".to_owned()),
            versioning: Answer::Is(Versioning::On),
            lifecycle: Answer::Is(lifecycle),
            encryption: Answer::Is(Encryption::By("AES256".to_owned())),
            private: Answer::Is(true),
            object_lock: Answer::Is(false),
        }
    }

    const LOCKED: Wanted = Wanted { object_lock: true };

    fn wrong(observed: &Observed, wanted: Wanted) -> Vec<&'static str> {
        let findings = findings(observed, wanted);
        let wrong = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong);
        wrong.map(|finding| finding.what).collect()
    }

    #[test]
    fn a_bucket_as_it_should_be_needs_nothing() {
        let all = findings(&good(), Wanted::default());
        assert!(all.iter().all(|finding| finding.verdict == Verdict::Good), "{all:?}");
        assert_eq!(steps(Some(&good()), Wanted::default()), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_named_and_has_its_step() {
        let lifecycle = |of: Lifecycle| Observed { lifecycle: Answer::Is(of), ..good() };
        let whole = Lifecycle {
            aborts_after_days: Some(1),
            versions_end_after_days: Some(7),
            ..Default::default()
        };
        for (observed, what, step) in [
            (
                Observed { private: Answer::Is(false), ..good() },
                "public access",
                Step::BlockPublicAccess,
            ),
            (
                Observed { encryption: Answer::Is(Encryption::Off), ..good() },
                "encryption",
                Step::Encrypt,
            ),
            (
                lifecycle(Lifecycle { aborts_after_days: None, ..whole }),
                "unfinished uploads",
                Step::ClearAway,
            ),
            (
                lifecycle(Lifecycle { versions_end_after_days: None, ..whole }),
                "versions",
                Step::ClearAway,
            ),
        ] {
            assert_eq!(wrong(&observed, Wanted::default()), [what]);
            assert_eq!(steps(Some(&observed), Wanted::default()), [step]);
        }
        let loses = lifecycle(Lifecycle { objects_end_after_days: Some(30), ..whole });
        assert_eq!(wrong(&loses, Wanted::default()), ["objects"], "which no step may remove");
        assert_eq!(steps(Some(&loses), Wanted::default()), []);
    }

    #[test]
    fn object_lock_matters_where_it_is_asked_for() {
        assert_eq!(wrong(&good(), LOCKED), ["Object Lock"]);
        assert_eq!(steps(Some(&good()), LOCKED), [Step::AllowObjectLock]);
        let locked = Observed { object_lock: Answer::Is(true), ..good() };
        assert_eq!(wrong(&locked, LOCKED), [""; 0]);
        let first = steps(None, LOCKED).into_iter().next();
        assert_eq!(first, Some(Step::Make { object_lock: true }));
    }

    #[test]
    fn what_a_service_does_not_answer_is_no_fault_and_is_tried() {
        let silent = || "NotImplemented".to_owned();
        let observed = Observed {
            region: Answer::Unanswered(silent()),
            versioning: Answer::Unanswered(silent()),
            lifecycle: Answer::Unanswered(silent()),
            encryption: Answer::Unanswered(silent()),
            private: Answer::Unanswered(silent()),
            object_lock: Answer::Unanswered(silent()),
        };
        assert_eq!(wrong(&observed, Wanted::default()), [""; 0]);
        let said = findings(&observed, LOCKED);
        assert!(said.iter().all(|finding| finding.advice.contains("does not answer")), "{said:?}");
        assert_eq!(steps(Some(&observed), Wanted::default()).len(), 4);
    }
}
