//! Questions to the cluster for which `rdkafka` has no wrapper.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::KafkaError;

/// Who asks, and what.
pub(super) struct Question<'a> {
    pub(super) op: sys::rd_kafka_admin_op_t,
    /// For errors.
    pub(super) doing: &'static str,
    /// For errors.
    pub(super) brokers: &'a str,
    pub(super) timeout: Duration,
}

/// The native parts of a question that is being asked; all three live through [`Question::ask`]'s `send`.
pub(super) struct Asking {
    pub(super) client: *mut sys::rd_kafka_t,
    pub(super) options: *mut sys::rd_kafka_AdminOptions_t,
    pub(super) queue: *mut sys::rd_kafka_queue_t,
}

impl Question<'_> {
    /// Asks by `send`, which makes the native request once, and waits for its answer.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`], also where the answer is an error that passes by itself; [`KafkaError::Failed`].
    pub(super) fn ask<C: ClientContext>(
        &self,
        client: &Client<C>,
        send: impl FnOnce(&Asking),
    ) -> Result<Answer, KafkaError> {
        let timeout_ms = i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX);
        let native = client.native_ptr();
        // SAFETY: a live client. What is made here is destroyed here, each once; the queue outlives the request, as it is
        // waited for at least as long as the request may take, and librdkafka drops what comes for a queue that is gone.
        let answer = unsafe {
            let options = sys::rd_kafka_AdminOptions_new(native, self.op);
            // The only error is a time out of range, with which the default stays.
            sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
            let queue = sys::rd_kafka_queue_new(native);
            send(&Asking { client: native, options, queue });
            let event = sys::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1_000));
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_AdminOptions_destroy(options);
            NonNull::new(event).map(Answer)
        };
        let answer = answer.ok_or_else(|| self.unreachable())?;
        // SAFETY: the event is alive as long as `answer`.
        let code = unsafe { sys::rd_kafka_event_error(answer.event()) };
        self.check(code)?;
        Ok(answer)
    }

    /// What a code in an answer means.
    ///
    /// # Errors
    /// As [`Question::ask`].
    pub(super) fn check(&self, code: sys::rd_kafka_resp_err_t) -> Result<(), KafkaError> {
        match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::NoError => Ok(()),
            code if super::error::is_transient(code) => Err(self.unreachable()),
            code => Err(KafkaError::Failed { doing: self.doing, code }),
        }
    }

    /// For an answer of another kind than was asked for, which gives no result.
    pub(super) fn another(&self) -> KafkaError {
        KafkaError::Other { doing: self.doing, reason: "another answer came".to_owned() }
    }

    fn unreachable(&self) -> KafkaError {
        KafkaError::Unreachable { brokers: self.brokers.to_owned(), doing: self.doing, waited: self.timeout }
    }
}

/// An event of librdkafka, freed when dropped.
pub(super) struct Answer(NonNull<sys::rd_kafka_event_t>);

impl Answer {
    /// Alive as long as this is.
    pub(super) fn event(&self) -> *mut sys::rd_kafka_event_t {
        self.0.as_ptr()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: taken from a queue, destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}
