use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;

#[test]
fn names_are_encoded_for_the_query_string() {
    assert_eq!(encode_query("clickstream/raw_10s"), "clickstream%2Fraw_10s");
    assert_eq!(encode_query("a b&c=ü+%"), "a%20b%26c%3D%C3%BC%2B%25");
    assert_eq!(encode_query("plain-_.~09azAZ"), "plain-_.~09azAZ");
}

#[test]
fn a_bucket_is_a_database_and_a_retention_policy() {
    assert_eq!(database_of("clickstream/raw_10s"), ("clickstream", "raw_10s"));
    assert_eq!(database_of("plain"), ("plain", "autogen"));
}

#[test]
fn loopback_addresses_are_known() {
    for url in ["http://127.0.0.1:8086", "http://localhost/x", "http://[::1]:8086", "http://127.9.9.9"] {
        assert!(is_loopback(url), "{url}");
    }
    for url in ["http://influxdb:8086", "http://10.0.0.1", "https://localhost.example"] {
        assert!(!is_loopback(url), "{url}");
    }
}

#[test]
fn compressed_lines_are_the_lines() {
    let lines = "http,route=/a requests=1i 1\n".repeat(1_000);
    let compressed = gzip(lines.as_bytes());
    assert!(compressed.len() * 10 < lines.len());
    let mut read = String::new();
    GzDecoder::new(compressed.as_slice()).read_to_string(&mut read).unwrap();
    assert_eq!(read, lines);
}
