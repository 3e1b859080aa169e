//! Batches of records from a worker's own queue: with [`super::describe`] the only unsafe code of the processor.
//!
//! `rdkafka` has no wrapper for `rd_kafka_consume_batch_queue`, which hands over a whole array of records per call
//! and is the cheapest way to read. Three facts of librdkafka make a queue per worker sound and exact:
//!
//! - A partition's fetch queue, once forwarded by the application, keeps its destination when fetching starts.
//! - Scheduling a rebalance pauses every partition of the assignment, which raises each partition's version; records
//!   of an older version are dropped by the reading call. So nothing new of a partition arrives once
//!   [`super::Assignments::revoked`] is called, except what a call already under way is about to return.
//! - Any call that reads from any queue of a client counts as a poll for `max.poll.interval.ms`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::{Consumer, KafkaError, PartitionProblem};

/// Names a [`WorkerQueue`] of a consumer, to say where a partition is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub(super) usize);

/// A librdkafka queue of its own.
pub(super) struct NativeQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Set by [`NativeQueue::wake`] before the native flag, as a call that does not block consumes only the latter.
    woken: AtomicBool,
}

// SAFETY: librdkafka's queues take their own lock in every call; the pointer is never handed out.
unsafe impl Send for NativeQueue {}
// SAFETY: as above.
unsafe impl Sync for NativeQueue {}

impl NativeQueue {
    /// A queue of `client`. The caller keeps the client alive for as long as the queue.
    pub(super) fn new<C: ClientContext>(client: &Client<C>) -> Self {
        // SAFETY: `native_ptr` is a live client handle for as long as `client` is borrowed.
        let queue = unsafe { sys::rd_kafka_queue_new(client.native_ptr()) };
        Self {
            queue: NonNull::new(queue)
                .expect("librdkafka's allocator ends the process rather than return null"),
            woken: AtomicBool::new(false),
        }
    }

    /// Makes a waiting (or the next) [`WorkerQueue::consume`] return at once.
    pub(super) fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        // SAFETY: the queue is alive as long as `self`.
        unsafe { sys::rd_kafka_queue_yield(self.queue.as_ptr()) }
    }
}

impl Drop for NativeQueue {
    fn drop(&mut self) {
        // SAFETY: created by `rd_kafka_queue_new`, destroyed once; partitions still forwarded here hold references
        // of their own, and librdkafka frees what is left in the queue.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Sends what is fetched of a partition to `target`. To be called before the partition is assigned.
///
/// # Errors
/// [`KafkaError::UnknownTopic`] where librdkafka does not accept the name.
pub(super) fn forward_partition<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
    target: &NativeQueue,
) -> Result<(), KafkaError> {
    let unknown = || KafkaError::UnknownTopic { topic: topic.to_owned() };
    let name = CString::new(topic).map_err(|_| unknown())?;
    // SAFETY: a live client and a NUL-terminated name; the result is null or a reference that we destroy below.
    let source = unsafe { sys::rd_kafka_queue_get_partition(client.native_ptr(), name.as_ptr(), partition) };
    let source = NonNull::new(source).ok_or_else(unknown)?;
    // SAFETY: both queues are alive; the forward keeps its own reference to the target, and dropping ours to the
    // source leaves the partition's queue in place.
    unsafe {
        sys::rd_kafka_queue_forward(source.as_ptr(), target.queue.as_ptr());
        sys::rd_kafka_queue_destroy(source.as_ptr());
    }
    Ok(())
}

/// Sends offsets to the group; the outcome comes as an event of the consumer's own queue, so by its poll.
///
/// `rdkafka`'s asynchronous commit passes no queue, and librdkafka then tells nobody how it ended.
pub(super) fn commit_to_poll<C: ClientContext>(
    client: &Client<C>,
    offsets: &TopicPartitionList,
) -> Result<(), RDKafkaErrorCode> {
    // SAFETY: a live client; the result is null or a reference that we destroy below.
    let queue = unsafe { sys::rd_kafka_queue_get_consumer(client.native_ptr()) };
    let queue = NonNull::new(queue).ok_or(RDKafkaErrorCode::UnknownGroup)?;
    // SAFETY: client, list and queue are alive during the call, which copies the list and keeps a reference of its own
    // to the queue; without a callback the opaque pointer is never looked at.
    let code = unsafe {
        let code = sys::rd_kafka_commit_queue(
            client.native_ptr(),
            offsets.ptr(),
            queue.as_ptr(),
            None,
            ptr::null_mut(),
        );
        sys::rd_kafka_queue_destroy(queue.as_ptr());
        code
    };
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        error => Err(error.into()),
    }
}

