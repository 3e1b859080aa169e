//! The layers of raw settings, merged: defaults < file < environment < flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::{Config, ConfigError, Environment, File, FileFormat, Source, Value, ValueKind};

use super::keys::{self, Kind};
use super::problem::{Origin, Problem, SettingsError};

const ENV_PREFIX: &str = "CLICKPULSE";
const ENV_SEPARATOR: &str = "__";

/// How many `[[inputs]]` the environment may address, so that a mistyped index does not allocate.
const INPUTS_MAX: usize = 64;

/// Where settings are looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file; without one, defaults and environment are enough.
    pub file: Option<PathBuf>,
    /// Variables in place of those of the process; tests use it.
    pub environment: Option<BTreeMap<String, String>>,
    /// Keys set by command line flags, with their values.
    pub flags: Vec<(&'static str, String)>,
}

/// The merged tree of everything that was said, each value with its origin.
#[derive(Debug)]
pub(super) struct Layers {
    root: Value,
    file: Option<String>,
}

impl Layers {
    /// Reads and merges all sources; which keys they name is not yet looked at.
    pub(super) fn read(sources: &Sources) -> Result<Self, SettingsError> {
        let mut builder = Config::builder();
        if let Some(path) = &sources.file {
            // Opened here first, as the loader's own error for a missing file does not say why it is missing.
            std::fs::File::open(path)
                .and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()))
                .map_err(|source| SettingsError::Unreadable { path: path.clone(), source })?;
            builder = builder.add_source(File::from(path.as_path()).format(FileFormat::Toml));
        }
        builder = builder.add_source(Variables(sources.environment.clone()));
        for (key, value) in &sources.flags {
            builder = builder.set_override(key, value.as_str()).expect("flags name keys of the table");
        }
        let root = builder.build().map_err(SettingsError::Malformed)?.cache;
        Ok(Self { root, file: sources.file.as_ref().map(|path| path.display().to_string()) })
    }

    /// The value at a path such as `windows.size` or `inputs[1].topic`; an empty list entry counts as absent.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        let mut value = &self.root;
        for segment in path.split('.') {
            let (name, index) = split_index(segment);
            let ValueKind::Table(table) = &value.kind else { return None };
            value = table.get(name)?;
            if let Some(index) = index {
                let ValueKind::Array(items) = &value.kind else { return None };
                value = items.get(index)?;
            }
        }
        (!matches!(value.kind, ValueKind::Nil)).then_some(value)
    }

    /// Where the value at this path was said. For a section: where its first key was said.
    pub(super) fn origin(&self, path: &str) -> Origin {
        self.get(path).map_or(Origin::Unknown, |value| self.origin_of(value, path))
    }

    fn origin_of(&self, value: &Value, path: &str) -> Origin {
        match (&value.kind, value.origin()) {
            (ValueKind::Table(table), _) => sorted(table).first().map_or_else(
                || self.file.clone().map_or(Origin::Unknown, Origin::File),
                |(name, value)| self.origin_of(value, &format!("{path}.{name}")),
            ),
            (_, Some(Variables::ORIGIN)) => Origin::Environment(variable(path)),
            (_, Some(uri)) => Origin::File(self.file.clone().unwrap_or_else(|| uri.to_owned())),
            (_, None) => Origin::Flag,
        }
    }

    /// Every key that this version does not know, or knows and does not provide.
    pub(super) fn unknown_keys(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.walk(&self.root, "", &mut problems);
        problems
    }

    fn walk(&self, value: &Value, path: &str, problems: &mut Vec<Problem>) {
        let pattern = keys::pattern(path);
        if let Some(text) = keys::later_section(&pattern) {
            problems.push(Problem {
                key: path.into(),
                origin: self.origin_of(value, path),
                text: text.into(),
            });
            return;
        }
        match &value.kind {
            _ if keys::find(&pattern).is_some_and(|key| key.kind == Kind::Map) => {}
            ValueKind::Table(table) if keys::is_section(&pattern) => {
                for (name, value) in sorted(table) {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.walk(value, &path, problems);
                }
            }
            ValueKind::Array(items) if keys::is_section(&format!("{pattern}[]")) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, &format!("{path}[{index}]"), problems);
                }
            }
            _ if keys::find(&pattern).is_some() => {}
            // A hole in a list that the environment addresses by index; reading the entry complains.
            ValueKind::Nil => {}
            kind => {
                let is_section = keys::is_section(&pattern) || keys::is_section(&format!("{pattern}[]"));
                let text = match kind {
                    _ if pattern == "inputs" => {
                        "is a list of sections; write [[inputs]], with two brackets".into()
                    }
                    _ if is_section => {
                        format!("is a section, not a value; its keys are {}", keys::children(&pattern))
                    }
                    ValueKind::Table(_) => {
                        format!("is not a known section; {}", did_you_mean(&keys::nearest_section(&pattern)))
                    }
                    _ => format!("is not a known key; {}", did_you_mean(keys::nearest_key(&pattern))),
                };
                problems.push(Problem { key: path.into(), origin: self.origin_of(value, path), text });
            }
        }
    }
}

/// The environment variable that sets this key: `windows.size` → `CLICKPULSE__WINDOWS__SIZE`.
pub(super) fn variable(path: &str) -> String {
    let name = path.replace('[', ".").replace(']', "").replace('.', ENV_SEPARATOR).to_uppercase();
    format!("{ENV_PREFIX}{ENV_SEPARATOR}{name}")
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean {name}?")
}

/// A table's entries in the order of their names, so that problems come in the same order every time.
pub(super) fn sorted(table: &config::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    entries
}

fn split_index(segment: &str) -> (&str, Option<usize>) {
    match segment.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        Some((name, index)) => (name, index.parse().ok()),
        None => (segment, None),
    }
}

/// `CLICKPULSE__…` variables; numbers between separators address list entries.
#[derive(Debug, Clone)]
struct Variables(Option<BTreeMap<String, String>>);

impl Variables {
    /// What the loader notes as the origin of values from the environment.
    const ORIGIN: &str = "the environment";
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, Value>, ConfigError> {
        let environment = Environment::with_prefix(ENV_PREFIX)
            .prefix_separator(ENV_SEPARATOR)
            .separator(ENV_SEPARATOR)
            .source(self.0.clone().map(|variables| variables.into_iter().collect()));
        let keys = environment.collect()?;
        Ok(keys.into_iter().map(|(key, value)| (with_indexes(&key), value)).collect())
    }
}

/// `inputs.0.topic` → `inputs[0].topic`, the loader's way of addressing list entries.
fn with_indexes(key: &str) -> String {
    let mut path = String::new();
    for segment in key.split('.') {
        match segment.parse::<usize>() {
            Ok(index) if index < INPUTS_MAX && !path.is_empty() => path.push_str(&format!("[{index}]")),
            _ if path.is_empty() => path.push_str(segment),
            _ => path.push_str(&format!(".{segment}")),
        }
    }
    path
}
