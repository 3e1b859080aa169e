//! The Kafka side against librdkafka's mock cluster and, where `CLICKPULSE_TEST_KAFKA=host:port` names one and
//! `--ignored` is given, a real Kafka.

#[path = "kafka/dead_letters.rs"]
mod dead_letters;
#[path = "kafka/group.rs"]
mod group;
#[path = "kafka/membership.rs"]
mod membership;
#[path = "kafka/outbox.rs"]
mod outbox;
#[path = "kafka/rebalance.rs"]
mod rebalance;
#[path = "kafka/samples.rs"]
mod samples;
#[path = "kafka/support.rs"]
mod support;
#[path = "kafka/topics.rs"]
mod topics;
#[path = "kafka/transactions.rs"]
mod transactions;
