//! A mapping onto the contract's names, guessed from the names and values that records have.

use std::collections::{BTreeMap, BTreeSet};

use events::{Became, Decoder, DecoderOptions, EventType, Field, Reason, Shape};

use super::columns::{Column, Columns};
use super::times::{self, Found};
use super::{Record, Suggestion, names, types};

/// So many names may be suggested for one field.
const NAMES_PER_FIELD: usize = 3;
/// More types than this are no types.
const TYPES_MAX: usize = 60;

/// What may be added to the options.
pub(super) fn guess(base: &DecoderOptions, records: &[Record<'_>]) -> Suggestion {
    let mut suggestion = Suggestion { base: base.clone(), ..Suggestion::nothing() };
    let Some(columns) = Columns::of(base, records).filter(|columns| columns.objects > 0) else {
        return suggestion;
    };
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for field in names::fields() {
        map(field, &columns, &mut taken, &mut suggestion);
    }
    let known = columns.iter().filter_map(|column| Some((column.path.clone(), column.used?.name())));
    suggestion.known = known.filter(|(path, ours)| path != ours).collect();
    latency(&columns, &taken, &mut suggestion);
    event_types(&columns, records, &mut suggestion);
    default_type(&columns, &mut suggestion);
    suggestion
}

/// Names for one field, as far as records lack it.
fn map<'c>(field: Field, columns: &'c Columns, taken: &mut BTreeSet<&'c str>, suggestion: &mut Suggestion) {
    let mut covered = columns.covered.get(&field).cloned().unwrap_or_default();
    if field == Field::Url {
        // A request line says it too.
        let lines = columns.iter().filter(|column| {
            column.used == Some(Field::Request)
                || suggestion.fields.iter().any(|(path, ours, _)| *path == column.path && *ours == "request")
        });
        covered.extend(lines.flat_map(|column| column.values.iter().map(|(number, _, _)| *number)));
    }
    if field == Field::Kind {
        let kinds = columns.covered.get(&Field::Kind);
        if kinds.is_some_and(|kinds| !kinds.is_empty()) {
            return; // Two names for the type would only contradict each other.
        }
    }
    let mut found: Vec<(usize, &Column)> = columns
        .iter()
        .filter(|column| is_free(column, field) && !taken.contains(&*column.path))
        .filter_map(|column| {
            Some((names::rank(field, &column.path).or_else(|| by_value(field, column))?, column))
        })
        .collect();
    found.sort_by_key(|(rank, _)| *rank);
    // Names alone do not make a time.
    found.retain(|(_, column)| {
        field != Field::Time || fits(field, column) || times::format_of(column) != Found::Unknown
    });
    if field == Field::Time && found.is_empty() {
        found.extend(by_look(columns, taken).map(|column| (UNNAMED, column)));
    }
    let mut named = 0;
    for (_, column) in found {
        let new = column.values.iter().filter(|(number, _, _)| !covered.contains(number)).count();
        if new == 0 || named == NAMES_PER_FIELD {
            continue;
        }
        if !fits(field, column) {
            if field == Field::Time && other_format(column, suggestion) {
                // Read by its format.
            } else {
                continue;
            }
        }
        let is_known = column.unusable == Some(field);
        if !is_known {
            let why = reason(field, column, columns.objects);
            suggestion.fields.push((column.path.clone(), field.name(), why));
        }
        taken.insert(&column.path);
        covered.extend(column.values.iter().map(|(number, _, _)| *number));
        named += 1;
        if matches!(field, Field::Kind | Field::EventId) {
            break;
        }
    }
    let lacking = columns.objects.saturating_sub(covered.len());
    let (what, cure) = match field {
        Field::Time => ("no time", "\"…\" = \"event_timestamp\""),
        Field::UserId => ("no user", "\"…\" = \"user_id\""),
        _ => return,
    };
    if lacking > 0 {
        suggestion.doubts.push(format!(
            "{lacking} of {} records have {what} that could be found; if a member says it: {cure}",
            columns.objects
        ));
    }
}

/// Whether a column may be given a meaning.
fn is_free(column: &Column, field: Field) -> bool {
    match column.used {
        None => column.unusable.is_none_or(|unusable| unusable == field || column.path == "type"),
        // `type` is a conversion's kind where it is no type of ours.
        Some(Field::ConversionType) => field == Field::Kind && column.path == "type",
        Some(_) => false,
    }
}

/// Behind every name that is known.
const UNNAMED: usize = 1_000;

/// The first column of full moments, where no name says which it is: date and time in text, or a number that is called a
/// time of some kind.
fn by_look<'c>(columns: &'c Columns, taken: &BTreeSet<&str>) -> Option<&'c Column> {
    let is_one = |column: &&Column| {
        let name = names::squeezed(&column.path);
        let is_called_so = ["time", "date", "stamp", "epoch"].iter().any(|part| name.contains(part));
        let is_full = |shape: Shape, value: &str| match shape {
            Shape::Text => value.contains(':') || is_called_so && value.len() >= "1755010800".len(),
            _ => is_called_so,
        };
        // Those of people and of products are no moments of events.
        let is_other = ["birth", "expir", "valid", "deliver", "due"].iter().any(|part| name.contains(part));
        !is_other
            && is_free(column, Field::Time)
            && !taken.contains(&*column.path)
            && column.mostly(|shape, value| is_full(shape, value) && times::is_moment(shape, value))
    };
    columns.iter().find(is_one)
}

