//! Names on their way to InfluxDB: what is in a tag, and what organisation and buckets are called.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use integration_tests::{Buckets, Processor, ProcessorConfig, StrippingProxy};

use crate::support::{Case, Services, counts, now_ms, plain, tests};

tests!["names": two_names_that_look_alike_in_a_tag_are_one_name_before_they_are_counted,
    organisation_and_buckets_of_any_name_behind_a_proxy_with_a_path,
    a_token_file_is_read_as_people_write_it_or_is_named_as_the_fault];

fn two_names_that_look_alike_in_a_tag_are_one_name_before_they_are_counted(services: &Services) {
    let case = Case::of_lines(services, "19-control-characters.ndjson");
    assert_eq!(case.sum("http_all", "requests"), 8);
    let long = "/only  http,method=GET,route=/evil,status=200 requests=999i";
    let routes = counts([("/a b", 4), ("/c＼d", 3), (long, 1)]);
    assert_eq!(case.by("http", "route", "requests"), routes);
    assert_eq!(case.by("latency", "route", "count"), routes);
    assert_eq!(case.sum("url_top", "requests"), 8);
}

fn organisation_and_buckets_of_any_name_behind_a_proxy_with_a_path(services: &Services) {
    let buckets = Buckets {
        raw: "T2 klicks 10 s/raw 10%".to_owned(),
        minute: "t2+plus&and#hash?q=1".to_owned(),
        hour: "t2 ü//x".to_owned(),
    };
    // One organisation of this name per server, and a server may be used again.
    let org = format!("Büro Süd / Web & Shop #{}", now_ms());
    let mut case = Case::new(services, "18-names", 1);
    case.influx = services.influx.organisation(&org, buckets);
    case.config = ProcessorConfig::new(&services.kafka, &case.influx, &case.names);
    case.send(&[plain(0, r#"{"user_id":"u1","event_timestamp":1755010801,"url":"/a","http_status":200}"#)]);
    let address = case.influx.url().trim_start_matches("http://");
    let address: SocketAddr = address.parse().expect("an address and a port");
    let proxy = StrippingProxy::start(address, "/metrics/db");
    for url in [format!("{}/", case.influx.url()), format!("http://{}/metrics/db", proxy.address())] {
        let config = case.config.clone().influxdb("url", &format!("{url:?}"));
        let mut check = Processor::spawn("check", &config.to_toml(), config.http_port, &[]);
        assert_eq!(check.process.wait(Duration::from_secs(60)), 0, "{url}: {}", check.process.log());
    }
    case.config = case.config.influxdb("url", &format!("\"http://{}/metrics/db/\"", proxy.address()));
    case.run();
    assert_eq!(case.sum("http_all", "requests"), 1);
    assert!(proxy.requests() > 0, "the proxy was asked");
}

fn a_token_file_is_read_as_people_write_it_or_is_named_as_the_fault(services: &Services) {
    let case = Case::new(services, "18-token", 1);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("token.txt");
    let token = case.influx.write_token();
    let check = |text: &[u8]| {
        fs::write(&file, text).expect("a temporary file");
        let mut config = case.config.clone();
        config.influxdb.retain(|(key, _)| key != "token");
        let config = config.influxdb("token_file", &format!("{:?}", file.to_str().expect("a plain path")));
        let mut check = Processor::spawn("check", &config.to_toml(), config.http_port, &[]);
        let code = check.process.wait(Duration::from_secs(60));
        (code, check.process.log())
    };
    for good in [format!("{token}\n"), format!("{token}\r\n"), format!("\n\n{token}\n\n")] {
        let (code, said) = check(good.as_bytes());
        assert_eq!(code, 0, "{good:?}: {said}");
    }
    let (code, said) = check(format!("\u{feff}{token}\n").as_bytes());
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("token_file") && said.contains("byte order mark"), "{said}");
    // What InfluxDB alone can judge is its answer; what it is about is named, and nothing is said to be away.
    for odd in [format!("\"{token}\"\n"), format!("Token {token}\n")] {
        let (code, said) = check(odd.as_bytes());
        let named = said.contains("influxdb.token") && !said.contains("does not answer");
        assert!(code == 0 || named, "{odd:?}: {code}: {said}");
        assert!(!said.contains(token), "secrets are not printed: {said}");
    }
}
