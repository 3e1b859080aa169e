//! What the InfluxDB writer does with every answer, row by row, on a scripted server.

#[path = "influx/harness.rs"]
mod harness;
#[path = "influx/server.rs"]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use harness::{Harness, line, point, point_at};
use processor::influx::retry::{BACKOFF_BASE, HOLD_RETRY, RETRY_AFTER_MAX};
use processor::influx::{Client, Remaining, Tuning, WriteOutcome};
use processor_core::{FieldValue, Resolution};
use server::{Reply, Request, Server};

#[test]
fn a_batch_is_written_compressed_with_the_token_and_acknowledged_once() {
    let server = Server::start(|_| Reply::ok());
    let harness = Harness::start(&server);
    harness.submit(1, vec![point(1, 10), point(2, 20)]);
    assert_eq!(harness.ack(), 1);
    let writes = server.writes();
    assert_eq!(writes.len(), 1);
    let request = &writes[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/api/v2/write?org=acme%20%26%20co&bucket=clickstream%2Fraw_10s&precision=ms");
    assert_eq!(request.headers["authorization"], "Token s3cret");
    assert_eq!(request.headers["content-encoding"], "gzip");
    assert_eq!(request.lines(), [line(1, 10), line(2, 20)]);
    let status = harness.status();
    assert_eq!((status.points_written, status.points_refused, status.retries), (2, 0, 0));
    assert_eq!((status.batches_waiting, status.bytes_waiting), (0, 0));
    assert!(status.write_p99_ms > 0.0);
    assert!(harness.more_acks().is_empty());
}

#[test]
fn a_path_in_front_of_the_api_is_kept() {
    let server = Server::start(|_| Reply::ok());
    for url in [format!("{}/behind/proxy", server.url), format!("{}/behind/proxy/", server.url)] {
        let config = harness::config(&url);
        let client = Client::new(&config, &Tuning::default()).unwrap();
        let outcome = client.write(&config.bucket(Resolution::Hour), b"a f=1i 1\n");
        assert_eq!(outcome, WriteOutcome::Ok);
    }
    for request in server.writes() {
        assert!(request.target.starts_with("/behind/proxy/api/v2/write?org="), "{}", request.target);
    }
    assert_eq!(server.writes().len(), 2);
}

#[test]
fn a_batch_over_several_buckets_is_acknowledged_when_the_last_one_has_it() {
    let (open, gate) = channel::<()>();
    let server = Server::start(move |request| {
        if request.bucket() == "clickstream/rollup_1h" && !request.body.is_empty() {
            gate.recv().unwrap();
        }
        Reply::ok()
    });
    let harness = Harness::start(&server);
    harness.await_status(|status| status.healthy);
    harness.submit(1, Resolution::ALL.map(|resolution| point_at(resolution, 1, 1)).to_vec());
    harness.submit(2, vec![]);
    assert_eq!(harness.ack(), 2, "a batch without points has nothing to wait for");
    server.await_writes(1);
    assert!(harness.more_acks().is_empty());
    open.send(()).unwrap();
    assert_eq!(harness.ack(), 1);
    let precisions: BTreeMap<_, _> = server
        .writes()
        .iter()
        .map(|request| (request.bucket(), request.parameter("precision").to_owned()))
        .collect();
    let expected =
        [("clickstream/raw_10s", "ms"), ("clickstream/rollup_1h", "s"), ("clickstream/rollup_1m", "s")];
    assert_eq!(precisions, expected.map(|(bucket, unit)| (bucket.to_owned(), unit.to_owned())).into());
}

#[test]
fn a_new_sink_is_healthy_once_each_bucket_took_a_write_without_lines() {
    let server = Server::start(|_| Reply::ok());
    let harness = Harness::start(&server);
    let status = harness.await_status(|status| status.healthy);
    assert_eq!(status.problem, None);
    assert!(server.writes().is_empty(), "asking leaves nothing behind");
    let buckets: BTreeSet<_> = server.all().iter().map(Request::bucket).collect();
    assert_eq!(buckets.len(), 3);
}

#[test]
fn an_influxdb_that_is_not_there_is_named_and_found_when_it_comes() {
    let server = Server::start(|_| Reply::Disconnect);
    let harness = Harness::start(&server);
    let status = harness.await_status(|status| status.problem.is_some());
    assert!(!status.healthy);
    assert!(status.problem.unwrap().contains(&server.url));
    server.change(|_| Reply::ok());
    let status = harness.await_status(|status| status.healthy);
    assert_eq!(status.problem, None);
}

#[test]
fn wrong_settings_are_held_and_named_until_they_are_right() {
    let cases = [
        (401, "unauthorized access", "influxdb.token is refused"),
        (403, "insufficient permissions for write", "influxdb.token may not write influxdb.bucket"),
        (404, "organization name \"acme & co\" not found", "influxdb.org = \"acme & co\" does not exist"),
        (404, "bucket \"clickstream/raw_10s\" not found", "influxdb.bucket = \"clickstream/raw_10s\""),
        (404, "page not found", "influxdb.url"),
        (405, "method not allowed", "influxdb.url"),
        (200, "<html>welcome</html>", "influxdb.url"),
    ];
    for (code, message, named) in cases {
        let server = Server::start(move |request| match request.bucket().as_str() {
            "clickstream/raw_10s" => Reply::error(code, message),
            _ => Reply::ok(),
        });
        let harness = Harness::start(&server);
        harness.pause.close();
        harness.submit(1, vec![point(1, 1)]);
        assert_eq!(harness.pause.await_waits(1)[0], HOLD_RETRY);
        let problem = harness.await_status(|status| status.problem.is_some()).problem.unwrap();
        assert!(problem.starts_with(named), "{problem}");
        assert!(!harness.status().healthy, "one bucket of three is enough");
        assert!(harness.more_acks().is_empty());
        assert_eq!(harness.status().batches_waiting, 1);
        assert!(harness.dead.try_recv().is_err());
        server.change(|_| Reply::ok());
        harness.pause.open();
        assert_eq!(harness.ack(), 1);
        let status = harness.status();
        assert_eq!((status.problem, status.points_written), (None, 1));
    }
}

#[test]
fn a_redirect_is_not_followed_with_the_token() {
    let other = Server::start(|_| Reply::ok());
    let to = format!("{}/api/v2/write", other.url);
    let server = Server::start(move |_| Reply::status(307).with("Location", &to));
    let harness = Harness::start(&server);
    harness.pause.close();
    let problem = harness.await_status(|status| status.problem.is_some()).problem.unwrap();
    assert!(problem.contains("redirects to") && problem.contains(&other.url), "{problem}");
    assert!(other.all().is_empty());
}

#[test]
fn a_line_that_the_server_names_is_buried_with_its_reason_and_the_rest_is_written() {
    let bad = [line(7, 1), line(4_000, 1)];
    let refused = bad.clone();
    let server = Server::start(move |request| {
        let lines = request.lines();
        let named: Vec<_> = refused
            .iter()
            .filter(|line| lines.contains(line))
            .map(|line| format!("unable to parse '{line}': invalid number"))
            .collect();
        if named.is_empty() { Reply::ok() } else { Reply::error(400, &named.join("\n")) }
    });
    let harness = Harness::start(&server);
    harness.submit(1, (0..5_000).map(|rank| point(rank, 1)).collect());
    assert_eq!(harness.ack(), 1);
    let writes = server.writes();
    assert_eq!(writes.iter().map(|request| request.lines().len()).collect::<Vec<_>>(), [5_000, 4_998]);
    for expected in bad {
        let dead = harness.dead.try_recv().expect("buried before the ack");
        assert_eq!(String::from_utf8(dead.line).unwrap(), expected);
        assert_eq!((dead.bucket.as_str(), dead.reason.as_str()), ("clickstream/raw_10s", "invalid number"));
    }
    assert!(harness.dead.try_recv().is_err());
    let status = harness.status();
    assert_eq!((status.points_written, status.points_refused, status.retries), (4_998, 2, 0));
}

#[test]
fn a_line_that_nobody_names_is_found_by_halving() {
    let bad = line(1_234, 1);
    let refused = bad.clone();
    let server = Server::start(move |request| match request.lines().contains(&refused) {
        true => Reply::error(400, "no"),
        false => Reply::ok(),
    });
    let harness = Harness::start(&server);
    harness.await_status(|status| status.healthy);
    harness.submit(1, (0..5_000).map(|rank| point(rank, 1)).collect());
    assert_eq!(harness.ack(), 1);
    let dead = harness.dead.try_recv().expect("buried before the ack");
    assert_eq!((String::from_utf8(dead.line).unwrap(), dead.reason.as_str()), (bad, "no"));
    assert!(harness.dead.try_recv().is_err());
    let halvings = 13; // 2^13 > 5,000
    let writes = server.writes().len();
    assert!(writes <= 1 + 2 * halvings, "{writes} requests");
    assert_eq!(harness.status().points_written, 4_999);
}

#[test]
fn where_any_write_is_refused_no_line_is_buried() {
    let server = Server::start(|_| Reply::error(400, "invalid precision"));
    let harness = Harness::start(&server);
    harness.pause.close();
    harness.submit(1, vec![point(1, 1), point(2, 2)]);
    let waits = harness.pause.await_waits(3);
    assert_eq!(waits, [HOLD_RETRY; 3]);
    let problem = harness.await_status(|status| status.problem.is_some()).problem.unwrap();
    assert!(problem.contains("refuses any write (400: invalid precision)"), "{problem}");
    server.change(|request| match request.body.is_empty() {
        true => Reply::error(400, "invalid precision"),
        false => Reply::error(400, "still"),
    });
    harness.pause.open();
    harness.pause.await_waits(10);
    assert!(harness.dead.try_recv().is_err());
    assert!(harness.more_acks().is_empty());
    server.change(|_| Reply::ok());
    assert_eq!(harness.ack(), 1);
    assert_eq!(harness.status().points_written, 2);
}

#[test]
fn a_request_that_is_too_large_is_halved_and_later_ones_are_smaller() {
    let bytes_max = 20 * (line(0, 1).len() + 1);
    let server = Server::start(move |request| match request.body.len() > bytes_max {
        true => Reply::status(413),
        false => Reply::ok(),
    });
    let harness = Harness::start(&server);
    harness.submit(1, (0..100).map(|rank| point(rank, 1)).collect());
    assert_eq!(harness.ack(), 1);
    let first = server.writes().len();
    harness.submit(2, (0..100).map(|rank| point(rank, 2)).collect());
    assert_eq!(harness.ack(), 2);
    let writes = server.writes();
    assert!(writes[..first].iter().any(|request| request.body.len() > bytes_max));
    assert!(writes[first..].iter().all(|request| request.body.len() <= bytes_max));
    assert_eq!(harness.status().points_written, 200);
    assert!(harness.dead.try_recv().is_err());
}

#[test]
fn a_single_line_that_is_too_large_is_buried() {
    let server = Server::start(|request| match request.body.contains("rank=0003") {
        true => Reply::status(413),
        false => Reply::ok(),
    });
    let harness = Harness::start(&server);
    harness.submit(1, (0..8).map(|rank| point(rank, 1)).collect());
    assert_eq!(harness.ack(), 1);
    let dead = harness.next_dead();
    assert_eq!(String::from_utf8(dead.line).unwrap(), line(3, 1));
    assert!(dead.reason.starts_with("413: "), "{}", dead.reason);
    let status = harness.status();
    assert_eq!((status.points_written, status.points_refused), (7, 1));
}

#[test]
fn a_partial_write_is_counted_and_never_repeated() {
    let server = Server::start(|request| match request.body.is_empty() {
        true => Reply::ok(),
        false => Reply::error(422, "partial write: field type conflict: input field \"f\" dropped=3"),
    });
    let harness = Harness::start(&server);
    harness.await_status(|status| status.healthy);
    harness.submit(1, (0..10).map(|rank| point(rank, 1)).collect());
    assert_eq!(harness.ack(), 1);
    assert_eq!(server.writes().len(), 1);
    let status = harness.status();
    assert_eq!((status.points_written, status.points_refused), (7, 3));
    assert_eq!((status.retries, status.problem, status.healthy), (0, None, true));
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(300));
    let replies = [
        Reply::status(429).with("Retry-After", "90"),
        Reply::status(503).with("Retry-After", "86400"),
        Reply::status(503).with("Retry-After", &date),
        Reply::status(503),
    ];
    let harness_and_server = failing_raw_writes(replies);
    let (harness, server) = &harness_and_server;
    harness.submit(1, vec![point(1, 1)]);
    assert_eq!(harness.ack(), 1);
    let waits = harness.pause.waits();
    assert_eq!(waits.len(), 4);
    assert_eq!(waits[..2], [Duration::from_secs(90), RETRY_AFTER_MAX]);
    assert!(Duration::from_secs(200) < waits[2] && waits[2] <= Duration::from_secs(300), "{:?}", waits[2]);
    assert!(
        BACKOFF_BASE * 4 <= waits[3] && waits[3] <= BACKOFF_BASE * 8,
        "the fourth backoff: {:?}",
        waits[3]
    );
    assert_eq!(server.writes().len(), 5);
    assert_eq!(harness.status().retries, 4);
}

