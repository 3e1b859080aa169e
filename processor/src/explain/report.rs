//! What records become, one by one and all together, as text or JSON.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};

use events::{Became, Decoder, Event, EventType, Explanation, Field, FieldSet, Member};
use serde_json::{Value, json};

use super::sample::Sample;
use super::words::{moment, money, records, shown};

/// Records that become the same in the same way are told so often.
const TOLD_OF_A_KIND: u64 = 3;
/// So many ways of becoming something are told apart; what comes then is only counted.
const KINDS_MAX: usize = 1_000;
/// So many members that mean nothing are counted by their names.
const UNKNOWN_MAX: usize = 200;

/// Explains records, and keeps count.
#[derive(Debug)]
pub struct Explainer {
    decoder: Decoder,
    json: bool,
    /// By the way a record became what it is: how many there were.
    kinds: HashMap<u64, u64>,
    /// Not told one by one since the last that was.
    untold: u64,
    tally: Tally,
}

/// What all records together became.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many there were.
    pub records: u64,
    /// How many count, by type.
    pub counted: BTreeMap<EventType, u64>,
    /// How many do not, by reason, with what was said of the first.
    pub refused: BTreeMap<&'static str, (u64, String)>,
    /// Of those that count, how many lack a field.
    pub incomplete: BTreeMap<(EventType, Field), u64>,
    /// Of those that count, how many have a value of no use for a field.
    pub unusable: BTreeMap<Field, u64>,
    /// Members that mean nothing: how many records have one, and the first value.
    pub unknown: BTreeMap<String, (u64, String)>,
}

impl Tally {
    /// How many records count.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counted.values().sum()
    }

    /// How many do not.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refused.values().map(|(count, _)| count).sum()
    }

    /// Adds what one record became.
    pub fn add(&mut self, explanation: &Explanation<'_>) {
        self.records += 1;
        match &explanation.outcome {
            Ok(event) => {
                *self.counted.entry(event.kind).or_default() += 1;
                for field in event.notes.incomplete.iter() {
                    *self.incomplete.entry((event.kind, field)).or_default() += 1;
                }
                for field in event.notes.unusable.iter() {
                    *self.unusable.entry(field).or_default() += 1;
                }
            }
            Err(rejection) => {
                let detail = || rejection.detail.clone();
                self.refused.entry(rejection.reason.name()).or_insert_with(|| (0, detail())).0 += 1;
            }
        }
        for member in explanation.members.iter().filter(|member| member.became == Became::Unknown) {
            if self.unknown.len() < UNKNOWN_MAX || self.unknown.contains_key(&member.path) {
                let first = || (0, member.value.clone());
                self.unknown.entry(member.path.clone()).or_insert_with(first).0 += 1;
            }
        }
    }
}

impl Explainer {
    /// By what the decoder of an input says.
    #[must_use]
    pub fn new(decoder: Decoder, json: bool) -> Self {
        Self { decoder, json, kinds: HashMap::new(), untold: 0, tally: Tally::default() }
    }

    /// What was seen.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Says what one record becomes.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn record(&mut self, sample: &Sample, out: &mut impl Write) -> io::Result<()> {
        let explanation = self.decoder.explain(sample.value.as_deref());
        self.tally.add(&explanation);
        if self.json {
            return writeln!(out, "{}", as_json(sample, &explanation));
        }
        let kind = kind_of(&explanation);
        let is_known = self.kinds.len() < KINDS_MAX || self.kinds.contains_key(&kind);
        let seen = if is_known { self.kinds.entry(kind).or_default() } else { &mut TOLD_OF_A_KIND.clone() };
        *seen += 1;
        if *seen > TOLD_OF_A_KIND {
            self.untold += 1;
            return Ok(());
        }
        write_untold(&mut self.untold, out)?;
        write_record(sample, &explanation, out)
    }

    /// Says what all of them became, and what could be done about it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn summary(&mut self, hints: &[String], out: &mut impl Write) -> io::Result<()> {
        if self.json {
            let mut summary = tally_json(&self.tally);
            summary["summary"]["hints"] = hints.into();
            return writeln!(out, "{summary}");
        }
        write_untold(&mut self.untold, out)?;
        write_tally(&self.tally, out)?;
        for hint in hints {
            writeln!(out, "hint: {}", shown_long(hint))?;
        }
        Ok(())
    }
}

fn write_untold(untold: &mut u64, out: &mut impl Write) -> io::Result<()> {
    match std::mem::take(untold) {
        0 => Ok(()),
        count => writeln!(out, "… {} like ones above", records(count)),
    }
}

