//! An alert rule, and the provisioning files for rules, contact point and policy.
//!
//! Key names and their mixed spelling are those of Grafana's provisioning.

use serde_json::{Map, Value, json};

use crate::DATA_SOURCE_UID;
use crate::boards::ids::Place;
use crate::influxql::Select;

/// The folder that Grafana makes for the rules; another one than the dashboards', as two provisioners must not meet.
const FOLDER: &str = "Clickpulse Alerts";

/// How often a group is evaluated.
const EVERY: &str = "30s";

/// The contact point's name.
const RECEIVER: &str = "clickpulse";

/// Where the runbooks are.
const RUNBOOKS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/alerts.md");

/// What the absence of data means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoData {
    /// All is well: nothing happened.
    Ok,
    /// A failure of its own kind.
    NoData,
    /// The failure that the rule is about.
    Alerting,
}

/// What a failing query means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The last state holds: a restart of InfluxDB pages nobody.
    KeepLast,
    /// An error: for the one rule that watches over the data source.
    Error,
}

/// One query of a rule, over a time relative to the evaluation.
#[derive(Debug, Clone)]
pub struct RuleQuery {
    /// The name of its reduced value in the condition.
    pub name: &'static str,
    /// InfluxQL with `$timeFilter`.
    pub influxql: String,
    /// Start of the range, seconds before now.
    pub from_s: u32,
    /// End of the range, seconds before now; 30 skips windows that are still filling.
    pub to_s: u32,
    /// How the answer becomes numbers.
    pub reduced: Reduced,
}

/// How the answer to a query becomes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduced {
    /// The last number of each series.
    Last,
    /// The sum of all rows, whatever series they are of: for a query without `GROUP BY` over several measurements.
    ///
    /// A query without an answer makes Grafana take the whole rule for one without data. With a query for each
    /// measurement a rule is blind as soon as one of them has no series, which is when everything is refused. Asked for as
    /// a table, Grafana's data source makes one frame of all series' rows, and those that are missing are missing rows.
    SumOfRows,
}

impl RuleQuery {
    /// A query over `length_s` that leaves out the last 30 s, whose windows are still filling.
    #[must_use]
    pub fn settled(name: &'static str, length_s: u32, select: &Select) -> Self {
        Self {
            name,
            influxql: select.to_string(),
            from_s: length_s + SETTLE_S,
            to_s: SETTLE_S,
            reduced: Reduced::Last,
        }
    }

    /// A query up to now, for what is written on the wall clock.
    #[must_use]
    pub fn recent(name: &'static str, length_s: u32, select: &Select) -> Self {
        Self { name, influxql: select.to_string(), from_s: length_s, to_s: 0, reduced: Reduced::Last }
    }

    /// The same query, reduced to the sum of its rows.
    #[must_use]
    pub fn summed(self) -> Self {
        Self { reduced: Reduced::SumOfRows, ..self }
    }

    const fn reducer(&self) -> &'static str {
        match self.reduced {
            Reduced::Last => "last",
            Reduced::SumOfRows => "sum",
        }
    }

    const fn format(&self) -> &'static str {
        match self.reduced {
            Reduced::Last => "time_series",
            Reduced::SumOfRows => "table",
        }
    }

    /// The statement as Grafana sends it when it evaluates at `now_ms`.
    #[must_use]
    pub fn influxql_at(&self, now_ms: i64) -> String {
        let at = |seconds: u32| now_ms - i64::from(seconds) * 1_000;
        let range = format!("time >= {}ms and time <= {}ms", at(self.from_s), at(self.to_s));
        self.influxql.replace("$timeFilter", &range)
    }
}

/// A window takes events for its length and the disorder allowed for: 10 s and 5 s, then the write.
const SETTLE_S: u32 = 30;

/// One alert rule.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// Fixed for good; also the anchor of its runbook.
    pub uid: &'static str,
    /// Unique in the folder.
    pub title: &'static str,
    /// Rules of a group are evaluated together.
    pub group: &'static str,
    /// One line for a notification: a template of Grafana's.
    pub summary: String,
    /// What it means for the shop.
    pub description: &'static str,
    /// What it asks.
    pub queries: Vec<RuleQuery>,
    /// A name of its own for a math expression over the queries, so that condition and text can use it.
    pub derived: Option<(&'static str, String)>,
    /// A math expression over `$name` of each query and of what is derived; 0 is normal.
    pub condition: String,
    /// The limit in the condition that the linked panel draws as a threshold.
    pub limit: Option<f64>,
    /// The panel that shows it.
    pub place: Place,
    /// How long the condition must hold, seconds.
    pub for_s: u32,
    /// How long it fires on after the condition has passed, against flapping.
    pub keep_firing_s: u32,
    /// `page`, `warn` or `ticket`.
    pub severity: &'static str,
    /// Without data.
    pub no_data: NoData,
    /// When a query fails.
    pub on_error: OnError,
}

