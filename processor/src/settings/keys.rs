//! The table of every setting: what the reader, the reference page and the example file are made from.

mod table;

use std::time::Duration;

pub(crate) use table::{KEYS, SECTIONS};

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Sections and name, `[]` for any entry of a list: `inputs[].topic`.
    pub path: &'static str,
    pub kind: Kind,
    /// As it would stand in an environment variable; `None`: unset, or computed at start.
    pub default: Option<&'static str>,
    /// Shown where there is no default.
    pub example: &'static str,
    /// One or two sentences for people.
    pub meaning: &'static str,
}

/// What a value is and which values are allowed (bounds inclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Duration {
        min: Duration,
        max: Duration,
    },
    /// The same, or `off`.
    DurationOrOff {
        min: Duration,
        max: Duration,
    },
    Size {
        min: u64,
        max: u64,
    },
    Integer {
        min: u64,
        max: u64,
    },
    Bool,
    Text,
    Choice(&'static [&'static str]),
    List,
    Secret,
    /// A section whose keys are free.
    Map,
}

/// A group of keys, in the order of the reference.
#[derive(Debug)]
pub(crate) struct Section {
    /// Empty for keys above all sections.
    pub name: &'static str,
    /// Off unless at least one of its keys is set, or the section is there.
    pub optional: bool,
    pub meaning: &'static str,
}

/// Sections of the contract that a later version provides: refused, as ignoring them would surprise.
const SECTIONS_NOT_IN_THIS_VERSION: &[(&str, &str)] = &[
    ("postgres", "is not in this version, which writes to InfluxDB and files; remove the section"),
    ("registry", "is not in this version, which reads JSON only; remove the section"),
];

/// Values of the contract that a later version provides: key, value, answer.
const VALUES_NOT_IN_THIS_VERSION: &[(&str, &str, &str)] =
    &[("inputs[].format", "avro", "is not in this version, which reads JSON; use \"json\"")];

/// `inputs[1].topic` → `inputs[].topic`.
pub(crate) fn pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    let mut in_index = false;
    for c in path.chars() {
        match c {
            '[' => in_index = true,
            ']' => in_index = false,
            _ if in_index => continue,
            _ => {}
        }
        pattern.push(c);
    }
    pattern
}

pub(crate) fn find(pattern: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == pattern)
}

pub(crate) fn is_section(pattern: &str) -> bool {
    SECTIONS.iter().any(|section| section.name == pattern)
}

/// What to answer to a section that a later version provides.
pub(crate) fn later_section(pattern: &str) -> Option<&'static str> {
    SECTIONS_NOT_IN_THIS_VERSION.iter().find(|(path, _)| *path == pattern).map(|(_, text)| *text)
}

/// What to answer to a value that a later version provides.
pub(crate) fn later_value(key: &Key, value: &str) -> Option<&'static str> {
    let mut values = VALUES_NOT_IN_THIS_VERSION.iter();
    values.find(|(path, later, _)| *path == key.path && *later == value).map(|(.., text)| *text)
}

/// The keys of a section, separated by commas.
pub(crate) fn children(section: &str) -> String {
    let section = section.trim_end_matches("[]");
    let names: Vec<&str> = KEYS
        .iter()
        .filter(|key| split(key.path).0.trim_end_matches("[]") == section)
        .map(|key| split(key.path).1)
        .collect();
    names.join(", ")
}

/// The known key that an unknown one most likely means.
pub(crate) fn nearest_key(pattern: &str) -> &'static str {
    let (section, name) = split(pattern);
    // The last name decides, as people forget or confuse sections more than names; the section breaks ties.
    let likeness = |key: &Key| {
        let (key_section, key_name) = split(key.path);
        strsim::jaro_winkler(name, key_name) + strsim::jaro_winkler(section, key_section) / 8.0
    };
    let nearest = KEYS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.expect("the table has keys").path
}

/// The known section that an unknown one most likely means, as it stands between brackets in the file.
pub(crate) fn nearest_section(pattern: &str) -> String {
    let likeness = |section: &&Section| strsim::jaro_winkler(pattern, section.name.trim_end_matches("[]"));
    let nearest = SECTIONS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    header(nearest.expect("the table has sections").name)
}

/// `windows` → `[windows]`, `inputs[]` → `[[inputs]]`.
pub(crate) fn header(section: &str) -> String {
    match section.strip_suffix("[]") {
        Some(list) => format!("[[{list}]]"),
        None => format!("[{section}]"),
    }
}

/// `windows.size` → (`windows`, `size`); keys above all sections have an empty one.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}