#[test]
fn failures_that_pass_are_retried_with_growing_waits() {
    let replies =
        [Reply::error(500, "internal error"), Reply::status(502), Reply::Disconnect, Reply::status(504)];
    let harness_and_server = failing_raw_writes(replies);
    let (harness, server) = &harness_and_server;
    harness.submit(1, vec![point(1, 1)]);
    assert_eq!(harness.ack(), 1);
    for (failures, wait) in harness.pause.waits().into_iter().enumerate() {
        let full = BACKOFF_BASE * (1 << failures);
        assert!(full / 2 <= wait && wait <= full, "failure {failures}: {wait:?}");
    }
    assert_eq!(server.writes().len(), 5);
    assert_eq!((harness.status().retries, harness.more_acks().len()), (4, 0));
}

#[test]
fn a_server_that_never_answers_is_given_up_and_tried_again() {
    let mut requests = 0;
    let server = Server::start(move |request| {
        requests += usize::from(!request.body.is_empty());
        if requests == 1 { Reply::Hang } else { Reply::ok() }
    });
    let harness = Harness::start_tuned(&server, |tuning| tuning.request_timeout = Duration::from_millis(300));
    harness.await_status(|status| status.healthy);
    harness.submit(1, vec![point(1, 1)]);
    assert_eq!(harness.ack(), 1);
    assert!(server.writes().len() >= 2);
    assert!(harness.status().retries >= 1);
}