impl AlertRule {
    fn to_value(&self) -> Value {
        let (dashboard, panel) = self.place;
        let mut data: Vec<_> = self.queries.iter().map(query_node).collect();
        data.extend(self.queries.iter().map(|query| {
            expression_node(
                query.name,
                &json!({
                    "type": "reduce", "expression": query_id(query.name), "reducer": query.reducer(),
                    "settings": {"mode": "dropNN"},
                }),
            )
        }));
        data.extend(self.derived.iter().map(|(name, expression)| {
            expression_node(name, &json!({"type": "math", "expression": expression}))
        }));
        data.push(expression_node(CONDITION, &json!({"type": "math", "expression": self.condition})));
        json!({
            "uid": self.uid,
            "title": self.title,
            "condition": CONDITION,
            "data": data,
            "for": duration(self.for_s),
            "keepFiringFor": duration(self.keep_firing_s),
            "noDataState": match self.no_data { NoData::Ok => "OK", NoData::NoData => "NoData", NoData::Alerting => "Alerting" },
            "execErrState": match self.on_error { OnError::KeepLast => "KeepLast", OnError::Error => "Error" },
            "labels": {"severity": self.severity, "service": "clickpulse"},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": format!("{RUNBOOKS}#{}", self.uid),
                // The two keys above make the link in the editor, these two the one in notifications.
                "__dashboardUid__": dashboard,
                "__panelId__": panel.to_string(),
            },
            "dashboardUid": dashboard,
            "panelId": panel,
            "isPaused": false,
        })
    }
}

const CONDITION: &str = "firing";

fn query_id(name: &str) -> String {
    format!("{name}_query")
}

fn query_node(query: &RuleQuery) -> Value {
    let id = query_id(query.name);
    json!({
        "refId": id,
        "datasourceUid": DATA_SOURCE_UID,
        "relativeTimeRange": {"from": query.from_s, "to": query.to_s},
        "model": {
            "refId": id, "datasource": {"type": "influxdb", "uid": DATA_SOURCE_UID}, "query": query.influxql,
            "rawQuery": true, "resultFormat": query.format(),
            "intervalMs": 10_000, "maxDataPoints": 43_200,
        },
    })
}

fn expression_node(id: &str, model: &Value) -> Value {
    let mut model = model.as_object().cloned().unwrap_or_else(Map::new);
    model.insert("refId".to_owned(), json!(id));
    model.insert("datasource".to_owned(), json!({"type": "__expr__", "uid": "__expr__"}));
    json!({"refId": id, "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0, "to": 0}, "model": model})
}

fn duration(seconds: u32) -> String {
    if seconds >= 60 && seconds.is_multiple_of(60) {
        format!("{}m", seconds / 60)
    } else {
        format!("{seconds}s")
    }
}

/// The file with the rules, by group.
#[must_use]
pub fn provisioned_rules(rules: &[AlertRule]) -> Value {
    let mut names: Vec<_> = rules.iter().map(|rule| rule.group).collect();
    names.dedup();
    let groups: Vec<_> = names
        .iter()
        .map(|name| {
            let of_group: Vec<_> =
                rules.iter().filter(|rule| rule.group == *name).map(AlertRule::to_value).collect();
            json!({"orgId": 1, "name": name, "folder": FOLDER, "interval": EVERY, "rules": of_group})
        })
        .collect();
    json!({"apiVersion": 1, "groups": groups})
}

/// The file with the contact point and the policy, which Grafana wants together: the policy replaces the default one.
///
/// The address comes from Grafana's environment, `ALERT_WEBHOOK_URL`.
#[must_use]
pub fn provisioned_notifications() -> Value {
    json!({
        "apiVersion": 1,
        "contactPoints": [{
            "orgId": 1,
            "name": RECEIVER,
            "receivers": [{
                "uid": "cs-webhook",
                "type": "webhook",
                "disableResolveMessage": false,
                "settings": {"url": "$ALERT_WEBHOOK_URL", "httpMethod": "POST"},
            }],
        }],
        "policies": [{
            "orgId": 1,
            "receiver": RECEIVER,
            "group_by": ["grafana_folder", "alertname"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [{
                "receiver": RECEIVER,
                "object_matchers": [["severity", "=", "page"]],
                "group_wait": "0s",
                "repeat_interval": "15m",
            }],
        }],
    })
}
