use processor_core::schema;

use super::{chosen, ids, raw};
use crate::board::{Board, Row, Variable};
use crate::influxql::Select;
use crate::panel::{Kind, Panel};
use crate::quality::{notes_only, records_only};
use crate::slo::{
    FRESHNESS_P99_MS, INCOMPLETE_RATIO, LAG_RECORDS_MIN, LATE_RATIO, REJECTED_RATIO, REPEATED_RATIO,
    UNUSABLE_RATIO,
};

/// Can the other dashboards be believed?
pub(super) fn board() -> Board {
    Board {
        uid: "cs-pipeline",
        title: "Pipeline health",
        description: "Can the other dashboards be believed: is everything read, counted once and written in time? Every \
                      instance reports on the wall clock each 10 s, with or without traffic.",
        variables: vec![Variable {
            name: "instance",
            label: "Instance",
            query: raw(&schema::PIPELINE).tag_values("instance"),
        }],
        rows: vec![
            Row { id: 101, title: "Now", panels: now() },
            Row { id: 102, title: "In time", panels: in_time() },
            Row { id: 103, title: "Nothing lost", panels: nothing_lost() },
            Row { id: 104, title: "Writing", panels: writing() },
            Row { id: 106, title: "Epochs", panels: epochs() },
            Row { id: 105, title: "Resources", panels: resources() },
        ],
    }
}

/// A field's greatest value over all chosen instances, over time.
fn greatest(field: &'static str) -> Select {
    let pipeline = raw(&schema::PIPELINE);
    pipeline.select(pipeline.max(field)).and(pipeline.chosen("instance")).per_interval("none")
}

/// An expression for each chosen instance over time.
fn by_instance(expression: String) -> Select {
    let pipeline = raw(&schema::PIPELINE);
    pipeline
        .select(expression)
        .and(pipeline.chosen("instance"))
        .by(pipeline.tag("instance"))
        .per_interval("null")
}

/// A rate for each chosen instance over time.
///
/// A derivative has no row where there is nothing to derive, and a line would be drawn through. Grouped once more, such an
/// interval is empty: a gap.
fn rate_by_instance(expression: &str) -> Select {
    let pipeline = raw(&schema::PIPELINE);
    let rate = by_instance(format!("{expression} AS \"rate\""));
    Select::over("max(\"rate\")", &rate).and("$timeFilter").by(pipeline.tag("instance")).per_interval("null")
}

/// Records that no total accounts for; a square, so that a surplus shows as well as a loss.
fn unaccounted() -> Select {
    let pipeline = raw(&schema::PIPELINE);
    let gap = ["counted", "duplicates", "late", "rejected"].map(|field| pipeline.field(field)).join(" - ");
    let gap = format!("({} - {gap})", pipeline.field("consumed"));
    let squares = pipeline
        .select(format!("{gap} * {gap} AS \"square\""))
        .and(pipeline.chosen("instance"))
        .by(pipeline.tag("instance"));
    let worst = Select::over("max(\"square\") AS \"worst\"", &squares).per_interval("none");
    Select::over("sqrt(\"worst\")", &worst)
}