#[test]
fn an_outage_keeps_one_line_for_each_point_and_loses_nothing() {
    let server = Server::start(|_| Reply::status(503));
    let harness = Harness::start(&server);
    harness.pause.close();
    harness.pause.await_waits(3);
    for batch in 0..1_000 {
        let version = 1_000 + i64::try_from(batch).unwrap();
        harness.submit(batch, (0..20).map(|rank| point(rank, version)).collect());
    }
    let status = harness.status();
    assert_eq!(status.batches_waiting, 1_000);
    assert_eq!(status.bytes_waiting, 20 * (line(0, 1_000).len() as u64 + 1));
    // Now with attempts in between.
    harness.pause.open();
    for batch in 1_000..2_000 {
        let version = 1_000 + i64::try_from(batch).unwrap();
        harness.submit(batch, (0..20).map(|rank| point(rank, version)).collect());
    }
    harness.await_status(|status| status.bytes_waiting == 20 * (line(0, 1_000).len() as u64 + 1));
    assert!(harness.more_acks().is_empty());

    let stored = Store::attach(&server);
    let acks: Vec<u64> = (0..2_000).map(|_| harness.ack()).collect();
    assert_eq!(acks, (0..2_000).collect::<Vec<_>>());
    assert!(harness.more_acks().is_empty());
    assert_eq!(stored.values(), BTreeMap::from_iter((0..20).map(|rank| (rank, 2_999))));
    assert_eq!(harness.status().bytes_waiting, 0);
}

