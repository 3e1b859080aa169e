//! Records that must be rejected: one for each reason that a JSON record can give.

use std::io::Write as _;

use events::{Reason, Timestamp};

/// The reasons, in the order the records take turns.
///
/// Not among them: `too_large`, as the limit is a setting of whoever reads, those that only lines or Avro know,
/// and the reserved.
pub const REASONS: [Reason; 8] = [
    Reason::NotJson,
    Reason::NotAnObject,
    Reason::MissingField,
    Reason::WrongType,
    Reason::BadTimestamp,
    Reason::FutureTimestamp,
    Reason::UnknownEventType,
    Reason::EmptyValue,
];

/// In the year 2100: after every broker's clock, within what a timestamp may be.
const FUTURE_S: i64 = 4_102_444_800;

/// Appends a record that must be rejected for `reason`, as if made at `time` by the user with the id `user`.
pub(crate) fn write(out: &mut Vec<u8>, reason: Reason, user: &str, number: u64, time: Timestamp) {
    let at = format_args!("{}.{:06}", time.secs(), time.micros().rem_euclid(1_000_000)).to_string();
    let written = match reason {
        Reason::NotJson => write!(out, r#"{{"event_id":"x{number}","user_id":"{user}","event_timest"#),
        Reason::NotAnObject => write!(out, r#"["x{number}","{user}",{at}]"#),
        Reason::MissingField => {
            write!(
                out,
                r#"{{"event_id":"x{number}","user_id":"{user}","event_timestamp":{at},"event_type":"checkout"}}"#
            )
        }
        Reason::WrongType => write!(
            out,
            r#"{{"event_id":"x{number}","user_id":"{user}","event_timestamp":{at},"event_type":"product_click","product_id":["p"]}}"#
        ),
        Reason::BadTimestamp => write!(
            out,
            r#"{{"event_id":"x{number}","user_id":"{user}","event_timestamp":"yesterday","event_type":"page_view","url":"/","http_status":200}}"#
        ),
        Reason::FutureTimestamp => write!(
            out,
            r#"{{"event_id":"x{number}","user_id":"{user}","event_timestamp":{FUTURE_S},"event_type":"page_view","url":"/","http_status":200}}"#
        ),
        Reason::UnknownEventType => write!(
            out,
            r#"{{"event_id":"x{number}","user_id":"{user}","event_timestamp":{at},"event_type":"telepathy"}}"#
        ),
        Reason::EmptyValue => Ok(()),
        Reason::TooLarge
        | Reason::StatusOutOfRange
        | Reason::BadLine
        | Reason::BadAvro
        | Reason::UnknownSchema => {
            unreachable!("not among the reasons that take turns")
        }
    };
    written.expect("a Vec takes every byte");
}