fn now() -> Vec<Panel> {
    let pipeline = raw(&schema::PIPELINE);
    let lag = pipeline
        .select(format!("{} AS \"lag\"", pipeline.call("last", "lag")))
        .and(pipeline.chosen("instance"))
        .by(pipeline.tag("instance"))
        .per_interval("none");
    let reporting = pipeline
        .select(format!("{} AS \"up\"", pipeline.call("last", "uptime_s")))
        .and(pipeline.chosen("instance"))
        .by(pipeline.tag("instance"))
        .per_interval("none");
    vec![
        Panel::new(
            1,
            Kind::Stat,
            "Freshness p99",
            "ms",
            "From the broker's timestamp of an event to InfluxDB's confirmation, 99th percentile, the slowest instance.",
        )
        .query("freshness", &greatest("freshness_p99_ms"))
        .thresholds(&[(2_000.0, "orange"), (FRESHNESS_P99_MS, "red")]),
        Panel::new(2, Kind::Stat, "Lag", "short", "Records behind the end of the topics, summed over instances.")
            .query("lag", &Select::over("sum(\"lag\")", &lag).per_interval("none"))
            .thresholds(&[(LAG_RECORDS_MIN, "orange"), (LAG_RECORDS_MIN * 10.0, "red")]),
        Panel::new(
            3,
            Kind::Stat,
            "Watermark lag",
            "s",
            "Wall clock − watermark of the slowest task: how far event time is behind. Some seconds are the disorder that \
             is allowed for.",
        )
        .query("lag", &greatest("watermark_lag_s"))
        .thresholds(&[(30.0, "orange"), (120.0, "red")]),
        Panel::new(
            ids::UNACCOUNTED.1,
            Kind::Stat,
            "Unaccounted records",
            "short",
            "|consumed − counted − duplicates − late − rejected| of the worst instance. Anything but 0 is a bug.",
        )
        .query("records", &unaccounted())
        .thresholds(&[(1.0, "red")]),
        Panel::new(
            ids::REFUSED.1,
            Kind::Stat,
            "Refused points",
            "short",
            "Points that InfluxDB refused for good since the instance started (400 or 422: a field's type, or too old for \
             the bucket), the worst instance. They are in the dead-letter topic with InfluxDB's reason.",
        )
        .query("points", &greatest("points_refused"))
        .thresholds(&[(1.0, "red")]),
        Panel::new(
            ids::INSTANCES.1,
            Kind::Stat,
            "Instances reporting",
            "short",
            "Instances with a point in the newest interval.",
        )
        .query("instances", &Select::over("count(\"up\")", &reporting).per_interval("none"))
        .low_is("red")
        .thresholds(&[(1.0, "green")])
        .no_value("none reports"),
    ]
}

fn in_time() -> Vec<Panel> {
    let pipeline = raw(&schema::PIPELINE);
    vec![
        Panel::new(
            7,
            Kind::Stacked,
            "Records per second by instance",
            "eps",
            "How fast the total of consumed records grows; a restart shows as a gap.",
        )
        .query("$tag_instance", &rate_by_instance(&pipeline.growth("consumed"))),
        Panel::new(
            ids::LAG.1,
            Kind::Lines,
            "Lag by instance",
            "short",
            "Records behind the end of the topics. The alert compares it with the current rate.",
        )
        .query("$tag_instance", &by_instance(pipeline.max("lag")))
        .thresholds(&[(LAG_RECORDS_MIN, "orange")]),
        Panel::new(
            ids::FRESHNESS.1,
            Kind::Lines,
            "Freshness",
            "ms",
            "From the broker's timestamp of an event to InfluxDB's confirmation of the window that counts it.",
        )
        .query("p50 $tag_instance", &by_instance(pipeline.max("freshness_p50_ms")))
        .query("p99 $tag_instance", &by_instance(pipeline.max("freshness_p99_ms")))
        .thresholds(&[(2_000.0, "orange"), (FRESHNESS_P99_MS, "red")]),
        Panel::new(10, Kind::Lines, "Watermark lag", "s", "Wall clock − watermark of the instance's slowest task.")
            .query("$tag_instance", &by_instance(pipeline.max("watermark_lag_s"))),
    ]
}

