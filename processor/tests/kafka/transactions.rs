//! Transactions on a real Kafka: librdkafka's mock cluster answers to them, as it is told to, and does nothing of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use processor::kafka::tail::{From, TopicReader};
use processor::kafka::{
    AssignedPartition, Assignments, Commit, Consumer, KafkaError, KafkaProblem, Membership, OutboxRecord,
    ProducerSettings, QueueId, Start, StartAt, Transaction, TransactionEnd, TransactionError, Transactor,
    WorkerQueue,
};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{Cluster, WAIT, eventually, unique};

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn records_and_offsets_become_visible_together() {
    let world = World::new();
    let member = Member::join(&world);
    let transactor = world.transactor("a");
    let end = transactor.execute(&world.epoch("one", 7), &member.generation(), WAIT).unwrap();
    let TransactionEnd::Committed(produced) = end else { panic!("{end:?}") };
    assert_eq!(produced.iter().map(|of| (of.partition, of.offset)).collect::<Vec<_>>(), [(0, 0)]);
    assert_eq!(world.visible(), ["one"]);
    assert_eq!(member.committed(&world), Some(7));
}

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn a_member_of_an_earlier_generation_publishes_nothing() {
    let world = World::new();
    let member = Member::join(&world);
    let stale = member.generation();
    let assignments = member.assignments();
    let other = Member::join_while(&world, &member);
    eventually("the generation has changed", || {
        member.consumer.poll(Duration::from_millis(10));
        other.consumer.poll(Duration::from_millis(10));
        member.assignments() > assignments
    });

    let transactor = world.transactor("a");
    let end = transactor.execute(&world.epoch("zombie", 9), &stale, WAIT).unwrap();
    assert!(matches!(&end, TransactionEnd::Aborted { membership_lost: true, .. }), "{end:?}");
    assert_eq!(world.visible(), Vec::<String>::new());
    assert_eq!(member.committed(&world), None);

    // The same producer goes on with the generation of now. librdkafka may still be purging what was aborted, and then
    // aborts what comes next, too: an abort means that the same may be tried again.
    eventually("a member's transaction is committed", || {
        let end = transactor.execute(&world.epoch("member", 9), &member.generation(), WAIT).unwrap();
        matches!(end, TransactionEnd::Committed(_))
    });
    assert_eq!(world.visible(), ["member"]);
}

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn a_producer_of_the_same_name_fences_the_earlier_one() {
    let world = World::new();
    let member = Member::join(&world);
    let earlier = world.transactor("a");
    let later = world.transactor("a");
    let error = earlier.execute(&world.epoch("earlier", 1), &member.generation(), WAIT).unwrap_err();
    assert!(matches!(&error, TransactionError::Fenced { id } if id.ends_with('a')), "{error:?}");
    assert!(error.to_string().contains("kafka.instance_id"), "{error}");
    later.execute(&world.epoch("later", 2), &member.generation(), WAIT).unwrap();
    assert_eq!(world.visible(), ["later"]);
    assert_eq!(member.committed(&world), Some(2));
}

#[test]
#[ignore = "needs a real Kafka: CLICKPULSE_TEST_KAFKA"]
fn what_a_producer_left_open_is_aborted_when_its_name_comes_back() {
    let world = World::new();
    let member = Member::join(&world);
    let refused = Refused(world.epoch("left open", 5));
    // Its last record cannot be sent, so the transaction is aborted, which a killed process would leave to Kafka.
    let killed = world.transactor("a");
    let end = killed.execute(&refused, &member.generation(), WAIT).unwrap();
    assert!(matches!(end, TransactionEnd::Aborted { membership_lost: false, .. }), "{end:?}");
    drop(killed);
    let back = world.transactor("a");
    back.execute(&world.epoch("repeated", 5), &member.generation(), WAIT).unwrap();
    assert_eq!(world.visible(), ["repeated"]);
    assert_eq!(member.committed(&world), Some(5));
}

#[test]
fn a_producer_that_failed_for_good_is_followed_by_a_new_one_of_its_name() {
    let world = World::on(Cluster::mock());
    let member = Member::join(&world);
    let Cluster::Mock(mock) = &world.cluster else { unreachable!("a mock was asked for") };
    let broken = world.transactor("a");
    // What a Kafka that was killed in the middle of a commit may answer to its repetition.
    mock.request_errors(RDKafkaApiKey::EndTxn, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE]);
    let error = broken.execute(&world.epoch("a", 1), &member.generation(), WAIT).unwrap_err();
    assert!(matches!(error, TransactionError::Failed { .. }), "{error:?}");
    assert!(error.ends_the_producer_only());
    let renewed = broken.renewed().unwrap();
    drop(broken);
    assert!(renewed.init(|_| true).unwrap());
    let end = renewed.execute(&world.epoch("a", 1), &member.generation(), WAIT).unwrap();
    assert!(matches!(end, TransactionEnd::Committed(_)), "{end:?}");
    let hung = TransactionError::Hung { step: "committing a transaction", waited_s: 60 };
    assert!(!hung.ends_the_producer_only());
}

