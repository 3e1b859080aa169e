//! One record in one Produce request, written by hand: clients in other languages stamp records with 0 or nothing at all,
//! which librdkafka takes for "now".

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PRODUCE: i16 = 0;
/// The oldest that Kafka 4 takes.
const VERSION: i16 = 3;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Writes one record to the broker that leads its partition, and waits for its acknowledgement.
///
/// # Panics
/// If it is not acknowledged.
pub(crate) fn produce(
    broker: &str,
    topic: &str,
    partition: i32,
    timestamp_ms: i64,
    (key, value): (Option<&[u8]>, Option<&[u8]>),
) {
    let batch = batch(timestamp_ms, &record(key, value));
    let mut request = Vec::new();
    request.extend(PRODUCE.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(7_i32.to_be_bytes()); // correlation
    text(&mut request, "clickpulse-harness");
    request.extend((-1_i16).to_be_bytes()); // no transaction
    request.extend((-1_i16).to_be_bytes()); // acknowledged by all replicas
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    text(&mut request, topic);
    request.extend(1_i32.to_be_bytes());
    request.extend(partition.to_be_bytes());
    sized(&mut request, &batch);

    let mut stream = TcpStream::connect(broker).expect("the broker is there");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket has timeouts");
    let mut framed = Vec::new();
    sized(&mut framed, &request);
    stream.write_all(&framed).expect("the broker takes the request");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("the broker answers");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("a whole answer");
    // Correlation, one topic with its name, one partition with its number: then the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    let error = i16::from_be_bytes([answer[at], answer[at + 1]]);
    assert_eq!(error, 0, "the broker takes a record of {timestamp_ms} ms");
}

/// A record of a batch: no headers, the batch's own timestamp.
fn record(key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![0, 0, 0]; // attributes, timestamp delta, offset delta
    for bytes in [key, value] {
        match bytes {
            Some(bytes) => {
                varint(&mut body, bytes.len() as i64);
                body.extend(bytes);
            }
            None => varint(&mut body, -1),
        }
    }
    varint(&mut body, 0);
    let mut record = Vec::new();
    varint(&mut record, body.len() as i64);
    record.extend(body);
    record
}

/// A batch of one record, in the format of Kafka 0.11 and later.
fn batch(timestamp_ms: i64, record: &[u8]) -> Vec<u8> {
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes()); // attributes: not compressed, stamped by who made it
    checked.extend(0_i32.to_be_bytes()); // last offset delta
    checked.extend(timestamp_ms.to_be_bytes());
    checked.extend(timestamp_ms.to_be_bytes());
    checked.extend((-1_i64).to_be_bytes()); // no producer id, epoch and sequence
    checked.extend((-1_i16).to_be_bytes());
    checked.extend((-1_i32).to_be_bytes());
    checked.extend(1_i32.to_be_bytes());
    checked.extend(record);

    let mut rest = Vec::new();
    rest.extend((-1_i32).to_be_bytes()); // leader epoch
    rest.push(2); // magic
    rest.extend(crc32c(&checked).to_be_bytes());
    rest.extend(checked);
    let mut batch = 0_i64.to_be_bytes().to_vec(); // base offset
    sized(&mut batch, &rest);
    batch
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(i32::try_from(bytes.len()).expect("small enough").to_be_bytes());
    out.extend(bytes);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(i16::try_from(text.len()).expect("a short name").to_be_bytes());
    out.extend(text.as_bytes());
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn integers_are_zigzagged_and_short() {
        let mut out = Vec::new();
        for value in [0, -1, 1, 63, 64, -65, 300] {
            varint(&mut out, value);
        }
        assert_eq!(out, [0, 1, 2, 126, 0x80, 1, 0x81, 1, 0xd8, 4]);
    }
}
