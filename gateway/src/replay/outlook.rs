//! How fast a job is, and when it will be done.

use metadata::model::{Job, JobProgress, JobState};
use std::time::Duration;

/// What can be told from a job's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Offsets of the range in all queues; where not all of them were looked at, what those that were make likely.
    pub range: u64,
    /// Messages written per second of work.
    pub rate: u64,
    /// How long it will take yet; `None` where nobody knows.
    pub left: Option<Duration>,
}

impl Outlook {
    /// Of a job.
    pub fn of(job: &Job) -> Outlook {
        let JobProgress { opened, range, passed, written, active, .. } = job.progress;
        let active_ms = active.as_millis();
        let range = match opened {
            0 => 0,
            opened => scaled(range, job.queues.into(), opened.into()),
        };
        let rate = if active_ms == 0 { 0 } else { scaled(written, 1000, active_ms) };
        let left = if passed == 0 || job.state != JobState::Running {
            None
        } else {
            let to_come = range.saturating_sub(passed);
            let ms = u64::try_from(active_ms).unwrap_or(u64::MAX);
            Some(Duration::from_millis(scaled(ms, to_come.into(), passed.into())))
        };
        Outlook { range, rate, left }
    }
}

/// `number * times / by`.
fn scaled(number: u64, times: u128, by: u128) -> u64 {
    u64::try_from(u128::from(number) * times / by.max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::model::{
        Cluster, Destination, GatewayId, Incarnation, JobFilter, JobName, JobSpec, Limits, Owner,
        Topic, TopicSpec,
    };
    use protocol::names::TopicName;
    use storage::env::Timestamp;

    fn job(progress: JobProgress) -> Job {
        let cluster = Cluster { name: "c".into(), pgs: 4, secret: [0; 32], created: Timestamp(0) };
        let name = TopicName::parse("t").unwrap();
        let topic = Topic::create(TopicSpec::new(name.clone()), &cluster, 1, Timestamp(0));
        let spec = JobSpec {
            source: name,
            from: Timestamp(0),
            to: Timestamp(1),
            filter: JobFilter::All,
            into: Destination::Origin,
            limits: Limits::default(),
        };
        let gateway = GatewayId::parse("g").unwrap();
        let runner = Owner { gateway, incarnation: Incarnation(1) };
        let job = (JobName::parse("j").unwrap(), 1);
        Job { progress, ..Job::create(job, spec, &topic, runner, Timestamp(9)) }
    }

    #[test]
    fn what_is_left_follows_from_what_was_done() {
        let active = Duration::from_secs(2);
        let half = JobProgress {
            opened: 4,
            range: 100,
            passed: 50,
            written: 30,
            active,
            ..JobProgress::default()
        };
        let outlook = Outlook::of(&job(half));
        assert_eq!((outlook.range, outlook.rate), (200, 15), "8 queues, half of them looked at");
        assert_eq!(outlook.left, Some(Duration::from_secs(6)));
        let begun = Outlook::of(&job(JobProgress::default()));
        assert_eq!(begun, Outlook { range: 0, rate: 0, left: None });
    }
}
