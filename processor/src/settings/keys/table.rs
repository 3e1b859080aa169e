//! The entries themselves.

use std::time::Duration;

use super::{Key, Kind, Section};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn duration(
    path: &'static str,
    default: &'static str,
    min: Duration,
    max: Duration,
    meaning: &'static str,
) -> Key {
    Key { path, kind: Kind::Duration { min, max }, default: Some(default), example: default, meaning }
}

const fn integer(
    path: &'static str,
    default: &'static str,
    min: u64,
    max: u64,
    meaning: &'static str,
) -> Key {
    Key { path, kind: Kind::Integer { min, max }, default: Some(default), example: default, meaning }
}

const fn size(path: &'static str, default: &'static str, min: u64, max: u64, meaning: &'static str) -> Key {
    Key { path, kind: Kind::Size { min, max }, default: Some(default), example: default, meaning }
}

const fn text(path: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind: Kind::Text, default: Some(default), example: default, meaning }
}

const fn unset(path: &'static str, kind: Kind, example: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default: None, example, meaning }
}

const fn required(name: &'static str, meaning: &'static str) -> Section {
    Section { name, optional: false, meaning }
}

pub(crate) const SECTIONS: &[Section] = &[
    required("", "Keys above all sections."),
    required("kafka", "Where events come from and where offsets, dead letters and partials go."),
    required(
        "inputs[]",
        "One topic of events; repeat the section for each. Without any, `clickstream_events` is read.",
    ),
    required("windows", "Event time: how windows are cut, and when they close."),
    required("dedup", "Repeats of an event_id in one partition."),
    required("attribution", "Which click a checkout credits."),
    required("routes", "Routes of the `http` measurement."),
    required("urls", "The top-URL list."),
    required("campaigns", "Advertising campaigns in the `attribution` measurement."),
    required("currencies", "Currencies in the `first_click` and `attribution` measurements."),
    required("commerce", "What amounts mean."),
    required("epoch", "How often results are made durable and offsets committed."),
    required("merge", "The stage that adds up the partitions."),
    Section { name: "influxdb", optional: true, meaning: "InfluxDB 2.x. Without this section it is off." },
    Section {
        name: "files",
        optional: true,
        meaning: "The same points as files: line protocol and JSON lines. Without this section it is off.",
    },
    Section {
        name: "state",
        optional: true,
        meaning: "Snapshots of the state, so that a restart reads little again. Without this section they are off, and a \
                  restart reads again what open state depends on: up to two hours of event time with the defaults.",
    },
    required("http", "The status page, /metrics, /healthz, /readyz and /api/v1."),
    required("memory", "Memory."),
    required("shutdown", "What happens on SIGTERM and SIGINT."),
    required("log", "What is logged to standard error."),
];

