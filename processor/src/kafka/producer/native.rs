//! Hands one record to librdkafka.
//!
//! `rdkafka` takes header names as text and allocates for each; the names of other people's headers are bytes.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::IntoOpaque as _;
use rdkafka_sys as sys;

use super::{Context, EpochAcks, Header, OutboxRecord};

/// "The partitioner chooses": a macro of librdkafka's header that the bindings lack.
const UNASSIGNED: i32 = -1;

/// Queues a copy of `record`; its answer comes to `epoch`, by [`ProducerContext::delivery`].
///
/// # Errors
/// librdkafka's code: the record is not queued, and `epoch` hears nothing of it.
pub(super) fn produce(
    producer: &BaseProducer<Context>,
    epoch: Arc<EpochAcks>,
    record: &OutboxRecord<'_>,
) -> Result<(), RDKafkaErrorCode> {
    let topic = CString::new(record.topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let headers = List::of(record.headers);
    // What `ProducerContext::delivery` takes back: the context's `DeliveryOpaque` is this type.
    let opaque = <Context as ProducerContext>::DeliveryOpaque::into_ptr(epoch);
    use sys::rd_kafka_vtype_t as Kind;
    let value = |kind, u| sys::rd_kafka_vu_t { vtype: kind, u };
    let bytes = |bytes: Option<&[u8]>| sys::rd_kafka_vu_s__bindgen_ty_1 {
        mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
            ptr: bytes.map_or(ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut().cast()),
            size: bytes.map_or(0, <[u8]>::len),
        },
    };
    type Any = sys::rd_kafka_vu_s__bindgen_ty_1;
    let native = headers.as_ref().map_or(ptr::null_mut(), |list| list.0.as_ptr());
    let values = [
        value(Kind::RD_KAFKA_VTYPE_TOPIC, Any { cstr: topic.as_ptr() }),
        value(Kind::RD_KAFKA_VTYPE_PARTITION, Any { i32_: record.partition.unwrap_or(UNASSIGNED) }),
        value(Kind::RD_KAFKA_VTYPE_MSGFLAGS, Any { i: sys::RD_KAFKA_MSG_F_COPY as c_int }),
        value(Kind::RD_KAFKA_VTYPE_VALUE, bytes(record.payload)),
        value(Kind::RD_KAFKA_VTYPE_KEY, bytes(record.key)),
        value(Kind::RD_KAFKA_VTYPE_OPAQUE, Any { ptr: opaque }),
        value(Kind::RD_KAFKA_VTYPE_TIMESTAMP, Any { i64_: record.timestamp_ms.unwrap_or(0) }),
        value(Kind::RD_KAFKA_VTYPE_HEADERS, Any { headers: native }),
    ];
    // SAFETY: the client is alive as long as `producer` is borrowed. The array has as many initialised values as is said,
    // each of the kind that its tag names; the topic's name is a C string. Key and value are copied in the call, as its
    // flag asks for. Of the headers librdkafka takes possession where it succeeds, and only then.
    let error =
        unsafe { sys::rd_kafka_produceva(producer.client().native_ptr(), values.as_ptr(), values.len()) };
    if error.is_null() {
        std::mem::forget(headers);
        return Ok(());
    }
    // SAFETY: an error of this call, read and destroyed once; the opaque pointer was made above, and librdkafka keeps it
    // only of a record that it queues.
    let code = unsafe {
        let code = sys::rd_kafka_error_code(error);
        sys::rd_kafka_error_destroy(error);
        drop(<Context as ProducerContext>::DeliveryOpaque::from_ptr(opaque));
        code
    };
    Err(code.into())
}

/// Has what is queued sent at once, for `time` or until everything is answered: otherwise it waits for more to come
/// (`linger.ms`). Answers are not taken meanwhile.
pub(in super::super) fn hurry(producer: &BaseProducer<Context>, time: Duration) {
    let time_ms = c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the client is alive as long as `producer` is borrowed. That the time is over is no error here.
    unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), time_ms) };
}

/// Headers in librdkafka's form.
struct List(NonNull<sys::rd_kafka_headers_t>);

impl List {
    /// `None` where there is none.
    fn of(headers: &[Header<'_>]) -> Option<Self> {
        if headers.is_empty() {
            return None;
        }
        // SAFETY: no condition; the list is ours until it is destroyed or handed over with a record.
        let list = unsafe { sys::rd_kafka_headers_new(headers.len()) };
        let list = Self(NonNull::new(list)?);
        for (name, value) in headers {
            let start = value.map_or(ptr::null(), |value| {
                // An empty value is none to librdkafka only if it has no place.
                if value.is_empty() { c"".as_ptr().cast() } else { value.as_ptr().cast() }
            });
            let length = |bytes: &[u8]| isize::try_from(bytes.len()).expect("no slice is longer");
            // SAFETY: the list is alive, and the call copies as many bytes of name and value as it is told.
            unsafe {
                sys::rd_kafka_header_add(
                    list.0.as_ptr(),
                    name.as_ptr().cast(),
                    length(name),
                    start,
                    value.map_or(0, length),
                );
            }
        }
        Some(list)
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_headers_new` and not handed over, or it would have been forgotten.
        unsafe { sys::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}
