//! What is typed wrong, and what it is answered with.

use std::collections::BTreeMap;

use tempfile::NamedTempFile;

use super::*;

/// Loads a file's text and variables, nothing else.
fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources = Sources {
        file: Some(file.path().into()),
        environment: Some(environment.collect()),
        flags: Vec::new(),
    };
    Settings::load(&sources)
}

/// The only problem, without the name of the temporary file.
fn problem(toml: &str, variables: &[(&str, &str)]) -> String {
    match load(toml, variables) {
        Err(SettingsError::Invalid(problems)) if problems.len() == 1 => match &problems[0].origin {
            Origin::File(_) => format!("{} {} (in FILE)", problems[0].key, problems[0].text),
            _ => problems[0].to_string(),
        },
        other => panic!("expected one problem, got {other:#?}"),
    }
}

#[test]
fn nothing_at_all_reads_local_kafka() {
    let settings = load("", &[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.kafka.brokers, ["127.0.0.1:9092"]);
    assert_eq!(settings.inputs.len(), 1);
    assert_eq!(settings.inputs[0].topic, "clickstream_events");
    assert_eq!(settings.inputs[0].max_record_bytes, 1 << 20);
    assert_eq!(settings.windows.size, Duration::from_secs(10));
    assert_eq!(settings.windows.allowed_lateness, Duration::from_secs(60));
    assert_eq!(settings.memory.budget, 512_000_000);
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8088");
    assert_eq!((settings.influxdb, settings.files), (None, None));
}

#[test]
fn unknown_keys_name_the_nearest_and_where_they_were_said() {
    assert_eq!(
        problem("[windows]\nsice = '1s'", &[]),
        "windows.sice is not a known key; did you mean windows.size? (in FILE)"
    );
    assert_eq!(
        problem("[window]\nsize = '1s'", &[]),
        "window is not a known section; did you mean [windows]? (in FILE)"
    );
    assert_eq!(
        problem("", &[("CLICKPULSE__WINDOWS__SICE", "1s")]),
        "windows.sice is not a known key; did you mean windows.size? (from CLICKPULSE__WINDOWS__SICE)"
    );
}

#[test]
fn later_layers_win() {
    let file = "[windows]\nsize = '20s'\nemit_every = '2s'";
    let settings = load(file, &[("CLICKPULSE__WINDOWS__SIZE", "30s")]).unwrap();
    assert_eq!(settings.windows.size, Duration::from_secs(30));
    assert_eq!(settings.windows.emit_every, Duration::from_secs(2));
    assert_eq!(settings.windows.idle_after, Duration::from_secs(10));
}

#[test]
fn every_key_of_the_table_is_read() {
    let variables = BTreeMap::from([
        ("CLICKPULSE__INFLUXDB__TOKEN".to_owned(), "t".to_owned()),
        ("CLICKPULSE__FILES__DIR".to_owned(), "d".to_owned()),
    ]);
    let layers = Layers::read(&Sources { environment: Some(variables), ..Sources::default() }).unwrap();
    let mut reader = Reader::new(&layers);
    let _ = Settings::read(&mut reader);
    let table: Vec<&str> = keys::KEYS.iter().map(|key| key.path).collect();
    let unread: Vec<&&str> = table.iter().filter(|path| !reader.read.contains(**path)).collect();
    assert_eq!(unread, [&""; 0], "in the table, but nothing reads them");
}