fn nothing_lost() -> Vec<Panel> {
    let pipeline = raw(&schema::PIPELINE);
    let quality = chosen(&schema::QUALITY);
    let share_of =
        |field| rate_by_instance(&format!("{} / {}", pipeline.growth(field), pipeline.growth("consumed")));
    vec![
        every_record(),
        Panel::new(
            11,
            Kind::Stacked,
            "Not counted, per second, by reason",
            "eps",
            "Duplicates, records too late for their window, and rejections by reason ÷ seconds of the interval. The \
             original bytes of late and rejected ones are in the .late and .dlq topics: `processor dlq list`.",
        )
        .query(
            "$tag_reason",
            &quality
                .select(quality.per_second("count"))
                .and(records_only(&quality))
                .by(quality.tag("reason"))
                .per_interval("0"),
        )
        .reason_colors(),
        Panel::new(
            ids::REJECTED.1,
            Kind::Lines,
            "Rejected share",
            "percentunit",
            "Records that are not events ÷ consumed records. The red line is the alert's limit.",
        )
        .query("$tag_instance", &share_of("rejected"))
        .thresholds(&[(REJECTED_RATIO, "red")])
        .size(8, 8),
        Panel::new(
            ids::TOO_LATE.1,
            Kind::Lines,
            "Late share",
            "percentunit",
            "Records too late for their window ÷ consumed records. The red line is the alert's limit.",
        )
        .query("$tag_instance", &share_of("late"))
        .thresholds(&[(LATE_RATIO, "red")])
        .size(8, 8),
        Panel::new(
            ids::REPEATED.1,
            Kind::Lines,
            "Repeated share",
            "percentunit",
            "Records whose event_id was counted before ÷ consumed records. The red line is the alert's limit.",
        )
        .query("$tag_instance", &share_of("duplicates"))
        .thresholds(&[(REPEATED_RATIO, "red")])
        .size(8, 8),
        notes(),
        Panel::new(
            13,
            Kind::Stacked,
            "What became of the records, per second",
            "eps",
            "How fast each total grows. consumed = counted + duplicates + late + rejected, at every moment.",
        )
        .query("counted $tag_instance", &rate_by_instance(&pipeline.growth("counted")))
        .query("duplicates $tag_instance", &rate_by_instance(&pipeline.growth("duplicates")))
        .query("late $tag_instance", &rate_by_instance(&pipeline.growth("late")))
        .query("rejected $tag_instance", &rate_by_instance(&pipeline.growth("rejected")))
        .color("/^counted/", "green")
        .color("/^duplicates/", "blue")
        .color("/^late/", "orange")
        .color("/^rejected/", "red"),
        Panel::new(
            14,
            Kind::Lines,
            "Windows and epochs",
            "short",
            "Windows that are open, and epochs that are sealed but not yet committed: these rise while InfluxDB is away.",
        )
        .query("open windows $tag_instance", &by_instance(pipeline.max("open_windows")))
        .query("epochs in flight $tag_instance", &by_instance(pipeline.max("epochs_in_flight")))
        .size(24, 7),
    ]
}

/// Everything that was read, by what became of it: each share is against all records.
fn every_record() -> Panel {
    let events = chosen(&schema::EVENTS);
    let quality = chosen(&schema::QUALITY);
    Panel::new(
        30,
        Kind::Shares,
        "What became of every record",
        "eps",
        "The shares of counted events, and of what was not counted by reason, in all records of the interval; the legend \
         has them per second. Notes on counted events have a panel of their own.",
    )
    .query("counted", &events.select(events.per_second("count")).per_interval("0"))
    .query(
        "$tag_reason",
        &quality
            .select(quality.per_second("count"))
            .and(records_only(&quality))
            .by(quality.tag("reason"))
            .per_interval("0"),
    )
    .color("/^counted$/", "green")
    .reason_colors()
}

/// Notes are on counted events, so those are what they are to be compared with; one event may have several.
fn notes() -> Panel {
    let events = chosen(&schema::EVENTS);
    let quality = chosen(&schema::QUALITY);
    Panel::new(
        ids::NOTES.1,
        Kind::Lines,
        "Counted, but not everywhere, per second",
        "eps",
        &format!(
            "Counted events, and those of them that lack a field some number needs (incomplete: a page view needs no user, \
             a click or an order does), have a value of no use (unusable), or repeat a line of a checkout (repeated_checkout) ÷ \
             seconds of the interval. Alerts from {} % incomplete and from {} % unusable.",
            INCOMPLETE_RATIO * 100.0,
            UNUSABLE_RATIO * 100.0
        ),
    )
    .query("counted", &events.select(events.per_second("count")).per_interval("0"))
    .query(
        "$tag_reason",
        &quality
            .select(quality.per_second("count"))
            .and(notes_only(&quality))
            .by(quality.tag("reason"))
            .per_interval("0"),
    )
    .color("/^counted$/", "green")
    .color("/^incomplete$/", "orange")
    .color("/^unusable$/", "red")
    .color("/^repeated_checkout$/", "blue")
}