/// The end offset (high watermark) seen by the last fetch of a partition, without asking the broker.
pub(super) fn cached_end_offset<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let name = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: a live client, a NUL-terminated name and two valid places to write to.
    let code = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            name.as_ptr(),
            partition,
            &mut low,
            &mut high,
        )
    };
    (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// A worker thread's own queue: records of the partitions forwarded to it, in offset order per partition.
pub struct WorkerQueue {
    /// Records of the batch handed out last; [`Batch`] frees them.
    messages: Vec<*mut sys::rd_kafka_message_t>,
    // Before `consumer`: a queue must not outlive its client.
    native: Arc<NativeQueue>,
    id: QueueId,
    _consumer: Consumer,
}

// SAFETY: the pointers in `messages` are owned by this queue alone and librdkafka lets any thread free them.
unsafe impl Send for WorkerQueue {}

impl WorkerQueue {
    pub(super) fn new(id: QueueId, native: Arc<NativeQueue>, consumer: Consumer) -> Self {
        Self { messages: Vec::new(), native, id, _consumer: consumer }
    }

    /// What [`super::Start::queue`] takes, and [`Consumer::wake`].
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Takes up to `max` records: at once if there are any, else after waiting up to `timeout` for the first.
    ///
    /// Returns early and empty after [`Consumer::wake`].
    pub fn consume(&mut self, timeout: Duration, max: usize) -> Batch<'_> {
        // Only a forgotten (leaked) batch leaves something here.
        release(&mut self.messages);
        self.fill(Duration::ZERO, max);
        if self.messages.is_empty() && !timeout.is_zero() && !self.native.woken.swap(false, Ordering::SeqCst)
        {
            // librdkafka waits until the array is full, so wait for one record only, then take what came with it.
            self.fill(timeout, max.min(1));
            if !self.messages.is_empty() {
                self.fill(Duration::ZERO, max - 1);
            }
        }
        Batch { messages: &mut self.messages }
    }

    fn fill(&mut self, timeout: Duration, max: usize) {
        let length = self.messages.len();
        self.messages.reserve(max);
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: there is room for `max` pointers from `length` on; librdkafka writes at most that many, each of
        // which we then own, and returns how many it wrote.
        unsafe {
            let free = self.messages.as_mut_ptr().add(length);
            let count = sys::rd_kafka_consume_batch_queue(self.native.queue.as_ptr(), timeout_ms, free, max);
            self.messages.set_len(length + usize::try_from(count).unwrap_or(0));
        }
    }
}

impl Drop for WorkerQueue {
    fn drop(&mut self) {
        release(&mut self.messages);
    }
}

fn release(messages: &mut Vec<*mut sys::rd_kafka_message_t>) {
    for message in messages.drain(..) {
        // SAFETY: received from `rd_kafka_consume_batch_queue`, destroyed exactly once as `drain` removes it.
        unsafe { sys::rd_kafka_message_destroy(message) }
    }
}

/// What one [`WorkerQueue::consume`] took; freed when dropped.
#[must_use = "dropping a batch loses its records for this assignment"]
pub struct Batch<'q> {
    messages: &'q mut Vec<*mut sys::rd_kafka_message_t>,
}

impl Batch<'_> {
    /// Records, ends of partitions and problems in it.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing came in time.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Its content in order: runs of records of one partition, ends and problems in their place.
    pub fn items(&self) -> Items<'_> {
        Items { rest: self.messages, _batch: PhantomData }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        release(self.messages);
    }
}

/// A part of a batch.
pub enum Item<'b> {
    /// Successive records of one partition.
    Run(Run<'b>),
    /// Everything readable of a partition has been read, for now.
    End(PartitionEnd<'b>),
    /// A partition that cannot be read for now.
    Problem(PartitionProblem),
}

/// The end of a partition as a reader of committed records sees it: records before `offset` have all been handed out,
/// and `offset` lies past the markers of transactions, which take offsets without being records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionEnd<'b> {
    /// The topic.
    pub topic: &'b str,
    /// The partition.
    pub partition: i32,
    /// Where the next record will be.
    pub offset: i64,
}

/// Iterator of [`Batch::items`].
pub struct Items<'b> {
    rest: &'b [*mut sys::rd_kafka_message_t],
    _batch: PhantomData<Message<'b>>,
}

impl<'b> Iterator for Items<'b> {
    type Item = Item<'b>;

    fn next(&mut self) -> Option<Item<'b>> {
        let first = message(*self.rest.first()?);
        if first.native.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            self.rest = &self.rest[1..];
            if first.native.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF {
                let (topic, partition) = (topic(first), first.native.partition);
                return Some(Item::End(PartitionEnd { topic, partition, offset: first.native.offset }));
            }
            return Some(Item::Problem(problem(first)));
        }
        let continues = |&&other: &&*mut sys::rd_kafka_message_t| {
            let other = message(other).native;
            // Within a batch every record holds a reference to its topic, so equal pointers are the same topic.
            other.rkt == first.native.rkt
                && other.partition == first.native.partition
                && other.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        };
        let length = 1 + self.rest[1..].iter().take_while(continues).count();
        let (run, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Item::Run(Run { topic: topic(first), partition: first.native.partition, messages: run }))
    }
}

