//! What an input calls the contract's fields, types and times.

use std::collections::BTreeMap;

use events::{Decoder, DecoderOptions, EventType, Field, Mapping, OptionsError, Preset, TimeFormat};

use super::reader::{Named, Reader};

/// The mapping of the input at `path`, as far as it can be followed; what cannot is noted.
pub(super) fn read(reader: &mut Reader<'_>, path: &str, preset: Option<&Preset>) -> Mapping {
    let at = |name: &str| format!("{path}.{name}");
    let own = Mapping {
        fields: fields(reader, &at("fields")),
        ignore: reader.optional_list(&at("ignore")),
        event_types: event_types(reader, &at("event_types")),
        time: time(reader, &at("time")),
    };
    let mapping = match preset {
        Some(preset) => own.over(preset.mapping().expect("a preset can be followed")),
        None => own,
    };
    let options = DecoderOptions { mapping: mapping.clone(), ..DecoderOptions::default() };
    match Decoder::new(&options) {
        Ok(_) => return mapping,
        Err(OptionsError::UnknownField { theirs, ours, nearest }) => {
            let text = format!("= {ours:?} is not a field of ours; did you mean {nearest:?}?");
            reader.problem(&format!("{path}.fields.{theirs}"), text);
        }
        Err(OptionsError::TooManyFields { count, max }) => {
            reader.problem(&at("fields"), format!("has {count} names; at most {max} can be mapped"));
        }
        Err(OptionsError::IgnoredAndMapped { path: name }) => {
            reader.problem(&at("ignore"), format!("names {name:?}, which `fields` maps; take it out of one"));
        }
        Err(error) => reader.problem(&at("fields"), format!("cannot be followed: {error}")),
    }
    Mapping::default()
}

/// `"theirs" = "ours"` in the order written, or `"ours" = ["theirs", "theirs too"]`.
fn fields(reader: &mut Reader<'_>, path: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for (name, value) in reader.named(path) {
        match value {
            Named::One(ours) => fields.push((name, ours)),
            Named::Many(theirs) if Field::from_name(&name).is_some() => {
                fields.extend(theirs.into_iter().map(|theirs| (theirs, name.clone())));
            }
            Named::Many(_) => {
                let text = "is a list, so the name before it has to be a field of ours: \
                            user_id = [\"member\", \"visitor\"]";
                reader.problem(&format!("{path}.{name}"), text);
            }
        }
    }
    fields
}

fn event_types(reader: &mut Reader<'_>, path: &str) -> BTreeMap<String, EventType> {
    let mut types = BTreeMap::new();
    for (theirs, value) in reader.named(path) {
        let ours = match &value {
            // `other` is an event and no more, with or without a status.
            Named::One(ours) => EventType::ALL.into_iter().find(|kind| kind.name() == ours),
            Named::Many(_) => None,
        };
        match ours {
            Some(kind) => _ = types.insert(theirs, kind),
            None => {
                let known: Vec<&str> = EventType::ALL.into_iter().map(EventType::name).collect();
                let text = format!("= {value} is not a type of ours, which are {}", known.join(", "));
                reader.problem(&format!("{path}.{theirs}"), text);
            }
        }
    }
    types
}

fn time(reader: &mut Reader<'_>, path: &str) -> Option<TimeFormat> {
    let (mut format, mut zone) = (None, None);
    for (name, value) in reader.named(path) {
        match (name.as_str(), value) {
            ("format", Named::One(text)) => format = Some(text),
            ("zone", Named::One(text)) => zone = Some(text),
            _ => {
                let text =
                    r#"is not known here; write { format = "%d/%m/%Y %H:%M:%S", zone = "Europe/Berlin" }"#;
                reader.problem(&format!("{path}.{name}"), text);
            }
        }
    }
    let Some(format) = format else {
        if let Some(zone) = zone {
            let text = format!("= {zone:?} needs a format beside it, such as \"%Y-%m-%d %H:%M:%S\"");
            reader.problem(&format!("{path}.zone"), text);
        }
        return None;
    };
    TimeFormat::new(&format, zone.as_deref())
        .map_err(|error| reader.problem(path, format!("cannot be followed: {error}")))
        .ok()
}
