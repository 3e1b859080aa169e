use std::path::Path;

use super::super::tests::{load, problem};
use super::*;

fn state(toml: &str) -> StateSettings {
    load(toml, &[]).unwrap_or_else(|error| panic!("{error}")).state.expect("the section is there")
}

fn s3(toml: &str) -> S3Settings {
    match state(toml).place {
        StatePlace::S3(s3) => s3,
        StatePlace::Folder(folder) => panic!("{folder:?} is a folder"),
    }
}

#[test]
fn without_the_section_there_are_no_snapshots_and_an_empty_one_turns_them_on() {
    assert_eq!(load("", &[]).unwrap().state, None);
    let settings = state("[state]");
    assert_eq!(settings.place, StatePlace::Folder("clickpulse-state".into()));
    assert_eq!((settings.interval, settings.keep), (Duration::from_secs(60), 3));
    let variables = [("CLICKPULSE__STATE__URL", "/var/lib/clickpulse")];
    let place = load("", &variables).unwrap().state.unwrap().place;
    assert_eq!(place, StatePlace::Folder("/var/lib/clickpulse".into()));
}

#[test]
fn a_url_is_a_folder_or_a_bucket() {
    let folder = |url: &str| match state(&format!("[state]\nurl = {url:?}")).place {
        StatePlace::Folder(folder) => folder,
        StatePlace::S3(s3) => panic!("{s3:?}"),
    };
    assert_eq!(folder("file:///var/lib/a b"), Path::new("/var/lib/a b"));
    assert_eq!(folder("states/mine"), Path::new("states/mine"));
    let bucket = s3("[state]\nurl = 's3://my-bucket/some/where/'");
    assert_eq!((bucket.bucket.as_str(), bucket.prefix.as_str()), ("my-bucket", "some/where"));
    assert_eq!(s3("[state]\nurl = 's3://my-bucket'").prefix, "");
}

#[test]
fn urls_of_another_kind_are_answered_with_those_that_work() {
    let said = |url: &str| problem(&format!("[state]\nurl = {url:?}"), &[]);
    for url in ["gs://bucket/a", "http://minio:9000/bucket", "S3://bucket", "s3:/bucket", "file://var/lib"] {
        let text = said(url);
        assert!(text.starts_with(&format!("state.url = {url:?} ")), "{text}");
        assert!(text.contains(r#""s3://bucket/prefix""#), "{text}");
    }
    assert!(said("s3://").contains("names no bucket"));
    assert!(said("s3://My_Bucket/a").contains("names no bucket"));
    assert!(said("s3://bucket/a?x=1").contains("more than a bucket and a prefix"));
    assert!(said("s3://bucket/../a").contains("more than a bucket and a prefix"));
    assert!(said("file:///a%20b").contains("plain path"));
}

#[test]
fn keys_of_the_section_name_the_nearest_and_the_bounds() {
    assert_eq!(
        problem("[state]\nintervall = '1m'", &[]),
        "state.intervall is not a known key; did you mean state.interval? (in FILE)"
    );
    assert_eq!(
        problem("[state]\ninterval = '10ms'", &[]),
        "state.interval = \"10ms\" is out of range; allowed is 1s to 1h (in FILE)"
    );
    assert_eq!(
        problem("[state]\nkeep = 0", &[]),
        "state.keep = 0 is out of range; allowed is 1 to 100 (in FILE)"
    );
}

#[test]
fn a_key_of_s3_comes_whole_or_not_at_all_and_prints_as_stars() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let url = "[state]\nurl = 's3://bucket'\n";
    let whole = s3(&format!("{url}access_key_id = 'me'\nsecret_access_key_file = {:?}", file.path()));
    let (id, secret) = whole.key.clone().unwrap();
    assert_eq!((id.as_str(), secret.expose()), ("me", "hunter2"));
    assert!(!format!("{whole:?}").contains("hunter2"));
    assert_eq!(s3(url).key, None);
    assert_eq!(
        problem(&format!("{url}access_key_id = 'me'"), &[]),
        "state.access_key_id needs its key: set state.secret_access_key_file (in FILE)"
    );
    assert_eq!(
        problem(&format!("{url}secret_access_key = 'hunter2'"), &[]),
        "state.secret_access_key needs the key's name: set state.access_key_id (in FILE)"
    );
    assert!(
        problem(&format!("{url}access_key_id = 'me'\nsecret_access_key_file = '/nowhere'"), &[])
            .starts_with("state.secret_access_key_file = \"/nowhere\" cannot be read")
    );
}

#[test]
fn what_is_for_s3_is_refused_where_the_url_is_a_folder() {
    assert_eq!(
        problem("[state]\nregion = 'eu-central-1'", &[]),
        "state.region is for S3 only; leave it out, or set state.url = \"s3://bucket/prefix\" (in FILE)"
    );
}

#[test]
fn unencrypted_endpoints_have_to_be_allowed() {
    let url = "[state]\nurl = 's3://bucket'\n";
    assert_eq!(
        problem(&format!("{url}endpoint = 'http://127.0.0.1:9000'"), &[]),
        "state.endpoint = \"http://127.0.0.1:9000\" is unencrypted; use https://, or set state.allow_http = true (in FILE)"
    );
    let allowed = s3(&format!("{url}endpoint = 'http://127.0.0.1:9000/'\nallow_http = true"));
    assert_eq!(allowed.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert!(problem(&format!("{url}endpoint = 'minio:9000'"), &[]).contains("is not an address"));
    assert!(problem(&format!("{url}endpoint = 'https://a:b@minio'"), &[]).contains("more than an address"));
}