/// Columns whose values leave no doubt, whatever they are called.
fn by_value(field: Field, column: &Column) -> Option<usize> {
    let is_certain = match field {
        Field::Request => column.mostly(|shape, value| shape == Shape::Text && is_request_line(value)),
        Field::Method => column.mostly(|shape, value| shape == Shape::Text && is_usual_method(value)),
        _ => false,
    };
    is_certain.then_some(UNNAMED)
}

/// Whether a column's values can be what the field means.
fn fits(field: Field, column: &Column) -> bool {
    let distinct = column.distinct().len();
    let text = |shape: Shape| shape == Shape::Text;
    let identity = |shape: Shape, value: &str| {
        matches!(shape, Shape::Text)
            || shape == Shape::Number && value.bytes().all(|byte| byte.is_ascii_digit())
    };
    let number = |shape: Shape, value: &str| {
        matches!(shape, Shape::Number | Shape::Text) && value.trim().parse::<f64>().is_ok()
    };
    match field {
        Field::Time => column.mostly(times::is_moment),
        Field::UserId => column.mostly(identity) && column.mostly(|_, value| value != "-"),
        Field::Kind => {
            let known = column
                .distinct()
                .into_iter()
                .filter(|name| types::is_ours(name) || types::ours(name).is_some());
            column.mostly(|shape, _| text(shape)) && distinct <= TYPES_MAX && known.count() > 0
        }
        Field::Status => column.mostly(|_, value| {
            value.parse::<u16>().is_ok_and(|status| status == 0 || (100..1000).contains(&status))
        }),
        Field::Request => column.mostly(|shape, value| text(shape) && is_request_line(value)),
        Field::Url => column.mostly(|shape, value| text(shape) && is_url(value)),
        Field::Method => column.mostly(|shape, value| text(shape) && is_usual_method(value)),
        Field::Amount | Field::Price | Field::Quantity => column.mostly(number),
        Field::Currency => column.mostly(|shape, value| {
            text(shape)
                && value.trim().len() == 3
                && value.trim().bytes().all(|byte| byte.is_ascii_alphabetic())
        }),
        // An identity that repeats would make records repeats that are none.
        Field::EventId => column.mostly(identity) && distinct == column.values.len(),
        Field::ProductId
        | Field::CheckoutId
        | Field::ClickId
        | Field::CampaignId
        | Field::ConversionId
        | Field::SearchId => column.mostly(identity),
        _ => column.mostly(|shape, _| text(shape)),
    }
}

/// Whether a column's times have a format that can be named, which then is in the suggestion.
fn other_format(column: &Column, suggestion: &mut Suggestion) -> bool {
    let example = column.values.first().map_or("", |(_, _, value)| value);
    match times::format_of(column) {
        Found::Certain(format) => {
            suggestion.time =
                Some((format, format!("{} is written as {example:?}; UTC is assumed", column.path)));
            true
        }
        Found::Either(days, months) => {
            suggestion.doubts.push(format!(
                "{} is written as {example:?}: is the day first? time = {{ format = \"{days}\" }} or the month? time = {{ format \
                 = \"{months}\" }}",
                column.path
            ));
            true
        }
        Found::Unknown => false,
    }
}

fn reason(field: Field, column: &Column, objects: usize) -> String {
    let records: BTreeSet<usize> = column.values.iter().map(|(number, _, _)| *number).collect();
    let mut why = format!("in {} of {objects} records", records.len());
    let distinct = column.distinct();
    match field {
        // Who it is stays out of a file of settings.
        Field::UserId => why.push_str(&format!(", {} different", distinct.len())),
        Field::Time | Field::Status | Field::Method | Field::Kind | Field::Currency => {
            let some: Vec<&str> = distinct.into_iter().take(3).collect();
            why.push_str(&format!(": {}", some.join(", ")));
        }
        _ => {}
    }
    why
}

fn latency(columns: &Columns, taken: &BTreeSet<&str>, suggestion: &mut Suggestion) {
    if columns.covered.contains_key(&Field::Latency) {
        return;
    }
    let free = columns.iter().filter(|column| {
        column.used.is_none()
            && !taken.contains(&*column.path)
            && column.mostly(|_, value| value.parse::<f64>().is_ok_and(|number| number >= 0.0))
    });
    for column in free {
        match names::latency(&column.path) {
            Some(Ok(ours)) => {
                let why = reason(Field::Latency, column, columns.objects);
                suggestion.fields.push((column.path.clone(), ours, why));
                return;
            }
            Some(Err(())) => suggestion.doubts.push(format!(
                "{} looks like a latency, of which unit? \"{}\" = \"latency_ms\" or \"latency_s\", \"latency_us\", \"latency_ns\"",
                column.path, column.path
            )),
            None => {}
        }
    }
}

