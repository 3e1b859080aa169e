//! Which topics there are, with their ids: what tells a topic from one of the same name that was made later.
//!
//! Metadata leaves the ids out.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::KafkaError;
use super::question::Question;

/// A topic as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicNow {
    /// Another one when it is made again; 0 where the brokers tell none (before Kafka 2.8).
    pub id: u64,
    /// Number of partitions.
    pub partitions: i32,
}

const DOING: &str = "describing topics";

/// Topics by name, in the order asked for; `None`: there is none of this name, or it is just being made.
///
/// # Errors
/// [`KafkaError::Unreachable`], [`KafkaError::Failed`].
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    topics: &[String],
    timeout: Duration,
) -> Result<Vec<Option<TopicNow>>, KafkaError> {
    let question = Question {
        op: sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        doing: DOING,
        brokers,
        timeout,
    };
    let unknown = |topic: &String| KafkaError::UnknownTopic { topic: topic.clone() };
    let names: Vec<CString> = topics
        .iter()
        .map(|topic| CString::new(topic.as_str()).map_err(|_| unknown(topic)))
        .collect::<Result<_, _>>()?;
    let answer = question.ask(client, |to| {
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: live native parts, and names that live through the calls, which copy them; the collection is destroyed
        // once.
        unsafe {
            let collection =
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeTopics(to.client, collection, to.options, to.queue);
            sys::rd_kafka_TopicCollection_destroy(collection);
        }
    })?;
    // SAFETY: the event is alive; what an event of another kind gives is null.
    let result = unsafe { sys::rd_kafka_event_DescribeTopics_result(answer.event()) };
    if result.is_null() {
        return Err(question.another());
    }
    let mut count = 0;
    // SAFETY: a live result, and a place for the length of the list, which lives as long as the event.
    let all = unsafe {
        let list = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if list.is_null() { &[][..] } else { std::slice::from_raw_parts(list, count) }
    };
    let found: Vec<(&CStr, Option<TopicNow>)> =
        all.iter().map(|&topic| read(topic)).collect::<Result<_, _>>()?;
    let of =
        |name: &CString| found.iter().find(|(found, _)| *found == name.as_c_str()).and_then(|(_, now)| *now);
    Ok(names.iter().map(of).collect())
}

/// # Errors
/// What Kafka says of this topic, but for that it is not there.
fn read<'e>(
    topic: *const sys::rd_kafka_TopicDescription_t,
) -> Result<(&'e CStr, Option<TopicNow>), KafkaError> {
    // SAFETY: a description of a live result; its name, error, id and partitions live as long as that.
    let (name, code, id, partitions) = unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
        let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let id = if id.is_null() {
            0
        } else {
            let most = sys::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
            let least = sys::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
            most ^ least.rotate_left(32)
        };
        (name, code, id, partitions)
    };
    use RDKafkaErrorCode as Code;
    match Code::from(code) {
        Code::NoError if partitions > 0 => {
            let partitions = i32::try_from(partitions).expect("kafka counts partitions in an i32");
            Ok((name, Some(TopicNow { id, partitions })))
        }
        Code::NoError | Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::LeaderNotAvailable => {
            Ok((name, None))
        }
        code => Err(KafkaError::Failed { doing: DOING, code }),
    }
}
