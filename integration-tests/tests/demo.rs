//! The demo: one process, no service, and numbers on its page within seconds, as a browser shows it.

use std::process::Command;
use std::time::Duration;

use integration_tests::{Browser, Influx, Reply, Running, eventually, get, program};
use serde_json::Value;

/// A picture of the page without a number has a third of this.
const EMPTY_PAGE_BYTES: u64 = 200_000;

#[test]
fn the_page_shows_numbers_in_a_browser_and_results_are_written_to_files() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(program("demo"));
    command.args(["--listen", "127.0.0.1:0", "--rate", "2000"]).current_dir(dir.path());
    let mut demo = Running::spawn("demo", command, &dir.path().join("demo.log"));
    let address = eventually("the demo prints its address", || {
        assert!(demo.is_running(), "{}", demo.log());
        let log = demo.log();
        let address = log.split_whitespace().find(|word| word.starts_with("http://"));
        address.map(str::to_owned).ok_or(log)
    });
    eventually("a window has been counted", || {
        let Reply { body, .. } = get(&format!("{address}/api/v1/status"))?;
        let status: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        let counted = status["totals"]["counted"].as_u64().unwrap_or(0);
        if counted > 5_000 && status["conserved"] == true {
            Ok(())
        } else {
            Err(format!("{counted} counted"))
        }
    });

    let browser = Browser::find();
    let missing = |dom: &str| -> Vec<&str> {
        // Each is a place on the page, and something in it that only real numbers put there.
        [
            ("id=\"tiles\"", "requests"),
            ("id=\"chart-errors\"", "<svg"),
            ("id=\"routes\"", "/product/:id"),
            ("id=\"first\"", "%"),
            ("id=\"urls\"", "<li"),
            ("id=\"users\"", "<li"),
            ("id=\"events\"", "page view"),
            ("id=\"equation\"", "duplicate"),
            ("id=\"tasks\"", "running"),
        ]
        .into_iter()
        .filter(|(place, text)| {
            let section = dom.split_once(place).map_or("", |(_, rest)| rest);
            let end = section.find("</section>").unwrap_or(section.len());
            !section[..end].to_lowercase().contains(text)
        })
        .map(|(place, _)| place)
        .collect()
    };
    eventually("the page shows every number", || {
        let dom = browser.dom(&address, Duration::from_secs(6));
        match missing(&dom) {
            none if none.is_empty() => Ok(()),
            some => Err(format!("nothing in {some:?}; the page was {} bytes\n{dom}", dom.len())),
        }
    });

    let picture = dir.path().join("page.png");
    eventually("a picture shows more than an empty page", || {
        browser.screenshot(&address, &picture);
        let bytes = std::fs::metadata(&picture).map_err(|error| error.to_string())?.len();
        if bytes > EMPTY_PAGE_BYTES { Ok(()) } else { Err(format!("{bytes} bytes")) }
    });
    if let Some(keep) = std::env::var_os("CLICKPULSE_SCREENSHOTS") {
        std::fs::copy(&picture, std::path::Path::new(&keep).join("demo.png"))
            .expect("the folder can be written");
    }

    demo.signal("INT");
    assert_eq!(demo.wait(Duration::from_secs(60)), 0, "{}", demo.log());
    assert!(demo.log().contains("nothing lost"), "{}", demo.log());
    let written: u64 = files(&dir.path().join("clickpulse-out"));
    assert!(written > 10_000, "results are written as files: {written} bytes");
}

#[test]
fn results_go_to_a_real_influxdb_instead_where_one_is_named() {
    let (influx, dir) = (Influx::start_own(), tempfile::tempdir().expect("a temporary folder"));
    let token = dir.path().join("token");
    std::fs::write(&token, influx.write_token()).expect("the folder can be written");
    let mut command = Command::new(program("demo"));
    command
        .args(["--listen", "127.0.0.1:0", "--rate", "2000", "--influx-url", influx.url()])
        .args(["--influx-org", influx.org(), "--influx-token-file"])
        .arg(&token)
        .current_dir(dir.path());
    let mut demo = Running::spawn("demo", command, &dir.path().join("demo.log"));
    eventually("influxdb has requests and what the pipeline says of itself", || {
        assert!(demo.is_running(), "{}", demo.log());
        let raw = &influx.buckets().raw;
        let (requests, reports) = (influx.points(raw, "http").len(), influx.points(raw, "pipeline").len());
        if requests > 0 && reports >= 2 { Ok(()) } else { Err(format!("{requests} and {reports} points")) }
    });
    for report in influx.points(&influx.buckets().raw, "pipeline") {
        let time_ms = report["time"].as_i64().expect("a time");
        assert_eq!(time_ms % 10_000, 0, "each of a dashboard's intervals has one: {report:?}");
    }
    demo.signal("INT");
    assert_eq!(demo.wait(Duration::from_secs(60)), 0, "{}", demo.log());
    assert!(demo.log().contains("nothing lost"), "{}", demo.log());
    assert!(!dir.path().join("clickpulse-out").exists(), "no files beside it");
}

/// Bytes in a folder and those below.
fn files(dir: &std::path::Path) -> u64 {
    let entries =
        std::fs::read_dir(dir).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| if path.is_dir() { files(&path) } else { path.metadata().map_or(0, |it| it.len()) })
        .sum()
}
