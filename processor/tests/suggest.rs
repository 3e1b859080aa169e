//! What is suggested for samples: each suggestion is read as settings and decodes its own sample.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use events::{Decoder, Preset};
use processor::settings::{Settings, Sources};
use processor::suggest::{Record, Suggestion, suggest};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn records(lines: &str) -> Vec<Record<'_>> {
    lines.lines().map(|line| Record { key: None, value: line.as_bytes() }).collect()
}

/// The options that the printed section gives; they are the ones that it was found by.
fn as_settings(suggestion: &Suggestion) -> events::DecoderOptions {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("clickpulse.toml");
    fs::write(&file, suggestion.section("web.events").to_string()).unwrap();
    let sources = Sources { file: Some(file), environment: Some(Default::default()), flags: Vec::new() };
    let settings =
        Settings::load(&sources).unwrap_or_else(|error| panic!("{error}: {}", suggestion.section("t")));
    assert_eq!(settings.inputs[0].topic, "web.events");
    let decoder = settings.inputs[0].decoder.clone();
    assert_eq!(decoder, suggestion.options(), "{}", suggestion.section("t"));
    decoder
}

/// The section, and each event that it makes of the sample.
fn told(file: &Path) -> String {
    let lines = fs::read_to_string(file).unwrap();
    let records = records(&lines);
    let suggestion = suggest(&records);
    let mut decoder = Decoder::new(&as_settings(&suggestion)).unwrap();
    let mut told = format!("{}\n", suggestion.section("web.events"));
    let mut counted = 0;
    for record in &records {
        match decoder.decode(Some(record.value)) {
            Ok(event) => {
                counted += 1;
                write!(told, "{} {} user={:?}", event.kind.name(), event.time.micros(), event.user_id)
                    .unwrap();
                write!(told, " url={:?} status={:?}", event.url, event.http_status).unwrap();
                write!(told, " product={:?} checkout={:?}", event.product_id, event.checkout_id).unwrap();
                writeln!(told, " cents={:?} {:?}", event.amount_cents, event.currency).unwrap();
            }
            Err(rejection) => writeln!(told, "refused {rejection}").unwrap(),
        }
    }
    assert_eq!((suggestion.seen.counted, suggestion.seen.records), (counted, records.len()));
    told
}

#[test]
fn samples_of_many_systems_are_read_as_they_are_meant() {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in [root().join("processor/tests/samples"), root().join("integration-tests/cases")] {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|file| file.extension().is_some_and(|extension| extension == "ndjson")));
    }
    assert!(files.len() >= 20, "{files:?}");
    for file in files {
        let name = format!("suggest_{}", file.file_stem().unwrap().to_str().unwrap());
        insta::assert_snapshot!(name, told(&file));
    }
}

#[test]
fn every_preset_is_suggested_for_its_own_sample() {
    for preset in Preset::ALL {
        let file = root().join("events/presets").join(preset.name).join("sample.ndjson");
        let lines = fs::read_to_string(file).unwrap();
        let suggestion = suggest(&records(&lines));
        assert_eq!(suggestion.preset.map(|preset| preset.name), Some(preset.name));
        assert_eq!(as_settings(&suggestion), preset.options().unwrap());
    }
}