/// The same for records that become the same type, or are refused for the same reason, in the same way.
fn kind_of(explanation: &Explanation<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &explanation.outcome {
        Ok(event) => (event.kind, status_class(event), event.notes.incomplete.iter().collect::<Vec<_>>())
            .hash(&mut hasher),
        Err(rejection) => rejection.reason.name().hash(&mut hasher),
    }
    for member in &explanation.members {
        let (what, field) = match &member.became {
            Became::Used(field) => (0, Some(field)),
            Became::Outranked { field, .. } => (1, Some(field)),
            Became::Nothing(field) => (2, Some(field)),
            Became::Unusable { field, .. } => (3, Some(field)),
            Became::Everyday { field, .. } => (4, Some(field)),
            // What means nothing makes no difference.
            Became::Ignored | Became::Unknown => continue,
        };
        (what, field, &member.path).hash(&mut hasher);
    }
    hasher.finish()
}

fn status_class(event: &Event<'_>) -> Option<u16> {
    event.http_status.map(|status| status / 100)
}

fn write_record(sample: &Sample, explanation: &Explanation<'_>, out: &mut impl Write) -> io::Result<()> {
    match &explanation.outcome {
        Ok(event) => {
            writeln!(out, "{}  {}", sample.place, event_words(event))?;
            let takes = takes(event);
            if !takes.is_empty() {
                writeln!(out, "    counts as   {}", takes.join(", "))?;
            }
            write_fields("lacks", event.notes.incomplete, out)?;
        }
        Err(rejection) => {
            writeln!(
                out,
                "{}  REFUSED  {}: {}",
                sample.place,
                rejection.reason,
                shown_long(&rejection.detail)
            )?;
        }
    }
    let list = |pick: &dyn Fn(&Member) -> Option<String>| -> Vec<String> {
        explanation.members.iter().filter_map(pick).collect()
    };
    let lines = [
        (
            "used",
            list(&|member| match &member.became {
                Became::Used(field) if member.path == field.name() => Some(member.path.clone()),
                Became::Used(field) => Some(format!("{} → {}", shown(&member.path), field.name())),
                _ => None,
            }),
        ),
        (
            "unusable",
            list(&|member| match &member.became {
                Became::Unusable { field, expected } => Some(format!(
                    "{} = {} is not {expected} ({})",
                    shown(&member.path),
                    shown(&member.value),
                    field.name()
                )),
                _ => None,
            }),
        ),
        (
            "not taken",
            list(&|member| match &member.became {
                Became::Everyday { field, expected } => Some(format!(
                    "{} = {} is not {expected}, so it is no {}",
                    shown(&member.path),
                    shown(&member.value),
                    field.name()
                )),
                Became::Outranked { field, by } => {
                    Some(format!("{} ({} was read from {})", shown(&member.path), field.name(), shown(by)))
                }
                Became::Nothing(field) => Some(format!("{} (empty, {})", shown(&member.path), field.name())),
                _ => None,
            }),
        ),
        ("ignored", list(&|member| (member.became == Became::Ignored).then(|| shown(&member.path)))),
        ("unknown", list(&|member| (member.became == Became::Unknown).then(|| shown(&member.path)))),
    ];
    for (title, items) in lines {
        write_list(title, &items, out)?;
    }
    if explanation.cut {
        writeln!(out, "    and more members than are told here")?;
    }
    Ok(())
}

fn write_fields(title: &str, fields: FieldSet, out: &mut impl Write) -> io::Result<()> {
    let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
    write_list(title, &names, out)
}

/// Most things that one line of a record lists.
const LISTED_MAX: usize = 30;

fn write_list(title: &str, items: &[String], out: &mut impl Write) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let shown = items[..items.len().min(LISTED_MAX)].join(", ");
    match items.len().saturating_sub(LISTED_MAX) {
        0 => writeln!(out, "    {title:<10}  {shown}"),
        more => writeln!(out, "    {title:<10}  {shown} and {more} more"),
    }
}

/// `page_view  2025-08-12T15:00:01Z  user u1  GET /x  503`.
fn event_words(event: &Event<'_>) -> String {
    let mut words = vec![event.kind.name().to_owned(), moment(event.time)];
    words.push(event.user_id.map_or_else(|| "no user".to_owned(), |user| format!("user {}", shown(user))));
    if event.http_status.is_some() || event.url.is_some() {
        let url = event.url.map_or_else(|| "(no URL)".to_owned(), shown);
        words.push(format!("{} {url}", shown(event.method())));
    }
    if let Some(status) = event.http_status {
        words.push(status.to_string());
    }
    if let Some(product) = event.product_id {
        words.push(format!("product {}", shown(product)));
    }
    if let Some(cents) = event.amount_cents {
        let currency = event.currency.map(|currency| format!(" {}", shown(currency))).unwrap_or_default();
        words.push(format!("{}{currency}", money(cents)));
    }
    words.join("  ")
}

