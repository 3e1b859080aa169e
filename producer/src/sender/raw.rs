//! Hands whole batches to librdkafka: the one place of this crate with `unsafe` code.
//!
//! `rdkafka` sends record by record, through a function with variable arguments, an error type and a delivery opaque
//! for each. `rd_kafka_produce_batch` does the same for a thousand records in one call; `docs/performance.md` has
//! the comparison. It copies key and value of every record, so nothing borrowed outlives the call.

#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::ptr;

use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use crate::batch::Batch;

/// "The partitioner chooses": a macro of librdkafka's header that the bindings lack.
const UNASSIGNED: i32 = -1;

/// A topic of a producer, ready to take batches.
pub(super) struct Topic<'a, C: ProducerContext<DeliveryOpaque = ()> + 'static> {
    producer: &'a BaseProducer<C>,
    topic: *mut sys::rd_kafka_topic_t,
    messages: Vec<sys::rd_kafka_message_t>,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Enqueued {
    /// Records librdkafka took over.
    pub(super) accepted: u64,
    /// Records it will never take, with the last reason.
    pub(super) refused: u64,
    pub(super) refusal: Option<RDKafkaErrorCode>,
    /// Records that were not offered again because the caller gave up.
    pub(super) abandoned: u64,
}

impl<'a, C: ProducerContext<DeliveryOpaque = ()> + 'static> Topic<'a, C> {
    /// The topic called `name`; `None` if it is not a name.
    pub(super) fn new(producer: &'a BaseProducer<C>, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: the client lives at least as long as `producer`, which is borrowed for 'a; the name is a C string
        // that librdkafka copies; a null configuration means the client's default.
        let topic = unsafe {
            sys::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut())
        };
        (!topic.is_null()).then_some(Self { producer, topic, messages: Vec::new() })
    }

    /// Hands over all records of `batch`. While librdkafka's queue is full it calls `wait`, which makes room by
    /// polling and says whether to go on trying.
    pub(super) fn enqueue(
        &mut self,
        batch: &Batch,
        mut wait: impl FnMut(&BaseProducer<C>) -> bool,
    ) -> Enqueued {
        self.messages.clear();
        self.messages.extend(batch.iter().map(|record| sys::rd_kafka_message_t {
            err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: UNASSIGNED,
            payload: record.value.as_ptr().cast_mut().cast(),
            len: record.value.len(),
            key: record.key.as_ptr().cast_mut().cast(),
            key_len: record.key.len(),
            offset: 0,
            // The delivery opaque: a null pointer is `()` to rdkafka.
            _private: ptr::null_mut(),
        }));
        let mut result = Enqueued::default();
        loop {
            let count = c_int::try_from(self.messages.len()).expect("a tick has far fewer than 2^31 records");
            // SAFETY: the topic is valid until `drop`. The array has `count` initialised messages, whose keys and
            // values point into `batch`, which is borrowed for the whole call. With the flag COPY librdkafka reads
            // and copies them and keeps none of the pointers; it writes to nothing but each message's `err`.
            let accepted = unsafe {
                sys::rd_kafka_produce_batch(
                    self.topic,
                    UNASSIGNED,
                    sys::RD_KAFKA_MSG_F_COPY,
                    self.messages.as_mut_ptr(),
                    count,
                )
            };
            result.accepted += u64::try_from(accepted).unwrap_or(0);
            if accepted == count {
                return result;
            }
            // Once the queue is full, everything after that is refused for the same reason: the order is kept.
            self.messages.retain(|message| match message.err {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => false,
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL => true,
                error => {
                    result.refused += 1;
                    result.refusal = Some(error.into());
                    false
                }
            });
            if self.messages.is_empty() {
                return result;
            }
            if !wait(self.producer) {
                result.abandoned = self.messages.len() as u64;
                return result;
            }
        }
    }
}

impl<C: ProducerContext<DeliveryOpaque = ()> + 'static> Drop for Topic<'_, C> {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_topic_new`, destroyed once; librdkafka keeps what queued records still need.
        unsafe { sys::rd_kafka_topic_destroy(self.topic) }
    }
}
