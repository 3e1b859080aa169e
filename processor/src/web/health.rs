//! From the pipeline's status to a verdict.

use serde::Serialize;

use crate::status::{KAFKA_SILENT_MS, PipelineStatus};

/// Above this, numbers are late enough to say so; the alert on freshness uses the same bound.
const FRESHNESS_P99_MAX_MS: f64 = 10_000.0;

/// How well the pipeline is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything flows.
    Healthy,
    /// Numbers are late or incomplete for now; nothing is lost.
    Degraded,
    /// Not ready yet, and nothing is known to be wrong.
    Starting,
    /// Not ready, or numbers are wrong.
    Unhealthy,
}

/// The verdict and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The worst of the reasons.
    pub level: Level,
    /// Whether traffic may rely on this instance: Kafka assigned and the sink healthy.
    pub ready: bool,
    /// One line each, the worst first; empty when healthy.
    pub reasons: Vec<String>,
}

impl Health {
    /// Judges a status.
    #[must_use]
    pub fn of(status: &PipelineStatus) -> Self {
        let not_ready = not_ready(status);
        let ready = not_ready.is_empty();
        let starting = !ready && status.kafka_problem.is_none() && status.sink.problem.is_none();
        let mut reasons = not_ready;
        let unaccounted = status.totals.unaccounted();
        if unaccounted != 0 {
            reasons.push(format!("conservation is broken: {unaccounted} records are unaccounted for"));
        }
        let wrong = reasons.len();
        if ready && let Some(problem) = status.kafka_silence(KAFKA_SILENT_MS) {
            reasons.push(format!("kafka: {problem}"));
        }
        if let Some(paused) = &status.paused {
            reasons.push(format!("reading is paused: {paused}"));
        }
        let replaying: i64 = status.tasks.iter().map(|task| task.replay_left).sum();
        if replaying > 0 {
            reasons.push(format!("rebuilding state: {replaying} records to replay"));
        }
        if status.freshness_p99_ms > FRESHNESS_P99_MAX_MS {
            reasons.push(format!("numbers are {:.0} s late (p99)", status.freshness_p99_ms / 1_000.0));
        }
        let level = match (wrong, reasons.len()) {
            (0, 0) => Level::Healthy,
            (0, _) => Level::Degraded,
            _ if starting && unaccounted == 0 => Level::Starting,
            _ => Level::Unhealthy,
        };
        Self { level, ready, reasons }
    }
}

fn not_ready(status: &PipelineStatus) -> Vec<String> {
    let mut reasons = Vec::new();
    if !status.kafka_ready {
        let problem = status.kafka_problem.as_deref().unwrap_or("waiting for partitions to be assigned");
        reasons.push(format!("kafka: {problem}"));
    } else if let Some(problem) = status.kafka_silence(status.lease_ms) {
        reasons.push(format!("kafka: {problem}"));
    }
    if !status.sink.healthy {
        let problem = status.sink.problem.as_deref().unwrap_or("no write has been confirmed yet");
        reasons.push(format!("sink: {problem}"));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{TaskStatus, Totals};

    #[test]
    fn a_flowing_pipeline_is_healthy() {
        assert_eq!(Health::of(&flowing()), Health { level: Level::Healthy, ready: true, reasons: vec![] });
    }

    #[test]
    fn kafka_and_the_sink_decide_readiness() {
        let mut status = PipelineStatus::default();
        let health = Health::of(&status);
        assert!(!health.ready);
        assert_eq!(health.level, Level::Starting);
        assert_eq!(
            health.reasons,
            ["kafka: waiting for partitions to be assigned", "sink: no write has been confirmed yet"]
        );
        status.kafka_problem = Some("127.0.0.1:9092 refuses connections".to_owned());
        let health = Health::of(&status);
        assert_eq!((health.level, health.ready), (Level::Unhealthy, false));
        assert_eq!(health.reasons[0], "kafka: 127.0.0.1:9092 refuses connections");
    }

    #[test]
    fn a_kafka_that_goes_away_degrades_and_then_is_waited_for() {
        let mut status = flowing();
        status.lease_ms = 35_000;
        status.kafka_silent_ms = Some(40_000);
        assert_eq!(Health::of(&status).level, Level::Healthy, "nothing was asked");
        status.kafka_problem = Some("no broker of kafka:9092 is reachable".to_owned());
        for (silent_ms, level, ready) in
            [(2_000, Level::Healthy, true), (9_000, Level::Degraded, true), (36_000, Level::Unhealthy, false)]
        {
            status.kafka_silent_ms = Some(silent_ms);
            let health = Health::of(&status);
            assert_eq!((health.level, health.ready), (level, ready), "{silent_ms} ms");
            let reason =
                format!("kafka: no answer for {} s: no broker of kafka:9092 is reachable", silent_ms / 1_000);
            assert_eq!(health.reasons, if level == Level::Healthy { vec![] } else { vec![reason] });
        }
        status.standby = true;
        assert_eq!(Health::of(&status).level, Level::Healthy, "who stands by asks nothing");
    }

    #[test]
    fn a_lost_record_is_unhealthy_but_ready() {
        let mut status = flowing();
        status.totals.consumed += 2;
        let health = Health::of(&status);
        assert_eq!((health.level, health.ready), (Level::Unhealthy, true));
        assert_eq!(health.reasons, ["conservation is broken: 2 records are unaccounted for"]);
    }

    #[test]
    fn pausing_replaying_and_lateness_degrade() {
        let mut status = flowing();
        status.paused = Some("8 epochs wait for influxdb".to_owned());
        status.tasks.push(TaskStatus { replay_left: 10, ..TaskStatus::default() });
        status.freshness_p99_ms = 12_000.0;
        let health = Health::of(&status);
        assert_eq!((health.level, health.ready), (Level::Degraded, true));
        assert_eq!(health.reasons.len(), 3);
    }

    fn flowing() -> PipelineStatus {
        let mut status = PipelineStatus { kafka_ready: true, ..PipelineStatus::default() };
        status.sink.healthy = true;
        status.totals = Totals { consumed: 5, counted: 5, ..Totals::default() };
        status
    }
}
