//! The settings as people read them: a page for the documentation, and a file to start from.
//!
//! Both are made from the table that the reader uses; a test holds the committed files against them.

use std::fmt::Write as _;

use super::keys::{self, KEYS, Key, Kind, SECTIONS, Section};
use super::layers::variable;
use super::units::{format_duration, format_size};

/// Comments are broken at this column.
const WIDTH: usize = 110;

/// `config/processor.example.toml`: every key with its default; optional sections and unset keys as comments.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Every setting of the processor with its default. A file needs only what differs; no file at all reads\n\
         # clickstream_events from a Kafka at 127.0.0.1:9092. Every key is also a variable, which wins over the file:\n\
         # windows.size is CLICKPULSE__WINDOWS__SIZE. Durations: 500ms, 10s, 1m30s, 1h, 1d. Sizes: 512MB, 64MiB.\n",
    );
    for section in SECTIONS {
        text.push('\n');
        if !section.name.is_empty() {
            comment(&mut text, section.meaning);
            let off = if section.optional { "# " } else { "" };
            let _ = writeln!(text, "{off}{}", keys::header(section.name));
        }
        for key in keys_of(section) {
            comment(&mut text, key.meaning);
            let name = keys::split(key.path).1;
            let _ = match (key.kind, key.default) {
                (Kind::Map, _) => writeln!(text, "# {name} = {{ {} }}", key.example),
                (_, Some(default)) if !section.optional => {
                    writeln!(text, "{name} = {}", literal(key, default))
                }
                (_, default) => writeln!(text, "# {name} = {}", literal(key, default.unwrap_or(key.example))),
            };
        }
    }
    text
}

/// `docs/settings.md`: one table per section.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(
        "# Settings\n\n\
         The processor reads, each layer winning over the one before: defaults, the TOML file of `--config`, variables\n\
         `CLICKPULSE__SECTION__KEY`, flags. All are optional. An unknown key or variable, and any value that is out of\n\
         range, ends the program with exit code 2 before it connects to anything; the message names the key, where it was\n\
         said, and the nearest valid one. `processor check --config FILE` tries settings and connections without running.\n\n\
         Durations are whole numbers with `ms`, `s`, `m`, `h` or `d` (`10s`, `1m30s`); sizes have `kB`, `MB`, `GB` (powers of\n\
         ten) or `KiB`, `MiB`, `GiB` (powers of two). Lists in variables are separated by commas. Bounds are inclusive.\n\
         [`config/processor.example.toml`](../config/processor.example.toml) holds the same as a file.\n",
    );
    for section in SECTIONS {
        let title = if section.name.is_empty() {
            "Above all sections".to_owned()
        } else {
            format!("`{}`", keys::header(section.name))
        };
        let _ = write!(text, "\n## {title}\n\n");
        if !section.name.is_empty() {
            let _ = write!(text, "{}\n\n", section.meaning);
        }
        text.push_str("| Key | Default | Allowed | Meaning |\n|---|---|---|---|\n");
        for key in keys_of(section) {
            let default = key.default.map_or("–".to_owned(), |default| format!("`{default}`"));
            let name = keys::split(key.path).1;
            let _ = writeln!(
                text,
                "| `{name}` | {default} | {} | {} |",
                allowed(key),
                key.meaning.replace('|', "\\|")
            );
        }
    }
    let _ = write!(
        text,
        "\nA variable for an entry of `[[inputs]]` carries its number: `{}`. \
         Keys of the contract that this version refuses rather than ignores: `[postgres]`, `[registry]` \
         and `format = \"avro\"`.\n",
        variable("inputs[0].topic"),
    );
    text
}

fn keys_of(section: &Section) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| keys::split(key.path).0 == section.name)
}

/// As the file writes it.
fn literal(key: &Key, text: &str) -> String {
    match key.kind {
        Kind::Integer { .. } | Kind::Bool => text.to_owned(),
        Kind::List => format!("[{text:?}]"),
        _ => format!("{text:?}"),
    }
}

fn allowed(key: &Key) -> String {
    match key.kind {
        Kind::Duration { min, max } => format!("{} to {}", format_duration(min), format_duration(max)),
        Kind::DurationOrOff { min, max } => {
            format!("{} to {}, `off`", format_duration(min), format_duration(max))
        }
        Kind::Size { min, max } => format!("{} to {}", format_size(min), format_size(max)),
        Kind::Integer { min, max } => format!("{min} to {max}"),
        Kind::Bool => "`true`, `false`".into(),
        Kind::Choice(choices) => {
            choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Text | Kind::Secret => "text".into(),
        Kind::List => "list of texts".into(),
        Kind::Map => "names and texts".into(),
    }
}

fn comment(text: &mut String, meaning: &str) {
    let mut line = String::from("#");
    for word in meaning.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}
