//! Which reasons of `quality` a query means: they count records, except for some that are notes on counted events.

use processor_core::schema::{QUALITY_DUPLICATE, QUALITY_LATE, QUALITY_NOTES};

use crate::influxql::Source;

/// The condition that leaves out the notes; it holds for measurements without reasons too.
#[must_use]
pub fn records_only(quality: &Source) -> String {
    none_of(quality, &QUALITY_NOTES)
}

/// The condition that picks what is neither counted nor an event that came twice or late: what was refused.
#[must_use]
pub fn rejections_only(quality: &Source) -> String {
    let others: Vec<_> = [QUALITY_DUPLICATE, QUALITY_LATE].into_iter().chain(QUALITY_NOTES).collect();
    none_of(quality, &others)
}

/// The condition that picks the notes.
#[must_use]
pub fn notes_only(quality: &Source) -> String {
    format!("{} =~ /^({})$/", quality.tag("reason"), QUALITY_NOTES.join("|"))
}

/// Whether a query shows notes, of which a stream in order has none.
#[must_use]
pub fn shows_notes(influxql: &str) -> bool {
    influxql.contains(&format!("=~ /^({})$/", QUALITY_NOTES.join("|")))
}

fn none_of(quality: &Source, reasons: &[&str]) -> String {
    format!("{} !~ /^({})$/", quality.tag("reason"), reasons.join("|"))
}
