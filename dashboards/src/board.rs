//! A dashboard: rows of panels, variables, annotations and links, as classic JSON.

use processor_core::schema;
use serde_json::{Value, json};

use crate::influxql::{Bucket, Source};
use crate::panel::{Panel, data_source};
use crate::{Bindings, PanelQuery};

/// On every dashboard of ours; the links between them go by it.
pub const TAG: &str = "clickpulse";

/// A dashboard's variables besides `resolution`, which all have.
#[derive(Debug, Clone)]
pub struct Variable {
    /// The name in queries.
    pub name: &'static str,
    /// The label beside the choice.
    pub label: &'static str,
    /// The statement that lists the values.
    pub query: String,
}

/// Panels under a heading.
#[derive(Debug, Clone)]
pub struct Row {
    /// The heading's panel id; the panels carry their own.
    pub id: u32,
    /// The heading.
    pub title: &'static str,
    /// From left to right, wrapping at 24 columns.
    pub panels: Vec<Panel>,
}

/// One dashboard.
#[derive(Debug, Clone)]
pub struct Board {
    /// Fixed for good: links and alert rules name it.
    pub uid: &'static str,
    /// Shown in the list.
    pub title: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// Offered at the top.
    pub variables: Vec<Variable>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

impl Board {
    /// Every panel.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    /// Everything this dashboard asks the data source.
    #[must_use]
    pub fn queries(&self, bindings: &Bindings) -> Vec<PanelQuery> {
        let query = |panel: String, text: &str| PanelQuery {
            dashboard: self.uid,
            panel,
            influxql: bindings.expand(text),
        };
        let mut all: Vec<_> = self
            .panels()
            .flat_map(|panel| panel.queries.iter().map(move |asked| (panel.title.to_owned(), asked)))
            .map(|(title, asked)| query(title, &asked.influxql))
            .collect();
        all.extend(
            self.variables
                .iter()
                .map(|variable| query(format!("variable {}", variable.name), &variable.query)),
        );
        all.push(query("annotation Incidents".to_owned(), &incidents()));
        all
    }

    /// The file's content.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": null,
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": 38,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "10s",
            "time": {"from": "now-15m", "to": "now"},
            // A window is whole once the stream has passed its end by the disorder it allows for.
            "timepicker": {"nowDelay": "15s", "refresh_intervals": ["10s", "30s", "1m", "5m", "15m"]},
            "links": [{
                "type": "dashboards", "title": "Clickpulse", "tags": [TAG], "asDropdown": false, "icon": "external link",
                "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "", "url": "",
            }],
            "annotations": {"list": [annotation_of_incidents(), annotation_of_alerts()]},
            "templating": {"list": self.templating()},
            "panels": self.grid(),
        })
    }

    fn templating(&self) -> Vec<Value> {
        let mut list = vec![resolution()];
        list.extend(self.variables.iter().map(|variable| {
            json!({
                "name": variable.name, "label": variable.label, "type": "query", "datasource": data_source(),
                "query": variable.query, "definition": variable.query, "regex": "", "refresh": 2, "sort": 1,
                "multi": true, "includeAll": true, "allValue": ".*", "hide": 0, "skipUrlSync": false, "options": [],
                "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
            })
        }));
        list
    }

    fn grid(&self) -> Vec<Value> {
        let mut placed = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            placed.push(json!({
                "id": row.id, "title": row.title, "type": "row", "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            }));
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > 24 {
                    (x, y, height) = (0, y + height, 0);
                }
                placed.push(panel.to_json(x, y));
                x += panel.width;
                height = height.max(panel.height);
            }
            y += height;
        }
        placed
    }
}

/// The bucket to read; each option's text is that bucket's window, which panels take as their shortest interval.
fn resolution() -> Value {
    let choices = [("10s", Bucket::Raw), ("1m", Bucket::Minute), ("1h", Bucket::Hour)];
    let options: Vec<_> = choices
        .iter()
        .map(|(text, bucket)| json!({"text": text, "value": bucket.policy(), "selected": *bucket == Bucket::Raw}))
        .collect();
    let query: Vec<_> =
        choices.iter().map(|(text, bucket)| format!("{text} : {}", bucket.policy())).collect();
    json!({
        "name": "resolution", "label": "Window", "type": "custom", "query": query.join(", "), "options": options,
        "current": {"selected": true, "text": "10s", "value": Bucket::Raw.policy()},
        "description": "10s is kept for 7 days, 1m for 90 days, 1h for 2 years.",
        "multi": false, "includeAll": false, "hide": 0, "skipUrlSync": false,
    })
}

fn incidents() -> String {
    let marks = Source::new(&schema::ANNOTATIONS, Bucket::Raw);
    let columns = [marks.field("title"), marks.field("text"), marks.field("end_ms"), marks.tag("kind")];
    marks.select(columns.join(", ")).to_string()
}

fn annotation_of_incidents() -> Value {
    let query = incidents();
    json!({
        "name": "Incidents", "enable": true, "hide": false, "iconColor": "red", "datasource": data_source(),
        "query": query, "rawQuery": true, "fromAnnotations": true,
        "titleColumn": "title", "textColumn": "text", "timeEndColumn": "end_ms", "tagsColumn": "kind",
        "target": {
            "refId": "Incidents", "query": query, "rawQuery": true, "fromAnnotations": true, "resultFormat": "table",
            "titleColumn": "title", "textColumn": "text", "timeEndColumn": "end_ms", "tagsColumn": "kind",
        },
    })
}

/// When our alerts changed state, which Grafana records itself.
fn annotation_of_alerts() -> Value {
    json!({
        "builtIn": 1, "name": "Annotations & Alerts", "type": "dashboard", "enable": true, "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)", "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    })
}
