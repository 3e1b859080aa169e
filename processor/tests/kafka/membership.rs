//! What a member is told about its group, and what keeps it in.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use processor::kafka::{
    AssignedPartition, Assignments, Commit, Committed, Consumer, Item, KafkaError, KafkaProblem, Start,
    StartAt, WorkerQueue,
};
use rdkafka::types::RDKafkaRespErr;

use crate::outbox::send_one;
use crate::support::{Cluster, WAIT, eventually, unique};

#[test]
fn committed_offsets_come_back_with_their_metadata() {
    commit_and_read_back(&Cluster::mock());
}

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn committed_offsets_come_back_with_their_metadata_from_a_real_kafka() {
    commit_and_read_back(&Cluster::real());
}

fn commit_and_read_back(cluster: &Cluster) {
    let topic = unique("clicks");
    cluster.create_topic(&topic, 2);
    send_one(cluster, &topic, b"a click").unwrap();
    let mut member = Single::join(cluster, &topic, &[]);
    let consumer = member.consumer.clone();
    eventually("a record comes", || {
        consumer.poll(Duration::from_millis(10));
        member.read() > 0
    });
    let commit =
        Commit { topic: topic.clone(), partition: 0, next_offset: 1, metadata: "watermark 5".to_owned() };
    consumer.commit(&[commit]).unwrap();
    eventually("the outcome is told", || {
        consumer.poll(Duration::from_millis(10));
        member.told.lock().unwrap().committed == [(topic.clone(), 0, 1)]
    });
    let names = [(topic.clone(), 0), (topic.clone(), 1)];
    let expected = [Some(Committed { offset: 1, metadata: "watermark 5".to_owned() }), None];
    assert_eq!(consumer.committed(&names, WAIT).unwrap(), expected);
    let ends = consumer.query_end_offsets(&names, WAIT).unwrap();
    assert_eq!(ends.iter().sum::<i64>(), 1);
    eventually("the end offsets are known without asking", || {
        consumer.poll(Duration::from_millis(10));
        (0..2).all(|partition| consumer.end_offset(&topic, partition) == Some(ends[partition as usize]))
    });
    assert_eq!(consumer.partition_count(&topic, WAIT).unwrap(), 2);
    consumer.close(WAIT).unwrap();
    let told = member.told.lock().unwrap();
    assert_eq!(told.revoked, [(2, false)], "leaving revokes what is owned");
    assert_eq!(told.problems, []);
}

#[test]
fn a_refused_commit_is_told() {
    let cluster = Cluster::mock();
    cluster.create_topic("clicks", 1);
    let member = Single::join(&cluster, "clicks", &[]);
    let Cluster::Mock(mock) = &cluster else { unreachable!("a mock was asked for") };
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    mock.request_errors(rdkafka::types::RDKafkaApiKey::OffsetCommit, &[refusal]);
    let commit = Commit { topic: "clicks".to_owned(), partition: 0, next_offset: 0, metadata: String::new() };
    member.consumer.commit(&[commit]).unwrap();
    eventually("the failure is told", || {
        member.consumer.poll(Duration::from_millis(10));
        let told = member.told.lock().unwrap();
        told.problems
            .iter()
            .any(|problem| matches!(problem, KafkaProblem::CommitFailed { .. }) && !problem.is_fatal())
    });
}

#[test]
fn a_poll_or_a_reading_worker_keeps_the_member_in_its_group() {
    let cluster = Cluster::mock();
    cluster.create_topic("clicks", 1);
    // Not below the 3 s that the mock lets a new group wait, and not below the session time-out.
    let interval = [("session.timeout.ms", "3500"), ("max.poll.interval.ms", "3500")];
    let mut member = Single::join(&cluster, "clicks", &interval);
    let exceeded = |member: &Single| {
        let told = member.told.lock().unwrap();
        told.problems.iter().any(|problem| matches!(problem, KafkaProblem::PollIntervalExceeded { .. }))
    };
    let longer = Duration::from_millis(4_500);

    let start = Instant::now();
    while start.elapsed() < longer {
        member.consumer.poll(Duration::from_millis(50));
    }
    let start = Instant::now();
    while start.elapsed() < longer {
        drop(member.queue.consume(Duration::from_millis(50), 10));
    }
    member.consumer.poll(Duration::from_millis(200));
    assert!(!exceeded(&member), "polling or reading counts");

    // Nobody does either: that the interval is watched at all.
    std::thread::sleep(longer);
    eventually("the interval is exceeded", || {
        member.consumer.poll(Duration::from_millis(10));
        exceeded(&member)
    });
}

