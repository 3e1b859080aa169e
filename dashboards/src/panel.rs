//! One panel of a dashboard, as classic JSON, which Grafana 9.4 to 13 read.

use serde_json::{Value, json};

use crate::DATA_SOURCE_UID;
use crate::influxql::Select;

/// How a panel shows its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A big number: the last value over time, with a sparkline.
    Stat,
    /// A big number from a query with one row.
    Total,
    /// Lines over time.
    Lines,
    /// Filled areas on top of each other.
    Stacked,
    /// The same, as shares of their sum.
    Shares,
    /// One row per series over time, coloured by the thresholds.
    Cells,
    /// A horizontal bar per series, the last value.
    Bars,
    /// Rows.
    Table,
    /// What is firing.
    AlertList,
}

impl Kind {
    const fn plugin(self) -> &'static str {
        match self {
            Self::Stat | Self::Total => "stat",
            Self::Lines | Self::Stacked | Self::Shares => "timeseries",
            Self::Cells => "status-history",
            Self::Bars => "bargauge",
            Self::Table => "table",
            Self::AlertList => "alertlist",
        }
    }
}

/// A query of a panel.
#[derive(Debug, Clone)]
pub struct Query {
    /// InfluxQL with Grafana's variables.
    pub influxql: String,
    /// The series' name, `$tag_…` allowed.
    pub alias: &'static str,
}