/// Successive records of one partition, in offset order (with gaps where the log has them).
#[derive(Clone, Copy)]
pub struct Run<'b> {
    topic: &'b str,
    partition: i32,
    messages: &'b [*mut sys::rd_kafka_message_t],
}

impl<'b> Run<'b> {
    /// The topic.
    pub fn topic(&self) -> &'b str {
        self.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Number of records, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a run is never empty")]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// The records.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Message<'b>> + use<'b> {
        self.messages.iter().map(|&native| message(native))
    }
}

/// One record, borrowed from its batch.
#[derive(Clone, Copy)]
pub struct Message<'b> {
    native: &'b sys::rd_kafka_message_t,
}

impl<'b> Message<'b> {
    /// Its offset.
    #[inline]
    pub fn offset(self) -> i64 {
        self.native.offset
    }

    /// The value; `None` is a tombstone.
    #[inline]
    pub fn payload(self) -> Option<&'b [u8]> {
        bytes(self.native.payload.cast(), self.native.len)
    }

    /// The key.
    #[inline]
    pub fn key(self) -> Option<&'b [u8]> {
        bytes(self.native.key.cast(), self.native.key_len)
    }

    /// The record's timestamp in milliseconds since the epoch: its producer's or, by topic setting, the broker's.
    #[inline]
    pub fn timestamp_ms(self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a live message and a valid place to write to.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.native, &mut kind) };
        (timestamp >= 0).then_some(timestamp)
    }

    /// The headers, parsed at the first call.
    pub fn headers(self) -> Headers<'b> {
        let mut list = ptr::null_mut();
        // SAFETY: a live message and a valid place to write to. Parsing changes memory behind the message, not the
        // struct we borrow, and messages never leave their thread (they hold raw pointers, so they are not `Send`).
        let code = unsafe { sys::rd_kafka_message_headers(self.native, &mut list) };
        let found = code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        Headers { list: NonNull::new(list).filter(|_| found), next: 0, _message: PhantomData }
    }
}

/// Headers of a record in their order: name and value (`None`: a null value). Names are bytes, as Kafka does not
/// keep producers to UTF-8.
pub struct Headers<'b> {
    list: Option<NonNull<sys::rd_kafka_headers_t>>,
    next: usize,
    _message: PhantomData<Message<'b>>,
}

impl<'b> Iterator for Headers<'b> {
    type Item = (&'b [u8], Option<&'b [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let list = self.list?;
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list belongs to a message alive for 'b; three valid places to write to.
        let code = unsafe {
            sys::rd_kafka_header_get_all(list.as_ptr(), self.next, &mut name, &mut value, &mut size)
        };
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        self.next += 1;
        // SAFETY: on success the name is a NUL-terminated string inside the list, alive for 'b.
        let name = unsafe { CStr::from_ptr(name) };
        Some((name.to_bytes(), bytes(value.cast(), size)))
    }
}

/// The headers of a message of the crate's own, whose reader panics on a name that is not UTF-8.
pub(super) fn headers_of<'b>(message: &'b BorrowedMessage<'_>) -> Headers<'b> {
    // SAFETY: the message is alive and owned by the borrow, and like ours it is read by one thread at a time: its
    // headers are reached only here.
    Message { native: unsafe { &*message.ptr() } }.headers()
}

#[inline]
fn message<'b>(native: *mut sys::rd_kafka_message_t) -> Message<'b> {
    // SAFETY: called only with pointers of a batch that is borrowed for 'b: valid and not freed before it ends.
    Message { native: unsafe { &*native } }
}

#[inline]
fn bytes<'b>(start: *const u8, length: usize) -> Option<&'b [u8]> {
    // SAFETY: librdkafka gives null or `length` readable bytes that live as long as their message, 'b here.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start, length) })
}

fn topic<'b>(message: Message<'b>) -> &'b str {
    if message.native.rkt.is_null() {
        return "";
    }
    // SAFETY: the message holds a reference to its topic, whose name is NUL-terminated and does not change.
    let name: &'b CStr = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(message.native.rkt)) };
    name.to_str().expect("kafka allows only ASCII in topic names")
}

fn problem(message: Message<'_>) -> PartitionProblem {
    // SAFETY: a live message; the text is null or NUL-terminated and lives as long as the message.
    let reason = unsafe {
        let text = sys::rd_kafka_message_errstr(message.native);
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    };
    PartitionProblem {
        topic: topic(message).to_owned(),
        partition: message.native.partition,
        code: message.native.err.into(),
        reason,
    }
}