struct World {
    cluster: Cluster,
    input: String,
    output: String,
    group: String,
}

impl World {
    fn new() -> Self {
        Self::on(Cluster::real())
    }

    fn on(cluster: Cluster) -> Self {
        let (input, output) = (unique("input"), unique("output"));
        cluster.create_topic(&input, 2);
        cluster.create_topic(&output, 1);
        Self { cluster, input, output, group: unique("group") }
    }

    fn transactor(&self, name: &str) -> Transactor {
        let mut settings = ProducerSettings::new(self.cluster.client());
        settings.transactional_id = Some(format!("{}-{name}", self.group));
        let transactor = Transactor::new(&settings, |_| {}).unwrap();
        assert!(transactor.init(|_| true).unwrap());
        transactor
    }

    fn epoch(&self, value: &str, next_offset: i64) -> Epoch {
        let metadata = "state".to_owned();
        let offsets = vec![Commit { topic: self.input.clone(), partition: 0, next_offset, metadata }];
        Epoch { topic: self.output.clone(), value: value.to_owned(), offsets }
    }

    /// What a reader of committed records sees.
    fn visible(&self) -> Vec<String> {
        let mut reader =
            TopicReader::open(&self.cluster.client(), &self.output, From::Beginning, WAIT).unwrap();
        let mut seen = Vec::new();
        eventually("the topic was read to its end", || {
            if let Some(record) = reader.next(Duration::from_millis(50)).unwrap() {
                seen.push(String::from_utf8(record.payload.unwrap()).unwrap());
            }
            reader.caught_up()
        });
        seen
    }
}

struct Epoch {
    topic: String,
    value: String,
    offsets: Vec<Commit>,
}

impl Transaction for Epoch {
    fn records(
        &self,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let payload = Some(self.value.as_bytes());
        send(&OutboxRecord { topic: &self.topic, partition: Some(0), payload, ..Default::default() })
    }

    fn offsets(&self) -> &[Commit] {
        &self.offsets
    }
}

/// An epoch with a record that is larger than any record may be.
struct Refused(Epoch);

impl Transaction for Refused {
    fn records(
        &self,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        self.0.records(send)?;
        let payload = vec![0; 9 << 20];
        send(&OutboxRecord { topic: &self.0.topic, payload: Some(&payload), ..Default::default() })
    }

    fn offsets(&self) -> &[Commit] {
        self.0.offsets()
    }
}

struct Member {
    consumer: Consumer,
    membership: Arc<Membership>,
    told: Arc<Mutex<Told>>,
    _queue: WorkerQueue,
}

#[derive(Default)]
struct Told {
    queue: Option<QueueId>,
    assignments: u64,
}

impl Member {
    fn join(world: &World) -> Self {
        let member = Self::new(world);
        eventually("partitions are assigned", || {
            member.consumer.poll(Duration::from_millis(10));
            member.assignments() > 0
        });
        member
    }

    /// Joins while another member answers to the rebalance.
    fn join_while(world: &World, other: &Self) -> Self {
        let member = Self::new(world);
        eventually("partitions are assigned", || {
            member.consumer.poll(Duration::from_millis(10));
            other.consumer.poll(Duration::from_millis(10));
            member.assignments() > 0
        });
        member
    }

    fn new(world: &World) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let membership = Arc::new(Membership::new(Duration::from_secs(45)));
        let settings = world.cluster.member(&world.group, &[]);
        let handler = Arc::new(Listener(Arc::clone(&told)));
        let topics = [world.input.clone()];
        let consumer = Consumer::new(&settings, &topics, handler, Arc::clone(&membership)).unwrap();
        let queue = consumer.worker_queue();
        told.lock().unwrap().queue = Some(queue.id());
        Self { consumer, membership, told, _queue: queue }
    }

    fn assignments(&self) -> u64 {
        self.told.lock().unwrap().assignments
    }

    fn generation(&self) -> Arc<rdkafka::consumer::ConsumerGroupMetadata> {
        self.membership.generation().expect("partitions are assigned")
    }

    fn committed(&self, world: &World) -> Option<i64> {
        let committed = self.consumer.committed(&[(world.input.clone(), 0)], WAIT).unwrap().remove(0)?;
        assert_eq!(committed.metadata, "state");
        Some(committed.offset)
    }
}

struct Listener(Arc<Mutex<Told>>);

impl Assignments for Listener {
    fn assigned(&self, _: &Consumer, partitions: &[AssignedPartition]) -> Result<Vec<Start>, KafkaError> {
        let mut told = self.0.lock().unwrap();
        told.assignments += 1;
        let queue = told.queue.expect("the queue was made before the first poll");
        Ok(partitions.iter().map(|_| Start { at: StartAt::Committed, queue }).collect())
    }

    fn revoked(&self, _: &Consumer, _: &[(String, i32)], _: bool) {}

    fn error(&self, problem: KafkaProblem) {
        panic!("{problem}");
    }
}
