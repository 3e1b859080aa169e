//! How times are written.

use events::{Decoder, DecoderOptions, Mapping, Shape, TimeFormat};

use super::columns::Column;

/// Whether the contract reads a value as a moment by itself, one that an event may have: a number of 1970 is a count.
pub(super) fn is_moment(shape: Shape, value: &str) -> bool {
    let record = match shape {
        Shape::Number => format!("{{\"event_timestamp\":{value},\"http_status\":200}}"),
        Shape::Text => {
            format!("{{\"event_timestamp\":{},\"http_status\":200}}", serde_json::Value::from(value))
        }
        _ => return false,
    };
    let options = DecoderOptions { mapping: Mapping::default(), ..DecoderOptions::default() };
    let Ok(mut decoder) = Decoder::new(&options) else { return false };
    /// 1990.
    const LEAST: i64 = 631_152_000;
    /// 2100.
    const MOST: i64 = 4_102_444_800;
    decoder.decode(Some(record.as_bytes())).is_ok_and(|event| (LEAST..MOST).contains(&event.time.secs()))
}

/// A format for dates that the contract does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// This one.
    Certain(String),
    /// The day may come first or second.
    Either(String, String),
    /// None that is known here.
    Unknown,
}

/// The format of values such as `31/12/2026 10:00:00`.
pub(super) fn format_of(column: &Column) -> Found {
    let texts: Vec<&str> = column.values.iter().map(|(_, _, value)| value.trim()).collect();
    let Some(first) = texts.first() else { return Found::Unknown };
    let Some(separator) = first.chars().find(|c| matches!(c, '/' | '.' | '-')) else { return Found::Unknown };
    let (mut day_first, mut month_first) = (false, false);
    for text in &texts {
        let date = text.split([' ', 'T', ',']).next().unwrap_or_default();
        let mut numbers = date.split(separator).map(|part| part.parse::<u32>().unwrap_or(0));
        let (a, b) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        day_first |= a > 12;
        month_first |= b > 12;
    }
    let fits = |order: &str| {
        let short = format!("{}{separator}%y", order.replace('/', &separator.to_string()));
        let long = format!("{}{separator}%Y", order.replace('/', &separator.to_string()));
        let clocks = [
            " %H:%M:%S%.f",
            " %H:%M:%S",
            " %H:%M",
            "T%H:%M:%S%.f",
            "T%H:%M:%S",
            ", %H:%M:%S%.f",
            ", %H:%M:%S",
            " %I:%M:%S %p",
            " %I:%M %p",
            ", %I:%M:%S %p",
            " %H:%M:%S%.f %z",
            " %H:%M:%S %z",
            "",
        ];
        let of = |date: &str| {
            clocks.iter().map(|clock| format!("{date}{clock}")).find(|format| {
                TimeFormat::new(format, None).is_ok_and(|format| {
                    let read = texts.iter().filter(|text| format.read_text(text).is_some()).count();
                    read * 100 >= texts.len() * 95
                })
            })
        };
        of(&long).or_else(|| of(&short))
    };
    let (days, months) = (fits("%d/%m"), fits("%m/%d"));
    match (days, months) {
        (Some(days), _) if day_first && !month_first => Found::Certain(days),
        (_, Some(months)) if month_first && !day_first => Found::Certain(months),
        // Dates with dots are written with the day first wherever they are written.
        (Some(days), _) if separator == '.' => Found::Certain(days),
        (Some(days), Some(months)) => Found::Either(days, months),
        _ => Found::Unknown,
    }
}
