//! What an operator does to topics and groups while a processor runs, or between two runs.

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::Kafka;
use crate::wait::eventually;

impl Kafka {
    /// Gives a topic more partitions.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn add_partitions(&self, topic: &str, count: usize) {
        let (admin, runtime) = self.admin();
        let wanted = [NewPartitions::new(topic, count)];
        let results = runtime.block_on(admin.create_partitions(&wanted, &AdminOptions::new()));
        assert!(results.as_ref().is_ok_and(|all| all[0].is_ok()), "{topic} gets partitions: {results:?}");
        eventually("the new partitions have leaders", || match self.end_offsets(topic).len() {
            found if found == count => Ok(()),
            found => Err(format!("{found} partitions")),
        });
    }

    /// Deletes the records of a partition before an offset, as retention does.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let (admin, runtime) = self.admin();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("a valid offset");
        let deleted = runtime.block_on(admin.delete_records(&list, &AdminOptions::new()));
        deleted.expect("the broker deletes the records");
    }

    /// Sets the offset of a group that has no members, without metadata, as `kafka-consumer-groups --reset-offsets` does.
    ///
    /// # Panics
    /// If the broker refuses for a minute.
    pub fn reset_offset(&self, group: &str, topic: &str, partition: i32, to: i64) {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(to)).expect("a valid offset");
        eventually("the offset is set", || {
            consumer.commit(&list, CommitMode::Sync).map_err(|error| error.to_string())
        });
    }

    /// Deletes a group that has no members, with everything it committed.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn delete_group(&self, group: &str) {
        let (admin, runtime) = self.admin();
        eventually("the group is deleted", || {
            let results = runtime.block_on(admin.delete_groups(&[group], &AdminOptions::new()));
            match results.as_ref().map(|all| all[0].is_ok()) {
                Ok(true) => Ok(()),
                _ => Err(format!("{results:?}")),
            }
        });
    }

    fn admin(&self) -> (AdminClient<DefaultClientContext>, tokio::runtime::Runtime) {
        let admin = self.client().create().expect("an admin client");
        (admin, tokio::runtime::Builder::new_current_thread().build().expect("a runtime"))
    }
}