/// What an event enters, in a few words.
fn takes(event: &Event<'_>) -> Vec<&'static str> {
    let mut takes = Vec::new();
    match event.http_status {
        Some(500..=599) => takes.push("request, server error"),
        Some(400..=499) => takes.push("request, client error"),
        Some(_) => takes.push("request"),
        None => {}
    }
    takes.push(match event.kind {
        EventType::ProductClick if event.user_id.is_some() => "click that a checkout may credit",
        EventType::AdClick if event.user_id.is_some() => "advertisement's click",
        EventType::Checkout if event.user_id.is_some() => "order line",
        EventType::Checkout => "checkout without a user, which credits no click",
        EventType::Other => "event of another type",
        _ => "event",
    });
    takes
}

fn shown_long(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn write_tally(tally: &Tally, out: &mut impl Write) -> io::Result<()> {
    let Tally { counted, refused, incomplete, unusable, unknown, .. } = tally;
    if tally.records == 0 {
        return writeln!(out, "No records.");
    }
    writeln!(out, "\n{}: {} counted, {} refused", records(tally.records), tally.count(), tally.refusals())?;
    for (kind, count) in counted {
        writeln!(out, "  counted     {count:>7}  {}", kind.name())?;
    }
    for (reason, (count, first)) in refused {
        writeln!(out, "  refused     {count:>7}  {reason}, the first: {}", shown_long(first))?;
    }
    for ((kind, field), count) in incomplete {
        writeln!(out, "  incomplete  {count:>7}  {} without {}", kind.name(), field.name())?;
    }
    for (field, count) in unusable {
        writeln!(out, "  unusable    {count:>7}  {}", field.name())?;
    }
    let mut members: Vec<_> = unknown.iter().collect();
    members.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (path, (count, value)) in members.iter().take(LISTED_MAX) {
        writeln!(out, "  unknown     {count:>7}  {}, for example {}", shown(path), shown(value))?;
    }
    if members.len() > LISTED_MAX {
        writeln!(out, "  unknown              {} more members", members.len() - LISTED_MAX)?;
    }
    Ok(())
}

fn names(fields: FieldSet) -> Vec<&'static str> {
    fields.iter().map(Field::name).collect()
}

fn as_json(sample: &Sample, explanation: &Explanation<'_>) -> Value {
    let mut record = json!({ "record": sample.place });
    match &explanation.outcome {
        Ok(event) => {
            record["outcome"] = "counted".into();
            record["event"] = json!({
                "event_type": event.kind.name(),
                "time": moment(event.time),
                "user_id": event.user_id,
                "url": event.url,
                "method": event.http_status.map(|_| event.method()),
                "http_status": event.http_status,
                "product_id": event.product_id,
                "checkout_id": event.checkout_id,
                "campaign_id": event.campaign_id,
                "amount": event.amount_cents.map(money),
                "currency": event.currency,
            });
            record["incomplete"] = names(event.notes.incomplete).into();
            record["unusable"] = names(event.notes.unusable).into();
        }
        Err(rejection) => {
            record["outcome"] = "refused".into();
            record["reason"] = rejection.reason.name().into();
            record["detail"] = rejection.detail.clone().into();
        }
    }
    let members = explanation.members.iter().map(|member| {
        let mut told = json!({ "path": member.path, "value": member.value });
        let (became, field) = match &member.became {
            Became::Used(field) => ("used", Some(field)),
            Became::Outranked { field, by } => {
                told["by"] = by.clone().into();
                ("outranked", Some(field))
            }
            Became::Nothing(field) => ("nothing", Some(field)),
            Became::Unusable { field, expected } => {
                told["expected"] = (*expected).into();
                ("unusable", Some(field))
            }
            Became::Everyday { field, expected } => {
                told["expected"] = (*expected).into();
                ("everyday", Some(field))
            }
            Became::Ignored => ("ignored", None),
            Became::Unknown => ("unknown", None),
        };
        told["became"] = became.into();
        told["field"] = field.map(|field| field.name()).into();
        told
    });
    record["members"] = members.collect();
    record["cut"] = explanation.cut.into();
    record
}

fn tally_json(tally: &Tally) -> Value {
    let counted: BTreeMap<_, _> = tally.counted.iter().map(|(kind, count)| (kind.name(), count)).collect();
    let refused: BTreeMap<_, _> = tally.refused.iter().map(|(reason, (count, _))| (reason, count)).collect();
    let incomplete = tally.incomplete.iter().map(
        |((kind, field), count)| json!({ "event_type": kind.name(), "field": field.name(), "count": count }),
    );
    let unusable: BTreeMap<_, _> =
        tally.unusable.iter().map(|(field, count)| (field.name(), count)).collect();
    let unknown = tally
        .unknown
        .iter()
        .map(|(path, (count, value))| json!({ "path": path, "count": count, "value": value }));
    json!({ "summary": {
        "records": tally.records,
        "counted": counted,
        "refused": refused,
        "incomplete": incomplete.collect::<Vec<_>>(),
        "unusable": unusable,
        "unknown": unknown.collect::<Vec<_>>(),
    }})
}
