//! What people read about settings is what the program does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use processor::settings::{Settings, Sources, StatePlace, reference};

#[test]
fn the_reference_page_follows_the_table() {
    assert_is_file(&reference::page(), "docs/settings.md");
}

#[test]
fn the_example_file_follows_the_table() {
    assert_is_file(&reference::example(), "config/processor.example.toml");
}

#[test]
fn the_example_file_equals_the_defaults() {
    assert_eq!(load(&repository().join("config/processor.example.toml")), Settings::default());
}

#[test]
fn what_the_example_file_comments_out_is_valid_too() {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "secret\n").unwrap();
    let text: String = reference::example()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // One of the two ways to give a token.
            Some(rest) if rest.starts_with("token = ") => "\n".to_owned(),
            Some(rest) if rest.starts_with("token_file = ") => format!("token_file = {:?}\n", token.path()),
            // Passwords of Kafka mean something with SASL and TLS alone.
            Some(rest)
                if rest.starts_with("sasl_password_file") || rest.starts_with("ssl_key_password_file") =>
            {
                "\n".to_owned()
            }
            Some(rest) if rest.starts_with("secret_access_key = ") => "\n".to_owned(),
            Some(rest) if rest.starts_with("secret_access_key_file = ") => {
                format!("secret_access_key_file = {:?}\n", token.path())
            }
            // Each goes with properties of Kafka, which are not there.
            Some(rest) if rest.contains("_password_file = ") => "\n".to_owned(),
            // The keys of S3 go with a bucket.
            Some(rest) if rest.starts_with("url = \"clickpulse-state\"") => {
                "url = \"s3://bucket/prefix\"\n".to_owned()
            }
            Some(rest) if rest.starts_with('[') || is_assignment(rest) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();

    let settings = load(file.path());
    let influxdb = settings.influxdb.unwrap();
    assert_eq!((influxdb.token.expose(), influxdb.bucket.as_str()), ("secret", "clickstream/raw_10s"));
    assert_eq!(settings.files.unwrap().dir, Path::new("clickpulse-out"));
    let StatePlace::S3(bucket) = settings.state.unwrap().place else { panic!("it is a bucket") };
    assert_eq!(bucket.key.unwrap().1.expose(), "secret");
    assert_eq!(settings.inputs[0].decoder.mapping.fields[0], ("visitor".to_owned(), "user_id".to_owned()));
    assert_eq!(settings.kafka.instance_id.as_deref(), Some("processor-1"));
}

/// `name = value`, rather than a sentence.
fn is_assignment(line: &str) -> bool {
    line.split_once(" = ")
        .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || "_1mh".contains(c)))
}

fn load(file: &Path) -> Settings {
    let no_variables = Some(BTreeMap::new());
    let sources = Sources { file: Some(file.into()), environment: no_variables, flags: Vec::new() };
    Settings::load(&sources).unwrap_or_else(|error| panic!("{error}"))
}

/// Compares with a committed file, or writes it where `UPDATE_REFERENCE` is set.
fn assert_is_file(expected: &str, path: &str) {
    let file = repository().join(path);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is not up to date; run the tests once with UPDATE_REFERENCE=1");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