/// One panel. Built with [`Panel::new`] and the methods that follow it.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Fixed for good: alert rules and links name it.
    pub id: u32,
    /// Unique within the dashboard.
    pub title: &'static str,
    /// What is shown and how it is computed.
    pub description: String,
    /// How it is shown.
    pub kind: Kind,
    /// Grafana's unit id.
    pub unit: &'static str,
    /// Columns of 24.
    pub width: u32,
    /// Rows of 30 pixels.
    pub height: u32,
    /// What it asks.
    pub queries: Vec<Query>,
    /// Values from which the colour changes, ascending; below the first it is the base colour.
    pub thresholds: Vec<(f64, &'static str)>,
    /// Shown where there is no data.
    pub no_value: &'static str,
    /// The upper end of the axis, if fixed.
    pub max: Option<f64>,
    base_color: &'static str,
    overrides: Vec<Value>,
    transformations: Vec<Value>,
    data_links: Vec<Value>,
    sort_by: Option<(&'static str, bool)>,
    text_mode: &'static str,
}

impl Panel {
    /// A panel with the size usual for its kind.
    #[must_use]
    pub fn new(id: u32, kind: Kind, title: &'static str, unit: &'static str, description: &str) -> Self {
        let (width, height) = match kind {
            Kind::Stat | Kind::Total => (4, 4),
            Kind::Lines | Kind::Stacked | Kind::Shares | Kind::Cells | Kind::Bars | Kind::Table => (12, 8),
            Kind::AlertList => (8, 8),
        };
        Self {
            id,
            title,
            description: description.to_owned(),
            kind,
            unit,
            width,
            height,
            queries: Vec::new(),
            thresholds: Vec::new(),
            no_value: "no data",
            max: None,
            base_color: "green",
            overrides: Vec::new(),
            transformations: Vec::new(),
            data_links: Vec::new(),
            sort_by: None,
            text_mode: "auto",
        }
    }

    /// Adds a query whose series are called `alias`.
    #[must_use]
    pub fn query(mut self, alias: &'static str, select: &Select) -> Self {
        self.queries.push(Query { influxql: select.to_string(), alias });
        self
    }

    /// Colour changes, ascending.
    #[must_use]
    pub fn thresholds(mut self, steps: &[(f64, &'static str)]) -> Self {
        self.thresholds = steps.to_vec();
        self
    }

    /// The colour below the first threshold where a small value is the bad one.
    #[must_use]
    pub const fn low_is(mut self, color: &'static str) -> Self {
        self.base_color = color;
        self
    }

    /// Shows each number's name beside it, where it is one only, too.
    #[must_use]
    pub const fn named(mut self) -> Self {
        self.text_mode = "value_and_name";
        self
    }

    /// The text where there is no data.
    #[must_use]
    pub const fn no_value(mut self, text: &'static str) -> Self {
        self.no_value = text;
        self
    }

    /// Another size than usual.
    #[must_use]
    pub const fn size(mut self, width: u32, height: u32) -> Self {
        self.width = width;
        self.height = height;
        self
    }

    /// Fixes the upper end of the axis.
    #[must_use]
    pub const fn max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// Gives every series whose name matches the expression a fixed colour.
    #[must_use]
    pub fn color(mut self, name_regex: &str, color: &str) -> Self {
        self.overrides.push(json!({
            "matcher": {"id": "byRegexp", "options": name_regex},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }));
        self
    }

    /// Draws every series whose name matches the expression as a dashed line with nothing below it: a limit.
    #[must_use]
    pub fn limit(mut self, name_regex: &str) -> Self {
        self.overrides.push(json!({
            "matcher": {"id": "byRegexp", "options": name_regex},
            "properties": [
                {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
                {"id": "custom.fillOpacity", "value": 0},
                {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
            ],
        }));
        self
    }

    /// Gives every series whose name matches the expression the axis on the right.
    #[must_use]
    pub fn right_axis(mut self, name_regex: &str) -> Self {
        self.overrides.push(json!({
            "matcher": {"id": "byRegexp", "options": name_regex},
            "properties": [{"id": "custom.axisPlacement", "value": "right"}],
        }));
        self
    }

    /// Green for 2xx, blue for 3xx, orange for 4xx, red for 5xx, in shades so that statuses stay apart.
    #[must_use]
    pub fn status_colors(self) -> Self {
        let shades = [
            ("/^200/", "green"),
            ("/^2(?!00)/", "dark-green"),
            ("/^3/", "blue"),
            ("/^404/", "orange"),
            ("/^4(?!04)/", "yellow"),
            ("/^500/", "red"),
            ("/^503/", "dark-red"),
            ("/^5(?!0[03])/", "semi-dark-red"),
        ];
        shades.into_iter().fold(self, |panel, (regex, color)| panel.color(regex, color))
    }

    /// Blue for repeats and orange for late records, as where totals are shown; rejections keep colours by name.
    #[must_use]
    pub fn reason_colors(self) -> Self {
        self.color("/^duplicate$/", "blue").color("/^late$/", "orange")
    }

    /// A unit for one column of a table.
    #[must_use]
    pub fn column_unit(mut self, column: &str, unit: &str) -> Self {
        self.overrides.push(json!({
            "matcher": {"id": "byName", "options": column},
            "properties": [{"id": "unit", "value": unit}],
        }));
        self
    }

    /// A width for one column of a table, pixels; the others share what is left.
    #[must_use]
    pub fn column_width(mut self, column: &str, pixels: u32) -> Self {
        self.overrides.push(json!({
            "matcher": {"id": "byName", "options": column},
            "properties": [{"id": "custom.width", "value": pixels}],
        }));
        self
    }

    /// Colours a column's cells by the panel's thresholds.
    #[must_use]
    pub fn column_colored(mut self, column: &str, unit: &str) -> Self {
        self.overrides.push(json!({
            "matcher": {"id": "byName", "options": column},
            "properties": [
                {"id": "unit", "value": unit},
                {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
            ],
        }));
        self
    }

    /// A step between the data and the table.
    #[must_use]
    pub fn transform(mut self, id: &str, options: &Value) -> Self {
        self.transformations.push(json!({"id": id, "options": options}));
        self
    }

    /// Sorts a table by a column, the greatest first.
    #[must_use]
    pub const fn sorted_by(mut self, column: &'static str) -> Self {
        self.sort_by = Some((column, true));
        self
    }

    /// Sorts a table by a column, the least first.
    #[must_use]
    pub const fn sorted_up_by(mut self, column: &'static str) -> Self {
        self.sort_by = Some((column, false));
        self
    }

    /// A link on each value of the panel.
    #[must_use]
    pub fn data_link(mut self, title: &str, url: &str) -> Self {
        self.data_links.push(json!({"title": title, "url": url}));
        self
    }

    /// The panel's JSON at a place in the grid.
    #[must_use]
    pub fn to_json(&self, x: u32, y: u32) -> Value {
        let targets: Vec<_> =
            self.queries.iter().zip('A'..).map(|(query, id)| self.target(query, id)).collect();
        json!({
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "type": self.kind.plugin(),
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "datasource": data_source(),
            "interval": self.least_interval(),
            "maxDataPoints": if self.kind == Kind::Cells { 90 } else { 600 },
            "targets": targets,
            "transformations": self.transformations,
            "fieldConfig": {"defaults": self.field_defaults(), "overrides": self.overrides},
            "options": self.options(),
        })
    }

    /// No interval is shorter than a window of what is read: the variable's text is the length, its value the bucket.
    fn least_interval(&self) -> &'static str {
        let follows_the_variable = |query: &Query| query.influxql.contains("${resolution}");
        if self.queries.iter().any(follows_the_variable) { "${resolution:text}" } else { "10s" }
    }

    fn target(&self, query: &Query, id: char) -> Value {
        let table = matches!(self.kind, Kind::Table);
        json!({
            "refId": id.to_string(),
            "datasource": data_source(),
            "query": query.influxql,
            "rawQuery": true,
            "resultFormat": if table { "table" } else { "time_series" },
            "alias": query.alias,
        })
    }

    fn field_defaults(&self) -> Value {
        let mut steps = vec![json!({"color": self.base_color, "value": null})];
        steps.extend(self.thresholds.iter().map(|(value, color)| json!({"color": color, "value": value})));
        let by_threshold =
            matches!(self.kind, Kind::Stat | Kind::Total | Kind::Cells | Kind::Bars | Kind::Table);
        let mut defaults = json!({
            "unit": self.unit,
            "min": 0,
            "noValue": self.no_value,
            "thresholds": {"mode": "absolute", "steps": steps},
            "color": {"mode": if by_threshold { "thresholds" } else { "palette-classic-by-name" }},
            "custom": self.custom_defaults(),
            "links": self.data_links,
        });
        if let Some(max) = self.max {
            defaults["max"] = json!(max);
        }
        defaults
    }

    fn custom_defaults(&self) -> Value {
        let line = if self.thresholds.is_empty() { "off" } else { "dashed" };
        match self.kind {
            Kind::Lines => json!({
                "drawStyle": "line", "lineWidth": 2, "fillOpacity": 8, "showPoints": "never", "spanNulls": false,
                "thresholdsStyle": {"mode": line}, "axisSoftMin": 0,
            }),
            Kind::Stacked | Kind::Shares => {
                let mode = if self.kind == Kind::Shares { "percent" } else { "normal" };
                json!({
                    "drawStyle": "line", "lineWidth": 1, "fillOpacity": 60, "showPoints": "never", "spanNulls": false,
                    "stacking": {"mode": mode, "group": "A"}, "axisSoftMin": 0,
                })
            }
            Kind::Cells => json!({"fillOpacity": 80, "lineWidth": 0}),
            Kind::Table => json!({"align": "auto", "filterable": true}),
            Kind::Stat | Kind::Total | Kind::Bars | Kind::AlertList => json!({}),
        }
    }

    fn options(&self) -> Value {
        let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self.kind {
            Kind::Stat | Kind::Total => json!({
                "reduceOptions": reduce,
                "graphMode": if self.kind == Kind::Stat { "area" } else { "none" },
                "colorMode": "value", "justifyMode": "auto", "textMode": self.text_mode, "orientation": "auto",
            }),
            Kind::Lines | Kind::Stacked | Kind::Shares => json!({
                // Greatest first: with a line per route, the ones that matter are those on top.
                "legend": {
                    "displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "max"],
                    "sortBy": "Max", "sortDesc": true,
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Kind::Cells => json!({
                "showValue": "never", "rowHeight": 0.9, "colWidth": 1,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Kind::Bars => json!({
                "reduceOptions": reduce, "orientation": "horizontal", "displayMode": "gradient", "showUnfilled": true,
                "valueMode": "color", "minVizWidth": 0, "minVizHeight": 10,
            }),
            Kind::Table => {
                let sort: Vec<_> = self
                    .sort_by
                    .iter()
                    .map(|(column, down)| json!({"displayName": column, "desc": down}))
                    .collect();
                json!({"showHeader": true, "cellHeight": "sm", "sortBy": sort, "footer": {"show": false, "reducer": ["sum"], "fields": ""}})
            }
            Kind::AlertList => json!({
                "maxItems": 20, "sortOrder": 3, "dashboardAlerts": false, "groupMode": "default", "groupBy": [],
                "alertName": "", "alertInstanceLabelFilter": "", "viewMode": "list", "showInstances": false,
                "stateFilter": {"firing": true, "pending": true, "noData": true, "normal": false, "error": true},
            }),
        }
    }
}

/// The reference that panels, variables and annotations carry.
#[must_use]
pub fn data_source() -> Value {
    json!({"type": "influxdb", "uid": DATA_SOURCE_UID})
}