#[test]
fn an_older_value_never_follows_a_newer_one() {
    let server = Server::start(|_| Reply::ok());
    let stored = Store::attach_failing(&server, 3);
    let harness = Harness::start_tuned(&server, |tuning| tuning.lines_max = 7);
    for batch in 0..300 {
        harness.submit(batch, (0..10).map(|rank| point(rank, i64::try_from(batch).unwrap())).collect());
    }
    for batch in 0..300 {
        assert_eq!(harness.ack(), batch);
    }
    assert_eq!(stored.values(), BTreeMap::from_iter((0..10).map(|rank| (rank, 299))));
    assert!(harness.status().retries > 0);
}

#[test]
fn a_value_that_comes_while_its_point_is_under_way_waits_and_replaces_it_if_that_fails() {
    let (answer, answers) = channel::<Reply>();
    let server = Server::start(move |request| match request.body.is_empty() {
        true => Reply::ok(),
        false => answers.recv().unwrap(),
    });
    let harness = Harness::start(&server);
    harness.await_status(|status| status.healthy);
    harness.submit(1, vec![point(1, 1), point(2, 1)]);
    server.await_writes(1);
    harness.submit(2, vec![point(1, 2)]);
    answer.send(Reply::status(500)).unwrap();
    server.await_writes(2);
    harness.submit(3, vec![point(2, 3)]);
    answer.send(Reply::ok()).unwrap();
    assert_eq!((harness.ack(), harness.ack()), (1, 2));
    answer.send(Reply::ok()).unwrap();
    assert_eq!(harness.ack(), 3);
    let lines: Vec<_> = server.writes().iter().map(Request::lines).collect();
    assert_eq!(lines, [vec![line(1, 1), line(2, 1)], vec![line(1, 2), line(2, 1)], vec![line(2, 3)],]);
}

