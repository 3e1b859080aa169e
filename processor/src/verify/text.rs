//! A report for people and for machines.

use std::io::{self, Write};

use serde::Serialize;

use super::compare::moment;
use super::report::{Example, Records, Row};
use super::run::Verified;

/// Writes the report as text.
///
/// # Errors
/// Those of `out`.
pub fn write_text(verified: &Verified, out: &mut impl Write) -> io::Result<()> {
    let Verified { report, seconds, .. } = verified;
    let Records { read, counted, duplicates, late, late_by_the_wall_clock, rejected } = report.records;
    writeln!(
        out,
        "{read} records: {counted} counted, {duplicates} duplicates, {late} late, {late_by_the_wall_clock} late by the \
         wall clock, {rejected} rejected\n"
    )?;
    let place_width =
        report.rows.keys().map(|(place, _)| report.places[*place].len()).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "{:place_width$}  {:<11}  {:>10}  {:>10}  {:>9}  {:>9}  {:>10}  {:>8}  {:>8}",
        "WHERE", "WHAT", "COMPARED", "EQUAL", "MISSING", "DIFFERENT", "UNEXPECTED", "DOUBLED", "SKIPPED"
    )?;
    for ((place, what), row) in &report.rows {
        let Row { compared, equal, missing, different, unexpected, doubled, skipped } = row;
        writeln!(
            out,
            "{:place_width$}  {what:<11}  {compared:>10}  {equal:>10}  {missing:>9}  {different:>9}  {unexpected:>10}  \
             {doubled:>8}  {skipped:>8}",
            report.places[*place]
        )?;
    }
    if !report.examples.is_empty() {
        writeln!(out)?;
    }
    for example in &report.examples {
        let Example { kind, place, what, expected, found, records } = example;
        writeln!(out, "{}: {what} ({place})", kind.name())?;
        for (name, text) in [("expected", expected), ("found", found), ("records", records)] {
            if let Some(text) = text {
                writeln!(out, "    {name:<8}  {text}")?;
            }
        }
    }
    if !report.notes.is_empty() {
        writeln!(out)?;
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    let (compared, differences) = (report.compared(), report.differences());
    writeln!(out, "\n{compared} compared, {differences} differences, {seconds:.1} s")
}

/// Writes the report as one JSON object on one line.
///
/// # Errors
/// Those of `out`.
pub fn write_json(verified: &Verified, out: &mut impl Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        equal: bool,
        compared: u64,
        differences: u64,
        records: Records,
        rows: Vec<Line<'a>>,
        examples: &'a [Example],
        notes: &'a [String],
        final_until: [String; 3],
        seconds: f64,
    }
    #[derive(Serialize)]
    struct Line<'a> {
        place: &'a str,
        what: &'a str,
        #[serde(flatten)]
        row: Row,
    }
    let report = &verified.report;
    let line = |((place, what), row): (&(usize, &'static str), &Row)| Line {
        place: &report.places[*place],
        what,
        row: *row,
    };
    let document = Document {
        equal: report.differences() == 0,
        compared: report.compared(),
        differences: report.differences(),
        records: report.records,
        rows: report.rows.iter().map(line).collect(),
        examples: &report.examples,
        notes: &report.notes,
        final_until: verified.bounds.until.map(moment),
        seconds: verified.seconds,
    };
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}
