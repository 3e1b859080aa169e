//! What the demo says on the terminal: the address and what to look at, how it goes, and what came of it.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use processor::runtime::RunSummary;
use processor::status::PipelineStatus;

use crate::args::Plan;

/// Without a terminal, a line is worth printing this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Where the page is and what there is to see.
pub(crate) fn welcome(plan: &Plan, page: SocketAddr) {
    let shoppers = grouped(u64::from(plan.shoppers.users));
    let rate = grouped(plan.rate.round() as u64);
    println!(
        "Clickpulse: {shoppers} shoppers, {rate} events/s, an embedded Kafka and the processor, all in this process.

  page      http://{page}
  numbers   http://{page}/api/v1/live   /api/v1/status   /metrics
  results   {results}

Open the page: numbers appear within seconds, the first full window after {window} s. Then let something
break with the buttons below the charts, and see the error rate rise and fall. Ctrl-C ends it.
",
        results = results(plan),
        window = plan.settings.windows.size.as_secs_f64(),
    );
    if !page.ip().is_loopback() {
        println!("Note: the page has no password, and {page} can be reached from other machines.\n");
    }
}

/// What was sent, processed and written.
pub(crate) fn farewell(plan: &Plan, sent: &producer::Summary, summary: &RunSummary) {
    let totals = summary.totals;
    println!(
        "Sent {} records in {:.0} s, processed {}: {} counted, {} duplicates, {} late, {} rejected; {}.",
        grouped(sent.deliveries.delivered()),
        sent.elapsed.as_secs_f64(),
        grouped(totals.consumed),
        grouped(totals.counted),
        grouped(totals.duplicates),
        grouped(totals.late),
        grouped(totals.rejected),
        match totals.unaccounted() {
            0 => "nothing lost".to_owned(),
            records => format!("{records} UNACCOUNTED FOR"),
        },
    );
    if sent.deliveries.failed > 0 {
        let why = sent.last_error.as_deref().unwrap_or("no reason given");
        println!("{} records were not delivered: {why}", grouped(sent.deliveries.failed));
    }
    if plan.settings.files.is_some() || plan.settings.influxdb.is_some() {
        println!("Wrote {} points: {}", grouped(summary.points_written), results(plan));
    }
}

/// One line that says how it goes: rewritten in place on a terminal, now and then elsewhere.
pub(crate) struct Progress {
    terminal: bool,
    last_line: Option<Duration>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), last_line: None }
    }

    pub(crate) fn show(&mut self, status: &PipelineStatus, elapsed: Duration) {
        let line = progress_line(status, elapsed);
        if self.terminal {
            print!("\r\x1b[2K{line}");
            // A terminal that is gone is no reason to stop.
            let _ = std::io::stdout().flush();
        } else if self.last_line.is_none_or(|last| elapsed - last >= LINE_EVERY) {
            println!("{line}");
            self.last_line = Some(elapsed);
        }
    }

    /// Leaves the line free for what comes next.
    pub(crate) fn clear(&self) {
        if self.terminal {
            print!("\r\x1b[2K");
        }
    }
}

fn progress_line(status: &PipelineStatus, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let clock = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    if !status.kafka_ready {
        return format!(
            "{clock}  starting: {}",
            status.kafka_problem.as_deref().unwrap_or("joining the group")
        );
    }
    let lag: i64 = status.tasks.iter().map(|task| task.lag.max(0)).sum();
    let problem = status.sink.problem.as_deref().map(|problem| format!("  {problem}")).unwrap_or_default();
    format!(
        "{clock}  {} records  {}/s  {} behind  fresh within {:.1} s (p99)  {}{problem}",
        grouped(status.totals.consumed),
        grouped(status.rate.round() as u64),
        grouped(lag.unsigned_abs()),
        status.freshness_p99_ms / 1_000.0,
        if status.totals.conserved() { "nothing lost" } else { "RECORDS UNACCOUNTED FOR" },
    )
}

fn results(plan: &Plan) -> String {
    let files = plan.settings.files.as_ref();
    let files = files.map(|files| {
        let dir = files.dir.display();
        format!("{dir}/points.lp (line protocol), {dir}/points.jsonl (JSON lines), rollups beside them")
    });
    let influx = plan.settings.influxdb.as_ref();
    let influx = influx.map(|influx| format!("InfluxDB {}, bucket {}", influx.url, influx.bucket));
    let all: Vec<_> = influx.into_iter().chain(files).collect();
    if all.is_empty() { "on the page only".to_owned() } else { all.join("; ") }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_line_says_why_it_has_not_begun_and_then_how_it_goes() {
        let mut status = PipelineStatus::default();
        assert_eq!(progress_line(&status, Duration::from_secs(3)), "00:03  starting: joining the group");
        status.kafka_ready = true;
        status.rate = 1_999.6;
        status.totals.consumed = 120_000;
        status.totals.counted = 119_999;
        status.freshness_p99_ms = 1_240.0;
        let line = progress_line(&status, Duration::from_secs(61));
        let expected =
            "01:01  120,000 records  2,000/s  0 behind  fresh within 1.2 s (p99)  RECORDS UNACCOUNTED FOR";
        assert_eq!(line, expected);
    }
}