#[test]
fn requests_are_bounded_in_lines_and_bytes() {
    let server = Server::start(|_| Reply::ok());
    let harness = Harness::start(&server);
    harness.submit(1, (0..9_999).map(|rank| point(rank, 1)).collect());
    assert_eq!(harness.ack(), 1);
    let lines: Vec<_> = server.writes().iter().map(|request| request.lines().len()).collect();
    assert_eq!(lines, [5_000, 4_999]);

    let long: String = "/long".repeat(2_000);
    let points = (0..250).map(|rank| {
        let mut point = point(rank, 1);
        point.fields[0] = FieldValue::Text(long.as_str().into());
        point
    });
    harness.submit(2, points.collect());
    assert_eq!(harness.ack(), 2);
    let writes = server.writes();
    assert_eq!(writes.len(), 5);
    assert!(writes.iter().all(|request| request.body.len() <= 1_000_000));
}

#[test]
fn a_point_that_has_no_line_is_buried_and_does_not_hold_its_batch() {
    let server = Server::start(|_| Reply::ok());
    let harness = Harness::start(&server);
    let mut broken = point_at(Resolution::Raw, 1, 1);
    broken.fields[1] = FieldValue::Float(f64::NAN);
    harness.submit(1, vec![broken.clone(), point(2, 2)]);
    assert_eq!(harness.ack(), 1);
    let dead = harness.next_dead();
    assert!(String::from_utf8(dead.line).unwrap().contains("url_top"));
    assert_eq!(dead.reason, r#"field "requests" of "url_top" is not a finite number"#);
    harness.submit(2, vec![broken]);
    assert_eq!(harness.ack(), 2);
    assert_eq!((harness.status().points_written, harness.status().points_refused), (1, 2));
}

#[test]
fn an_orderly_end_writes_what_is_left() {
    let server = Server::start(|_| Reply::status(503));
    let harness = Harness::start(&server);
    harness.pause.close();
    harness.submit(1, (0..9_000).map(|rank| point(rank, 1)).collect());
    harness.pause.await_waits(3);
    let stored = Store::attach(&server);
    assert_eq!(harness.sink.shutdown(Duration::from_secs(60)), Remaining::default());
    assert_eq!(harness.ack(), 1);
    assert_eq!(stored.values().len(), 9_000);
}

#[test]
fn an_end_without_influxdb_says_what_is_left_and_acknowledges_nothing() {
    let server = Server::start(|_| Reply::Hang);
    // Longer than any test runs: only the deadline can end it.
    let harness =
        Harness::start_tuned(&server, |tuning| tuning.request_timeout = Duration::from_secs(86_400));
    harness.submit(1, vec![point(1, 1), point(2, 2)]);
    harness.submit(2, vec![point(3, 3)]);
    let remaining = harness.sink.shutdown(Duration::from_millis(200));
    let bytes = 3 * (line(1, 1).len() as u64 + 1);
    assert_eq!(remaining, Remaining { batches: 2, points: 3, bytes });
    assert!(harness.more_acks().is_empty());
}

/// A sink whose writes to the raw bucket get `replies`, then success.
fn failing_raw_writes<const N: usize>(replies: [Reply; N]) -> (Harness, Server) {
    let server = Server::start(|_| Reply::ok());
    let harness = Harness::start(&server);
    harness.await_status(|status| status.healthy);
    let mut replies = replies.into_iter();
    server.change(move |_| replies.next().unwrap_or_else(Reply::ok));
    (harness, server)
}

/// What a server has stored, by rank; an older value after a newer one is an error.
#[derive(Clone)]
struct Store(Arc<Mutex<BTreeMap<u64, i64>>>);

impl Store {
    fn attach(server: &Server) -> Self {
        Self::attach_failing(server, usize::MAX)
    }

    /// Every `nth` request stores its lines but fails all the same, and the one after it fails without storing.
    fn attach_failing(server: &Server, nth: usize) -> Self {
        let store = Self(Arc::default());
        let writing = store.clone();
        let requests = AtomicUsize::new(0);
        server.change(move |request| {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            if number % nth == nth - 1 {
                writing.write(request);
                return Reply::Disconnect;
            }
            if number >= nth && number.is_multiple_of(nth) {
                return Reply::status(500);
            }
            writing.write(request);
            Reply::ok()
        });
        store
    }

    fn write(&self, request: &Request) {
        let mut stored = self.0.lock().unwrap();
        for line in request.lines() {
            let number = |from: &str, to: char| {
                let rest = line.split_once(from).unwrap().1;
                rest.split(to).next().unwrap().parse::<i64>().unwrap()
            };
            let rank = u64::try_from(number("rank=", ' ')).unwrap();
            let value = number("requests=", 'i');
            let older = stored.insert(rank, value);
            assert!(older.is_none_or(|older| older <= value), "{value} after {older:?} for {rank}");
        }
    }

    fn values(&self) -> BTreeMap<u64, i64> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn without_a_confirmed_membership_nothing_is_sent_but_what_an_instance_says_of_itself() {
    let server = Server::start(|_| Reply::ok());
    let left_s = Arc::new(AtomicUsize::new(9)); // less than InfluxDB may take for a write
    let asked = Arc::clone(&left_s);
    let harness = Harness::start_tuned(&server, move |tuning| {
        tuning.time_left = Arc::new(move || Duration::from_secs(asked.load(Ordering::SeqCst) as u64));
    });
    harness.submit(1, vec![point(1, 10)]);
    harness.submit(2, vec![harness::own_point()]);
    let own = || server.writes().iter().flat_map(Request::lines).collect::<Vec<_>>();
    server.await_writes(1);
    assert!(own().iter().all(|line| line.starts_with("pipeline,")), "{:?}", own());
    let held = harness.await_status(|status| status.problem.is_some());
    assert!(held.problem.is_some_and(|problem| problem.contains("kafka has not confirmed")));
    assert!(harness.more_acks().is_empty());

    left_s.store(10, Ordering::SeqCst);
    assert_eq!(harness.ack(), 1);
    assert_eq!(harness.ack(), 2);
    assert!(own().contains(&line(1, 10)));
}

#[test]
fn what_is_forgotten_is_neither_written_nor_acknowledged_also_where_it_was_under_way() {
    let (answer, gate) = channel::<()>();
    let server = Server::start(move |request| {
        if request.body.is_empty() {
            return Reply::ok();
        }
        let _ = gate.recv(); // answered when the test says so
        Reply::status(503)
    });
    let harness = Harness::start(&server);
    harness.await_status(|status| status.healthy);
    harness.submit(1, vec![point(1, 10)]);
    server.await_writes(1);
    harness.submit(2, vec![point(2, 20)]);
    std::thread::scope(|threads| {
        let forgetting = threads.spawn(|| harness.sink.forget());
        harness.await_status(|status| status.batches_waiting == 0);
        assert!(!forgetting.is_finished(), "the request under way is waited for");
        answer.send(()).unwrap();
        forgetting.join().unwrap();
    });
    let status = harness.status();
    assert_eq!((status.batches_waiting, status.bytes_waiting), (0, 0), "the failed write is not repeated");
    drop(answer);
    harness.submit(3, vec![]);
    assert_eq!(harness.ack(), 3);
    assert!(harness.more_acks().is_empty());
    assert_eq!(server.writes().len(), 1, "nothing else was sent");
}
