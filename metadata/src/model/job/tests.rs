use super::*;
use crate::model::{Cluster, TopicSpec};
use proptest::prelude::*;

fn topic(queues: u32) -> Topic {
    let cluster = Cluster { name: "c".into(), pgs: 4, secret: [0; 32], created: Timestamp(0) };
    let spec = TopicSpec { queues, ..TopicSpec::new(TopicName::parse("orders").unwrap()) };
    Topic::create(spec, &cluster, 1 << 16, Timestamp(0))
}

fn job() -> Job {
    let spec = JobSpec {
        source: TopicName::parse("orders").unwrap(),
        from: Timestamp(10),
        to: Timestamp(u64::MAX),
        filter: JobFilter::Tags("a || b".into()),
        into: Destination::Group(GroupName::parse("readers").unwrap()),
        limits: Limits { messages: Some(5000), bytes: None },
    };
    let gateway = GatewayId::parse("gw").unwrap();
    let runner = Owner { gateway, incarnation: Incarnation(3) };
    Job::create((JobName::parse("again").unwrap(), 7), spec, &topic(4), runner, Timestamp(99))
}

fn lane(queue: u32, next: u64, end: u64) -> JobLane {
    JobLane { queue, next: QueueOffset(next), end: QueueOffset(end) }
}

#[test]
fn a_range_ends_when_the_job_is_made_at_the_latest() {
    assert_eq!(job().until, Timestamp(99));
}

#[test]
fn every_filter_destination_and_state_is_read_back() {
    let mut job = job();
    job.progress = JobProgress {
        opened: 4,
        lanes: vec![lane(1, 5, 9), lane(3, 0, 1)],
        range: 10,
        passed: 5,
        active: Duration::from_millis(1500),
        ..JobProgress::default()
    };
    let states = [
        JobState::Running,
        JobState::Paused,
        JobState::Done,
        JobState::Cancelled,
        JobState::failed("no such topic"),
    ];
    let filters = [JobFilter::All, JobFilter::Tags("a".into()), JobFilter::Key("k".into())];
    let topic = Destination::Topic(TopicName::parse("copies").unwrap());
    let destinations = [topic, job.spec.into.clone(), Destination::Origin];
    for state in states {
        for filter in &filters {
            for into in &destinations {
                job.state = state.clone();
                (job.spec.filter, job.spec.into) = (filter.clone(), into.clone());
                assert_eq!(Job::decode(&job.encode()).as_ref(), Ok(&job));
            }
        }
    }
}

#[test]
fn a_record_of_65536_queues_stays_small() {
    let mut job = job();
    job.queues = QUEUES_MAX;
    let end = u64::MAX;
    job.progress.opened = QUEUES_MAX;
    job.progress.lanes = (0..LANES_MAX as u32).map(|n| lane(n, end - 1, end)).collect();
    assert!(job.encode().len() < 4096, "{}", job.encode().len());
}

#[test]
fn progress_that_cannot_be_is_refused() {
    for lanes in [
        vec![lane(1, 5, 4)],
        vec![lane(4, 0, 1)],
        vec![lane(2, 0, 1), lane(1, 0, 1)],
        (0..65).map(|_| lane(0, 0, 1)).collect(),
    ] {
        let mut job = job();
        (job.progress.opened, job.progress.lanes) = (4, lanes);
        assert!(Job::decode(&job.encode()).is_err());
    }
}

#[test]
fn a_name_is_part_of_a_key() {
    for name in ["", "a/b", "ä", "a b", &"x".repeat(129)] {
        assert_eq!(JobName::parse(name), None, "{name}");
    }
    assert_eq!(JobName::parse("redrive-g.1_2").unwrap().as_str(), "redrive-g.1_2");
}

proptest! {
    #[test]
    fn a_grown_topic_numbers_its_first_queues_as_before(before in 1_u32..40, more in 0_u32..40) {
        let topic = topic(before);
        let mut spec = topic.spec();
        spec.queues += more;
        let grown = source_order(&topic.changed(spec));
        let numbered = source_order(&topic);
        prop_assert_eq!(&grown[..numbered.len()], &numbered[..]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Job::decode(&[&[1][..], &bytes].concat());
    }
}
