//! The harness itself: the servers keep what they were given across a restart, and say what they hold.

use integration_tests::{Influx, Kafka, Names};

#[test]
fn kafka_keeps_records_over_a_kill_and_a_restart() {
    let mut kafka = Kafka::start_own();
    let topic = Names::unique("harness").topic;
    kafka.create_topic(&topic, 2);
    kafka.produce(&topic, [("u1", b"one".as_slice()), ("u2", b"two"), ("u3", b"three")]);
    kafka.kill();
    kafka.launch();

    let mut values: Vec<Vec<u8>> = kafka.read_all(&topic).into_iter().map(|record| record.value).collect();
    values.sort();
    assert_eq!(values, [b"one".to_vec(), b"three".to_vec(), b"two".to_vec()]);
    assert_eq!(kafka.end_offsets(&topic).iter().sum::<i64>(), 3);
    assert_eq!(kafka.committed("nobody", &topic), [None, None]);
}

#[test]
fn influxdb_keeps_points_over_a_restart_and_answers_influxql() {
    let mut influx = Influx::start_own();
    let raw = influx.buckets().raw.clone();
    influx.write(&raw, "http,route=/a requests=3i 1700000000000\nhttp,route=/b requests=4i 1700000000000");
    influx.stop();
    influx.launch();

    let points = influx.points(&raw, "http");
    let requests: Vec<_> =
        points.iter().map(|row| (row["route"].as_str(), row["requests"].as_i64())).collect();
    assert_eq!(requests, [(Some("/a"), Some(3)), (Some("/b"), Some(4))]);
    assert_eq!(points[0]["time"], 1_700_000_000_000_i64);
}

#[test]
fn an_inactive_token_is_refused_until_it_is_active_again() {
    let influx = Influx::start();
    let status = |token: &str| {
        let url = format!(
            "{}/api/v2/write?org={}&bucket={}&precision=ms",
            influx.url(),
            influx.org(),
            influx.buckets().raw.replace('/', "%2F")
        );
        let header = format!("Token {token}");
        ureq::post(url)
            .config()
            .http_status_as_error(false)
            .build()
            .header("Authorization", header)
            .send("t v=1i 1700000000000")
            .unwrap()
            .status()
            .as_u16()
    };
    let token = influx.new_write_token("to be revoked");
    assert_eq!(status(&token.secret), 204);
    influx.set_token_active(&token, false);
    assert_eq!(status(&token.secret), 403);
    influx.set_token_active(&token, true);
    assert_eq!(status(&token.secret), 204);
}
