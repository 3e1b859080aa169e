//! A suggestion as a section of settings.

use std::fmt;

use events::{EventType, Format};

use super::Suggestion;

/// A suggestion for a topic, as TOML.
#[derive(Debug)]
pub struct Section<'s> {
    pub(super) topic: &'s str,
    pub(super) suggestion: &'s Suggestion,
}

impl Suggestion {
    /// The section for a topic.
    #[must_use]
    pub fn section<'s>(&'s self, topic: &'s str) -> Section<'s> {
        Section { topic, suggestion: self }
    }
}

impl fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Suggestion {
            preset,
            format,
            event_type,
            fields,
            event_types,
            time,
            keyed,
            known,
            doubts,
            seen,
            ..
        } = self.suggestion;
        let refused: usize = seen.refused.values().sum();
        writeln!(f, "# By this, {} of {} records count, {refused} are refused.", seen.counted, seen.records)?;
        for (reason, count) in &seen.refused {
            writeln!(f, "#   {count} refused: {reason}")?;
        }
        for ((kind, field), count) in &seen.incomplete {
            writeln!(f, "#   {count} incomplete: {} without {}", kind.name(), field.name())?;
        }
        for doubt in doubts {
            writeln!(f, "# Not guessed: {}", plain(doubt))?;
        }
        if preset.is_none() && !known.is_empty() {
            let known: Vec<String> =
                known.iter().map(|(path, ours)| format!("{} ({ours})", plain(path))).collect();
            writeln!(f, "# Read without being told: {}", known.join(", "))?;
        }
        writeln!(f, "\n[[inputs]]\ntopic = {}", quoted(self.topic))?;
        if let Some(preset) = preset {
            writeln!(f, "preset = {}  # {}", quoted(preset.name), preset.about)?;
        }
        match format {
            Format::Json => {}
            Format::Combined => writeln!(f, "format = \"combined\"  # lines of an access log")?,
            Format::Common => writeln!(f, "format = \"common\"  # lines of an access log")?,
        }
        match keyed {
            Some(true) => writeln!(f, "keyed = true  # Kafka's key is the user")?,
            Some(false) => writeln!(f, "keyed = false  # Kafka's key is not the user")?,
            None => writeln!(f, "# keyed = false  # if Kafka's key is not the user; no keys were seen")?,
        }
        if let Some(kind) = event_type {
            writeln!(
                f,
                "event_type = {}  # no member tells the type; this is what the records have",
                quoted(kind.name())
            )?;
        }
        if let Some((format, why)) = time {
            writeln!(f, "# {}", plain(why))?;
            writeln!(f, "time = {{ format = {} }}", quoted(format))?;
        }
        if !fields.is_empty() {
            writeln!(f, "\n[inputs.fields]")?;
            for (theirs, ours, why) in fields {
                writeln!(f, "{} = {}  # {}", quoted(theirs), quoted(ours), plain(why))?;
            }
        }
        if !event_types.is_empty() {
            writeln!(f, "\n[inputs.event_types]")?;
            for (theirs, ours, why) in event_types {
                let hint = if *ours == EventType::Other { "; counted as an event and no more" } else { "" };
                writeln!(f, "{} = {}  # {}{hint}", quoted(theirs), quoted(ours.name()), plain(why))?;
            }
        }
        Ok(())
    }
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A comment may have no control characters.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