/// What becomes of each of their types.
fn event_types(columns: &Columns, records: &[Record<'_>], suggestion: &mut Suggestion) {
    let mapped = |column: &&Column| {
        column.used == Some(Field::Kind)
            || suggestion
                .fields
                .iter()
                .any(|(path, ours, _)| *path == column.path && *ours == Field::Kind.name())
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for column in columns.iter().filter(mapped) {
        for (_, _, value) in &column.values {
            *seen.entry(value.clone()).or_default() += 1;
        }
    }
    let told = &suggestion.base.mapping.event_types;
    seen.retain(|name, _| !types::is_ours(name) && !told.contains_key(name));
    let theirs: Vec<(String, usize)> = seen.into_iter().collect();
    if theirs.len() > TYPES_MAX {
        suggestion.doubts.push(format!("there are {} different types; none is mapped", theirs.len()));
        return;
    }
    for (name, count) in theirs {
        let Some(kind) = types::ours(&name) else {
            if name != "*" && refused_as(&name, records, suggestion).0 == Some(Reason::UnknownEventType) {
                let why = format!("{}; no type of ours is called so", records_of(count));
                suggestion.event_types.push((name, EventType::Other, why));
            }
            continue;
        };
        let with = records_of(count);
        let kind = if kind == EventType::PageView && is_of_products(&name, records, suggestion) {
            EventType::ProductClick
        } else {
            kind
        };
        suggestion.event_types.push((name.clone(), kind, with));
        // Where none of them has what the type needs, they are events and no more.
        if let (Some(_), Some(detail)) = refused_as(&name, records, suggestion) {
            let last = suggestion.event_types.last_mut().expect("one was added");
            last.1 = EventType::Other;
            last.2 = format!("{}; would be {} but for {detail}", records_of(count), kind.name());
        }
        // As it is without being named.
        let others = suggestion.base.mapping.event_types.get("*").copied();
        suggestion.event_types.pop_if(|(_, kind, _)| Some(*kind) == others);
    }
}

fn records_of(count: usize) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

/// Whether every record of a type shows a product and none a page, so that its view is a product's.
fn is_of_products(name: &str, records: &[Record<'_>], suggestion: &Suggestion) -> bool {
    let Ok(mut decoder) = Decoder::new(&suggestion.options()) else { return false };
    let mut found = false;
    for record in records {
        let explanation = decoder.explain(Some(record.value));
        let is_kind =
            |member: &events::Member| member.value == name && member.became == Became::Used(Field::Kind);
        if explanation.members.iter().any(is_kind) {
            let used = explanation.used();
            if !used.contains(Field::ProductId) || used.contains(Field::Url) || used.contains(Field::Request)
            {
                return false;
            }
            found = true;
        }
    }
    found
}

/// Why every record of a type is refused, if each is; and what it lacks, if that is why.
fn refused_as(
    name: &str,
    records: &[Record<'_>],
    suggestion: &Suggestion,
) -> (Option<Reason>, Option<String>) {
    let Ok(mut decoder) = Decoder::new(&suggestion.options()) else { return (None, None) };
    let mut answer = (None, None);
    for record in records {
        let explanation = decoder.explain(Some(record.value));
        let is_of_it = explanation
            .members
            .iter()
            .any(|member| member.value == name && member.became == Became::Used(Field::Kind));
        if !is_of_it {
            continue;
        }
        match explanation.outcome {
            Ok(_) => return (None, None),
            Err(rejection) => {
                let lacks = (rejection.reason == Reason::MissingField
                    && !rejection.detail.starts_with("event_timestamp"))
                .then(|| rejection.detail.split(':').next().unwrap_or_default().to_owned());
                answer = (Some(rejection.reason), lacks);
            }
        }
    }
    answer
}

/// The type of records that name none.
fn default_type(columns: &Columns, suggestion: &mut Suggestion) {
    let has = |field: Field| {
        columns.covered.get(&field).is_some_and(|records| records.len() * 10 >= columns.objects * 9)
            || suggestion.fields.iter().any(|(_, ours, _)| *ours == field.name())
    };
    if suggestion.base.default_type != EventType::PageView
        || has(Field::Kind)
        || columns.covered.contains_key(&Field::Kind)
        || has(Field::Status)
    {
        return;
    }
    suggestion.event_type = if has(Field::CheckoutId) && has(Field::Amount) {
        Some(EventType::Checkout)
    } else if has(Field::ClickId) && has(Field::ProductId) {
        Some(EventType::ProductClick)
    } else if has(Field::SearchId) && has(Field::Query) {
        Some(EventType::Search)
    } else {
        None
    };
}

fn is_request_line(value: &str) -> bool {
    let mut words = value.split(' ');
    let method = words.next().unwrap_or_default();
    is_usual_method(method) && words.next().is_some() && value.contains(" HTTP/")
}

fn is_usual_method(value: &str) -> bool {
    const USUAL: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"];
    USUAL.iter().any(|usual| usual.eq_ignore_ascii_case(value))
}

fn is_url(value: &str) -> bool {
    let value = value.trim();
    (value.starts_with('/')
        || value.starts_with("http://")
        || value.starts_with("https://")
        || value.contains('/'))
        && !value.contains(' ')
}