#[test]
fn a_wake_ends_the_wait_of_a_worker() {
    let cluster = Cluster::mock();
    cluster.create_topic("clicks", 1);
    let mut member = Single::join(&cluster, "clicks", &[]);
    let (consumer, id) = (member.consumer.clone(), member.queue.id());
    let worker = std::thread::spawn(move || {
        // Much longer than the test runs.
        assert!(member.queue.consume(Duration::from_secs(3_600), 10).is_empty());
        assert!(member.queue.consume(Duration::from_secs(3_600), 10).is_empty());
    });
    eventually("the worker returns from both waits", || {
        consumer.wake(id);
        worker.is_finished()
    });
    worker.join().unwrap();
}

#[test]
fn an_assignment_without_committed_offsets_in_reach_is_tried_again() {
    let cluster = Cluster::mock();
    cluster.create_topic("clicks", 1);
    let Cluster::Mock(mock) = &cluster else { unreachable!("a mock was asked for") };
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
    mock.request_errors(rdkafka::types::RDKafkaApiKey::OffsetFetch, &[refusal; 5]);
    let member = Single::join(&cluster, "clicks", &[]);
    assert_eq!(member.told.lock().unwrap().assigned, 1);
}

#[test]
fn an_assignment_that_its_handler_cannot_start_comes_again() {
    let cluster = Cluster::mock();
    cluster.create_topic("clicks", 1);
    let mut member = Single::join_refused(&cluster, "clicks", &[], 2);
    let not_started = |problem: &KafkaProblem| match problem {
        KafkaProblem::AssignmentNotStarted { reason } => reason.contains("not yet"),
        _ => false,
    };
    let problems = std::mem::take(&mut member.told.lock().unwrap().problems);
    assert_eq!(problems.iter().filter(|problem| not_started(problem)).count(), 2, "{problems:?}");
    send_one(&cluster, "clicks", b"record").unwrap();
    eventually("the record is read", || {
        member.consumer.poll(Duration::from_millis(10));
        member.read() == 1
    });
}

/// A member with one worker, all on the test's thread.
struct Single {
    consumer: Consumer,
    queue: WorkerQueue,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    queue: Option<processor::kafka::QueueId>,
    /// Assignments that it will not start.
    refuses: usize,
    assigned: usize,
    revoked: Vec<(usize, bool)>,
    committed: Vec<(String, i32, i64)>,
    problems: Vec<KafkaProblem>,
}

impl Single {
    /// Joins and waits for the assignment.
    fn join(cluster: &Cluster, topic: &str, properties: &[(&str, &str)]) -> Self {
        Self::join_refused(cluster, topic, properties, 0)
    }

    /// The same, after so many assignments that did not start.
    fn join_refused(cluster: &Cluster, topic: &str, properties: &[(&str, &str)], refuses: usize) -> Self {
        let told = Arc::new(Mutex::new(Told { refuses, ..Told::default() }));
        let settings = cluster.member(&unique("group"), properties);
        let handler = Arc::new(Listener(Arc::clone(&told)));
        let consumer = Consumer::new(&settings, &[topic.to_owned()], handler, Arc::default()).unwrap();
        let queue = consumer.worker_queue();
        told.lock().unwrap().queue = Some(queue.id());
        eventually("partitions are assigned", || {
            consumer.poll(Duration::from_millis(10));
            told.lock().unwrap().assigned > 0
        });
        Self { consumer, queue, told }
    }

    /// Number of records that are there.
    fn read(&mut self) -> usize {
        let batch = self.queue.consume(Duration::from_millis(10), 100);
        batch
            .items()
            .map(|item| match item {
                Item::Run(run) => run.len(),
                Item::End(_) => 0,
                Item::Problem(problem) => panic!("{problem}"),
            })
            .sum()
    }
}

struct Listener(Arc<Mutex<Told>>);

impl Assignments for Listener {
    fn assigned(&self, _: &Consumer, partitions: &[AssignedPartition]) -> Result<Vec<Start>, KafkaError> {
        let mut told = self.0.lock().unwrap();
        if let Some(fewer) = told.refuses.checked_sub(1) {
            told.refuses = fewer;
            return Err(KafkaError::Other { doing: "starting", reason: "not yet".to_owned() });
        }
        told.assigned += 1;
        let queue = told.queue.expect("the queue was made before the first poll");
        Ok(partitions.iter().map(|_| Start { at: StartAt::Committed, queue }).collect())
    }

    fn revoked(&self, _: &Consumer, partitions: &[(String, i32)], lost: bool) {
        self.0.lock().unwrap().revoked.push((partitions.len(), lost));
    }

    fn committed(&self, offsets: &[(String, i32, i64)]) {
        self.0.lock().unwrap().committed.extend_from_slice(offsets);
    }

    fn error(&self, problem: KafkaProblem) {
        self.0.lock().unwrap().problems.push(problem);
    }
}
