//! Rejected records: seen with `dlq list` and `dlq show`, and counted after `dlq replay` once the cause is gone.

use std::time::Duration;

use integration_tests::{Influx, Kafka, Names, Processor, ProcessorConfig};

#[test]
fn a_record_replayed_after_its_cause_is_gone_is_counted() {
    let (kafka, influx, names) = (Kafka::start(), Influx::start(), Names::unique("dead-letters"));
    kafka.create_topic(&names.topic, 2);
    // Somebody else's name for the user; the processor has not been told of it yet. An id, as in any stream that is to be
    // replayed: a restart with other settings may read the original once more, beside its replay.
    let theirs = |visitor: &str| {
        format!(
            r#"{{"event_id":"e-{visitor}","visitor":"{visitor}","event_timestamp":1768464000.5,"url":"/cart","http_status":200}}"#
        )
    };
    let records = [theirs("u1"), theirs("u2"), theirs("u3"), "nonsense".to_owned()];
    kafka.produce(&names.topic, records.iter().map(|value| ("key", value.as_bytes())));
    let config = ProcessorConfig::new(&kafka, &influx, &names);
    Processor::run_until_end(&config);
    assert_eq!(requests(&influx), 0);
    assert_eq!(kafka.read_all(&names.dead_letters()).len(), 4);

    let list = dlq(&config, "list", &[]);
    for (reason, count) in [("missing_field", "3"), ("not_json", "1")] {
        let counted = |line: &str| line.contains(reason) && line.split_whitespace().any(|word| word == count);
        assert!(list.lines().any(counted), "{count} records with {reason} are listed:\n{list}");
    }
    let shown = dlq(&config, "show", &["--reason", "not_json"]);
    assert!(shown.contains("nonsense") && !shown.contains("visitor"), "{shown}");

    dlq(&config, "replay", &["--reason", "missing_field"]);
    let sent = || kafka.end_offsets(&names.topic).iter().sum::<i64>();
    assert_eq!(sent(), 4, "without --yes nothing is sent");
    dlq(&config, "replay", &["--reason", "missing_field", "--yes"]);
    assert_eq!(sent(), 7);

    Processor::run_until_end(&config.extra("[inputs.fields]\nvisitor = \"user_id\""));
    assert_eq!(requests(&influx), 3);
    assert_eq!(kafka.read_all(&names.dead_letters()).len(), 4, "nothing was rejected again");
}

fn dlq(config: &ProcessorConfig, command: &str, args: &[&str]) -> String {
    let mut dlq = Processor::spawn(&format!("dlq {command}"), &config.to_toml(), config.http_port, args);
    let code = dlq.process.wait(Duration::from_secs(60));
    let said = dlq.process.log();
    assert_eq!(code, 0, "dlq {command} succeeds; it said:\n{said}");
    said
}

fn requests(influx: &Influx) -> i64 {
    let points = influx.points(&influx.buckets().raw, "http_all");
    points.iter().filter_map(|point| point["requests"].as_i64()).sum()
}