fn epochs() -> Vec<Panel> {
    let pipeline = raw(&schema::PIPELINE);
    vec![
        Panel::new(
            23,
            Kind::Lines,
            "Transactions aborted per second",
            "ops",
            "Kafka transactions that left no trace and were tried again. A few at a rebalance are usual; the status page \
             has the last one's reason.",
        )
        .query("$tag_instance", &rate_by_instance(&pipeline.growth("transactions_aborted")))
        .size(6, 7),
        Panel::new(
            24,
            Kind::Lines,
            "Commit age",
            "s",
            "Time since offsets of a partition were committed, where there is something to commit: the oldest of the \
             instance.",
        )
        .query("$tag_instance", &by_instance(pipeline.max("commit_age_s")))
        .thresholds(&[(10.0, "orange"), (60.0, "red")])
        .size(6, 7),
        Panel::new(
            25,
            Kind::Lines,
            "Left to replay",
            "short",
            "Records to read again before new ones count: after a start and after partitions moved.",
        )
        .query("$tag_instance", &by_instance(pipeline.max("replay_left")))
        .size(6, 7),
        Panel::new(
            26,
            Kind::Lines,
            "Transaction p99",
            "ms",
            "From the beginning of a transaction to its commit, 99th percentile of the last minute.",
        )
        .query("$tag_instance", &by_instance(pipeline.max("transaction_p99_ms")))
        .size(6, 7),
    ]
}

fn writing() -> Vec<Panel> {
    let pipeline = raw(&schema::PIPELINE);
    vec![
        Panel::new(
            15,
            Kind::Lines,
            "Points per second",
            "wps",
            "Points that InfluxDB confirmed, and those it refused.",
        )
        .query("written $tag_instance", &rate_by_instance(&pipeline.growth("points_written")))
        .query("refused $tag_instance", &rate_by_instance(&pipeline.growth("points_refused")))
        .color("/^refused/", "red")
        .size(8, 8),
        Panel::new(
            16,
            Kind::Lines,
            "Write p99",
            "ms",
            "Time of a write request to InfluxDB, 99th percentile.",
        )
        .query("$tag_instance", &by_instance(pipeline.max("write_p99_ms")))
        .size(8, 8),
        Panel::new(
            17,
            Kind::Lines,
            "Write retries per second",
            "ops",
            "Writes tried again: 429, 5xx or no connection.",
        )
        .query("$tag_instance", &rate_by_instance(&pipeline.growth("write_retries")))
        .size(8, 8),
    ]
}

fn resources() -> Vec<Panel> {
    let pipeline = raw(&schema::PIPELINE);
    vec![
        Panel::new(
            18,
            Kind::Lines,
            "Memory",
            "bytes",
            "Resident memory of the process, the estimated part that is state, and `memory.budget`, which the whole is meant \
             to stay within.",
        )
        .query("resident $tag_instance", &by_instance(pipeline.max("rss_bytes")))
        .query("state $tag_instance", &by_instance(pipeline.max("state_bytes")))
        .query("budget $tag_instance", &by_instance(pipeline.max("memory_budget")))
        .limit("/^budget/")
        .size(8, 8),
        Panel::new(19, Kind::Lines, "CPU cores", "none", "CPU seconds used per second.")
            .query("$tag_instance", &rate_by_instance(&pipeline.growth("cpu_seconds")))
            .size(8, 8),
        Panel::new(
            20,
            Kind::Lines,
            "Users and routes",
            "short",
            "Users with state, and on the right distinct routes: beyond `routes.max` new ones become __other__.",
        )
        .query("users $tag_instance", &by_instance(pipeline.max("users")))
        .query("routes $tag_instance", &by_instance(pipeline.max("routes")))
        .right_axis("/^routes/")
        .size(8, 8),
        Panel::new(
            21,
            Kind::Lines,
            "Uptime",
            "s",
            "Seconds since the instance started; a drop is a restart.",
        )
        .query("$tag_instance", &by_instance(pipeline.max("uptime_s")))
        .size(12, 7),
        Panel::new(22, Kind::Lines, "Epochs per second", "ops", "Sealed epochs; 2 per second is usual.")
            .query("$tag_instance", &rate_by_instance(&pipeline.growth("epochs")))
            .size(12, 7),
    ]
}