pub(crate) const KEYS: &[Key] = &[
    unset(
        "workers",
        Kind::Integer { min: 1, max: 64 },
        "2",
        "Threads that decode and count; each owns whole partitions. Unset: one per core.",
    ),
    Key {
        path: "kafka.brokers",
        kind: Kind::List,
        default: Some("127.0.0.1:9092"),
        example: "127.0.0.1:9092",
        meaning: "Addresses to start from, `host:port`. In a variable: separated by commas.",
    },
    text(
        "kafka.group_id",
        "clickpulse",
        "Consumer group. Instances with the same one share the partitions; another one reads everything anew.",
    ),
    Key {
        path: "kafka.delivery",
        kind: Kind::Choice(&["exactly_once", "at_least_once"]),
        default: Some("exactly_once"),
        example: "exactly_once",
        meaning: "`exactly_once`: what is written to Kafka and the offsets become visible together, in transactions. \
                  `at_least_once`: a crash may repeat dead letters and late records; no transactions are needed. Points \
                  are keyed, so in both a repeat rewrites the same points.",
    },
    duration(
        "kafka.transaction_deadline",
        "1m",
        secs(5),
        secs(600),
        "How long a transaction may hang while Kafka answers, before the process ends with exit code 1. A Kafka that is \
         away is waited for.",
    ),
    text("kafka.partials_topic", "clickpulse.partials", "Internal topic between the two stages."),
    text(
        "kafka.by_user_topic",
        "clickpulse.by-user",
        "Internal topic that inputs with `keyed = false` go through. Made with as many partitions as the keyed inputs \
         have; without any, as the widest of the others.",
    ),
    text(
        "kafka.incidents_topic",
        "clickpulse.incidents",
        "Topic of incidents, which become annotations on the dashboards.",
    ),
    unset(
        "kafka.instance_id",
        Kind::Text,
        "processor-1",
        "A stable name, different for every instance: static group membership, so that a restart within \
         `session.timeout.ms` moves no partition. Unset: dynamic membership.",
    ),
    unset(
        "kafka.sasl_password_file",
        Kind::Text,
        "/run/secrets/kafka-password",
        "File that holds the password of SASL, instead of `\"sasl.password\"` in `kafka.properties`.",
    ),
    unset(
        "kafka.ssl_key_password_file",
        Kind::Text,
        "/run/secrets/kafka-key-password",
        "File that holds the password of the client's private key, instead of `\"ssl.key.password\"`.",
    ),
    unset(
        "kafka.properties",
        Kind::Map,
        r#""socket.keepalive.enable" = "true""#,
        "Passed to librdkafka as they are: TLS and SASL (docs/managed-kafka.md), limits and timeouts, such as \
         `\"security.protocol\" = \"SASL_SSL\"`. \
         In a variable, `__` stands for the dot: `CLICKPULSE__KAFKA__PROPERTIES__SECURITY__PROTOCOL`.",
    ),
    text("inputs[].topic", "clickstream_events", "The topic."),
    Key {
        path: "inputs[].format",
        kind: Kind::Choice(&["json", "combined", "common"]),
        default: Some("json"),
        example: "json",
        meaning: "How records are written: a JSON object, or a line of an access log as nginx and Apache write it, bare \
                  or as the `message` of a shipper's JSON. `avro` is not in this version.",
    },
    unset(
        "inputs[].preset",
        Kind::Choice(&PRESETS),
        "segment",
        "A mapping that comes with the program, for what a widely used tool writes ([presets.md](presets.md)). What is \
         set beside it wins.",
    ),
    unset(
        "inputs[].event_type",
        Kind::Choice(&EVENT_TYPES),
        "product_click",
        "The type of events that name none. Unset: `page_view`.",
    ),
    Key {
        path: "inputs[].keyed",
        kind: Kind::Bool,
        default: Some("true"),
        example: "true",
        meaning: "Whether records are keyed by `user_id`, in as many partitions as every other keyed input has. \
                  `false`: they are re-keyed through `kafka.by_user_topic`; say so of all inputs that have events of the \
                  same users, or of none.",
    },
    size(
        "inputs[].max_record_bytes",
        "1MiB",
        1 << 10,
        64 << 20,
        "Larger records are rejected as `too_large`.",
    ),
    unset(
        "inputs[].fields",
        Kind::Map,
        r#""visitor" = "user_id""#,
        "Other names for fields, their name to ours, in the order they are preferred; a dot leads into an object, a \
         number into a list: `\"context.page.url\" = \"url\"`. Or ours with a list of theirs: \
         `user_id = [\"member\", \"visitor\"]`. Not settable by variables.",
    ),
    unset(
        "inputs[].ignore",
        Kind::List,
        "status",
        "Names that mean nothing here, although the contract or the preset knows them.",
    ),
    unset(
        "inputs[].event_types",
        Kind::Map,
        r#""AddToCart" = "add_to_cart", "*" = "page_view""#,
        "Other names for event types, their name to ours; `*` is every type that is neither here nor ours, and `other` \
         an event and no more. Not settable by variables.",
    ),
    unset(
        "inputs[].time",
        Kind::Map,
        r#"format = "%d/%m/%Y %H:%M:%S%.f", zone = "Europe/Berlin""#,
        "How times are written, where they are not what the [contract](contract.md#times) reads by itself: a format of \
         `strftime`, or `unix_s`, `unix_ms`, `unix_us`, `unix_ns`, `clf`, `rfc2822`, `rfc3339`; and the zone of times \
         that name none [UTC]. Not settable by variables.",
    ),
    duration(
        "windows.size",
        "10s",
        secs(1),
        secs(60),
        "Length of the finest windows; has to divide one minute.",
    ),
    duration(
        "windows.allowed_lateness",
        "1m",
        secs(0),
        secs(86_400),
        "How long past its end a window still takes events. Later ones go to the late topic.",
    ),
    duration(
        "windows.out_of_orderness",
        "5s",
        secs(0),
        secs(3_600),
        "How far the watermark stays behind the latest event time of a partition.",
    ),
    Key {
        path: "windows.max_future_skew",
        kind: Kind::DurationOrOff { min: secs(0), max: secs(86_400) },
        default: Some("1m"),
        example: "1m",
        meaning: "Events later than Kafka's timestamp of their record by more than this are rejected as \
                  `future_timestamp`; `off`: none are, so that one wrong clock can close the windows of all. A record \
                  without a usable timestamp is not looked at.",
    },
    duration(
        "windows.emit_every",
        "1s",
        Duration::from_millis(100),
        secs(60),
        "How often the values of open windows are written again.",
    ),
    duration(
        "windows.idle_after",
        "10s",
        secs(1),
        secs(3_600),
        "A partition that is read to its end and has been quiet for this long no longer holds back the others, \
         and its windows close.",
    ),
    duration(
        "dedup.window",
        "10m",
        secs(1),
        secs(4 * 3_600),
        "A repeat within this span of event time is dropped. Longer takes more memory and a longer replay at start.",
    ),
    duration(
        "attribution.lookback",
        "1h",
        secs(60),
        secs(86_400),
        "How far back a checkout looks for its first click. Longer takes more memory and a longer replay at start.",
    ),
    integer(
        "attribution.clicks_per_user_max",
        "10000",
        1,
        1_000_000,
        "Clicks kept per user; the oldest goes first, so that one busy robot does not fill the memory.",
    ),
    integer("routes.max", "500", 1, 10_000, "Further routes become `__other__`."),
    Key {
        path: "routes.template",
        kind: Kind::Bool,
        default: Some("true"),
        example: "true",
        meaning: "Whether id-like segments become `:id`: `/product/42` → `/product/:id`.",
    },
    integer(
        "urls.max",
        "50000",
        100,
        1_000_000,
        "URLs told apart per partition. Further ones become `__other__`.",
    ),
    integer("campaigns.max", "100", 1, 10_000, "Campaigns told apart. Further ones become `__other__`."),
    integer("currencies.max", "20", 1, 500, "Currencies told apart. Further ones become `__other__`."),
    text(
        "commerce.default_currency",
        "none",
        "The currency of amounts that name none, as a code of ISO 4217: `EUR`. Amounts are never summed over currencies.",
    ),
    duration(
        "epoch.interval",
        "500ms",
        Duration::from_millis(10),
        secs(60),
        "Time between two commits. Shorter means fresher numbers, longer means fewer writes.",
    ),
    duration(
        "merge.interval",
        "250ms",
        Duration::from_millis(10),
        secs(60),
        "Time between two commits of the merge.",
    ),
    text("influxdb.url", "http://127.0.0.1:8086", "Address, with `http://` or `https://`."),
    text("influxdb.org", "clickpulse", "Organisation."),
    unset(
        "influxdb.token",
        Kind::Secret,
        "…",
        "API token with write access to the three buckets. Prefer `token_file`.",
    ),
    unset("influxdb.token_file", Kind::Text, "/run/secrets/influxdb-token", "File that holds the token."),
    text("influxdb.bucket", "clickstream/raw_10s", "Bucket of the windows of `windows.size`."),
    text("influxdb.rollup_1m", "clickstream/rollup_1m", "Bucket of the 1 minute windows."),
    text("influxdb.rollup_1h", "clickstream/rollup_1h", "Bucket of the 1 hour windows."),
    text("files.dir", "clickpulse-out", "Folder; made if it is missing."),
    text(
        "state.url",
        "clickpulse-state",
        "A folder (`/var/lib/clickpulse` or `file:///var/lib/clickpulse`; made if it is missing) or `s3://bucket/prefix`. \
         It has to survive the process, and be the same for every instance of the group.",
    ),
    duration(
        "state.interval",
        "1m",
        secs(1),
        secs(3_600),
        "Time between two snapshots of a task. Shorter means less to read again after a crash, longer less to write.",
    ),
    integer(
        "state.keep",
        "3",
        1,
        100,
        "Snapshots kept per task; older ones are removed after each write. More than one, so that a damaged one has a \
         substitute.",
    ),
    unset(
        "state.region",
        Kind::Text,
        "eu-central-1",
        "S3: region of the bucket. Unset: `AWS_REGION`, else `us-east-1`.",
    ),
    unset(
        "state.endpoint",
        Kind::Text,
        "https://minio.example:9000",
        "S3: address of the service, where it is not Amazon's. Unset: `AWS_ENDPOINT_URL`, else that of the region.",
    ),
    Key {
        path: "state.allow_http",
        kind: Kind::Bool,
        default: Some("false"),
        example: "false",
        meaning: "S3: whether `state.endpoint` may be `http://`: then everyone on the way reads the snapshots.",
    },
    unset(
        "state.access_key_id",
        Kind::Text,
        "AKIAIOSFODNN7EXAMPLE",
        "S3: the key's name. Unset: `AWS_ACCESS_KEY_ID` and its kin, else what the machine's role gives.",
    ),
    unset("state.secret_access_key", Kind::Secret, "…", "S3: the key. Prefer `secret_access_key_file`."),
    unset(
        "state.secret_access_key_file",
        Kind::Text,
        "/run/secrets/s3-secret-key",
        "S3: file that holds the key.",
    ),
    text("http.listen", "127.0.0.1:8088", "Address and port. Port 0 takes a free one; the log says which."),
    size(
        "memory.budget",
        "1GB",
        64_000_000,
        1_000_000_000_000,
        "What the process stays within. It decides how many users, ids, clicks and URLs each partition keeps; what is \
         beyond is given up in a documented order, counted, and said (docs/guarantees.md).",
    ),
    integer(
        "memory.instances",
        "1",
        1,
        1_000,
        "How many instances share the partitions. Each then keeps more of its own; if fewer run, they may outgrow the \
         budget. The same for all of them.",
    ),
    duration(
        "shutdown.deadline",
        "30s",
        secs(1),
        secs(600),
        "Longest time for draining; what is not committed by then is read again at the next start.",
    ),
    Key {
        path: "log.format",
        kind: Kind::Choice(&["text", "json"]),
        default: Some("text"),
        example: "text",
        meaning: "`json`: one object per line.",
    },
    text(
        "log.level",
        "info",
        "error, warn, info, debug or trace, also per target: `info,processor::kafka=debug`.",
    ),
];

/// Names of `inputs[].event_type`; checked against `events` by a test.
/// The names of the presets.
const PRESETS: [&str; 9] = [
    "ksql-clickstream",
    "faker-clickstream",
    "segment",
    "snowplow",
    "ga4",
    "matomo",
    "nginx-json",
    "cloudflare",
    "alb",
];
const EVENT_TYPES: [&str; 10] = [
    "page_view",
    "search",
    "product_click",
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "purchase",
    "ad_click",
    "conversion",
    "refund",
];
