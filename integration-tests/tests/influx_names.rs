//! Organisations, buckets and token files as people have them.

use std::time::Duration;

use integration_tests::{Buckets, Influx, Kafka, Names, Processor, ProcessorConfig, Producer, Verdict};

#[test]
fn names_with_any_characters_are_written_to_and_read_back() {
    let buckets = Buckets {
        raw: "T2 klicks 10 s/raw 10%".to_owned(),
        minute: "t2+plus&and#hash?q=1".to_owned(),
        hour: "t2 ünï/x".to_owned(),
    };
    let (kafka, influx) = (Kafka::start(), Influx::start_as("Büro Süd / Web & Shop #1", buckets));
    let names = Names::unique("odd-names");
    Producer::run_to(
        &kafka,
        &names,
        "--partitions 1 --count 2000 --rate 10 --unpaced --start-time 2026-01-15T08:00:00Z",
    );
    let dir = tempfile::tempdir().expect("a temporary folder");
    let token = dir.path().join("token.txt");
    let config = {
        let mut config = ProcessorConfig::new(&kafka, &influx, &names);
        config.influxdb.retain(|(key, _)| key != "token");
        // As the case has it: with a slash at the end.
        config
            .influxdb("url", &format!("\"{}/\"", influx.url()))
            .influxdb("token_file", &format!("{token:?}"))
    };
    let check = || {
        let mut check = Processor::spawn("check", &config.to_toml(), config.http_port, &[]);
        (check.process.wait(Duration::from_secs(60)), check.process.log())
    };
    let secret = influx.write_token();
    for text in [format!("{secret}\n"), format!("{secret}\r\n"), format!("\n\n{secret}\n\n")] {
        std::fs::write(&token, &text).expect("a temporary file");
        let (code, said) = check();
        assert_eq!(code, 0, "{said}");
    }
    for (text, named) in [
        (format!("\u{feff}{secret}\n"), "byte order mark"),
        (format!("\"{secret}\"\n"), "quotes"),
        (format!("Token {secret}\n"), "sent before a token anyway"),
    ] {
        std::fs::write(&token, &text).expect("a temporary file");
        let (code, said) = check();
        assert_eq!(code, 2, "{said}");
        assert!(
            said.contains("influxdb.token_file = ") && said.contains(named) && !said.contains(secret),
            "{said}"
        );
    }

    std::fs::write(&token, secret).expect("a temporary file");
    Processor::run_until_end(&config);
    let verdict = Verdict::of(&config, &influx, &["--open"]);
    verdict.assert_equal();
    for place in [&influx.buckets().raw, &influx.buckets().minute, &influx.buckets().hour] {
        let rows = verdict.json["rows"].as_array().into_iter().flatten();
        let compared: u64 =
            rows.filter(|row| row["place"] == **place).filter_map(|row| row["equal"].as_u64()).sum();
        assert!(compared > 0, "points of {place} were compared: {}", verdict.json["rows"]);
    }
}
