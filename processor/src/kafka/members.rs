//! Who is in the group under a static name.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::KafkaError;
use super::question::Question;

/// Where the member of `group` is that has the name `instance` (`group.instance.id`), as its host and client id;
/// `None`: nobody has it, or there is no such group.
///
/// # Errors
/// [`KafkaError::Unreachable`], [`KafkaError::Failed`].
pub(super) fn static_member<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    (group, instance): (&str, &str),
    timeout: Duration,
) -> Result<Option<String>, KafkaError> {
    let question = Question {
        op: sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
        doing: "describing the consumer group",
        brokers,
        timeout,
    };
    let name = |reason: std::ffi::NulError| KafkaError::Other {
        doing: "describing the consumer group",
        reason: reason.to_string(),
    };
    let group = CString::new(group).map_err(name)?;
    let answer = question.ask(client, |to| {
        let mut groups = [group.as_ptr()];
        // SAFETY: live native parts, and one name that lives through the call, which copies it.
        unsafe {
            sys::rd_kafka_DescribeConsumerGroups(to.client, groups.as_mut_ptr(), 1, to.options, to.queue);
        }
    })?;
    // SAFETY: the event is alive; what an event of another kind gives is null.
    let result = unsafe { sys::rd_kafka_event_DescribeConsumerGroups_result(answer.event()) };
    if result.is_null() {
        return Err(question.another());
    }
    let mut count = 0;
    // SAFETY: a live result, and a place for the length of the list; one group was asked for, and what is read of it
    // lives as long as the event.
    let (description, code) = unsafe {
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
        if groups.is_null() || count != 1 {
            return Err(question.another());
        }
        let description = *groups;
        let error = sys::rd_kafka_ConsumerGroupDescription_error(description);
        (description, sys::rd_kafka_error_code(error))
    };
    if RDKafkaErrorCode::from(code) == RDKafkaErrorCode::GroupIdNotFound {
        return Ok(None);
    }
    question.check(code)?;
    // SAFETY: a live description.
    let members = unsafe { sys::rd_kafka_ConsumerGroupDescription_member_count(description) };
    for at in 0..members {
        // SAFETY: a member of a live description, by a number below their count.
        let (name, host, client) = unsafe {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(description, at);
            (
                text(sys::rd_kafka_MemberDescription_group_instance_id(member)),
                text(sys::rd_kafka_MemberDescription_host(member)),
                text(sys::rd_kafka_MemberDescription_client_id(member)),
            )
        };
        if name == instance {
            return Ok(Some(format!("{client} at {}", host.trim_start_matches('/'))));
        }
    }
    Ok(None)
}

/// A string of librdkafka's; null is the empty one.
///
/// # Safety
/// `of` is null, or ends with a zero and lives through the call.
unsafe fn text(of: *const c_char) -> String {
    if of.is_null() {
        return String::new();
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(of) }.to_string_lossy().into_owned()
}
