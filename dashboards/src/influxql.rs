//! InfluxQL text from checked names.

use std::fmt;

use processor_core::schema::Measurement;

/// The database that the virtual DBRP mapping makes of buckets called `clickstream/…`.
pub const DATABASE: &str = "clickstream";

/// Window length of the raw bucket, seconds.
pub const RAW_WINDOW_S: u32 = 10;

/// Which bucket a query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// 10 s windows, kept 7 days; the only one with `pipeline` and `annotations`.
    Raw,
    /// 1 min windows, kept 90 days.
    Minute,
    /// 1 h windows, kept 2 years.
    Hour,
    /// What the dashboard's variable `resolution` says.
    Chosen,
}

impl Bucket {
    /// The retention policy's name in a query.
    #[must_use]
    pub const fn policy(self) -> &'static str {
        match self {
            Self::Raw => "raw_10s",
            Self::Minute => "rollup_1m",
            Self::Hour => "rollup_1h",
            Self::Chosen => "${resolution}",
        }
    }
}

/// A measurement in a bucket; hands out quoted names and functions over them, and panics on a name the schema lacks.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    measurement: &'static Measurement,
    bucket: Bucket,
}

impl Source {
    /// A measurement as `bucket` keeps it.
    #[must_use]
    pub const fn new(measurement: &'static Measurement, bucket: Bucket) -> Self {
        Self { measurement, bucket }
    }

    /// The field, quoted.
    ///
    /// # Panics
    /// If the schema has no such field.
    #[must_use]
    pub fn field(&self, name: &'static str) -> String {
        format!("\"{}\"", self.measurement.field(name))
    }

    /// The tag, quoted.
    ///
    /// # Panics
    /// If the schema has no such tag.
    #[must_use]
    pub fn tag(&self, name: &'static str) -> String {
        format!("\"{}\"", self.measurement.tag(name))
    }

    /// `function("field")`.
    #[must_use]
    pub fn call(&self, function: &str, field: &'static str) -> String {
        format!("{function}({})", self.field(field))
    }

    /// `sum("field")`.
    #[must_use]
    pub fn sum(&self, field: &'static str) -> String {
        self.call("sum", field)
    }

    /// `max("field")`.
    #[must_use]
    pub fn max(&self, field: &'static str) -> String {
        self.call("max", field)
    }

    /// The share of one field in another; `1.0` because InfluxQL types an integer ratio in a subquery as integer.
    #[must_use]
    pub fn ratio(&self, part: &'static str, whole: &'static str) -> String {
        format!("{} * 1.0 / {}", self.sum(part), self.sum(whole))
    }

    /// Events per second from a count per window, right at every resolution while a bucket is no shorter than a window.
    ///
    /// The line break is Grafana's due: it takes what lies between this `/` and the next one on the line, as that of
    /// `=~ /^${route:regex}$/`, for a regular expression, and escapes the dollar in it.
    #[must_use]
    pub fn per_second(&self, field: &'static str) -> String {
        format!("{} * 1000.0 / $__interval_ms\n", self.sum(field))
    }

    /// How fast a running total grows, per second; a restart counts as no growth.
    #[must_use]
    pub fn growth(&self, field: &'static str) -> String {
        format!("non_negative_derivative({}, 1s)", self.max(field))
    }

    /// The tags of the measurement's series that are chosen by the variables `route` and `status`.
    #[must_use]
    pub fn chosen(&self, tag: &'static str) -> String {
        format!("{} =~ /^${{{tag}:regex}}$/", self.tag(tag))
    }

    /// `SELECT expression FROM this`, over the shown time range.
    #[must_use]
    pub fn select(&self, expression: impl Into<String>) -> Select {
        Select {
            expression: expression.into(),
            from: self.place(),
            conditions: vec!["$timeFilter".to_owned()],
            group_by: Vec::new(),
            tail: String::new(),
        }
    }

    fn place(&self) -> String {
        format!("\"{DATABASE}\".\"{}\".\"{}\"", self.bucket.policy(), self.measurement.name)
    }

    /// The statement that lists a tag's values, for a dashboard variable.
    #[must_use]
    pub fn tag_values(&self, tag: &'static str) -> String {
        format!(
            "SHOW TAG VALUES ON \"{DATABASE}\" FROM \"{}\".\"{}\" WITH KEY = {}",
            self.bucket.policy(),
            self.measurement.name,
            self.tag(tag)
        )
    }
}

/// One `SELECT`; [`Display`](fmt::Display) gives the text.
#[derive(Debug, Clone)]
pub struct Select {
    expression: String,
    from: String,
    conditions: Vec<String>,
    group_by: Vec<String>,
    tail: String,
}

impl Select {
    /// `SELECT expression FROM (inner)`; the inner statement carries the time range.
    #[must_use]
    pub fn over(expression: impl Into<String>, inner: &Self) -> Self {
        Self {
            expression: expression.into(),
            from: format!("({inner})"),
            conditions: Vec::new(),
            group_by: Vec::new(),
            tail: String::new(),
        }
    }

    /// Reads this measurement as well; a row of the answer is of one of them, as InfluxQL adds nothing up across measurements.
    #[must_use]
    pub fn and_from(mut self, other: &Source) -> Self {
        self.from.push_str(&format!(", {}", other.place()));
        self
    }

    /// Adds a condition.
    #[must_use]
    pub fn and(mut self, condition: impl Into<String>) -> Self {
        self.conditions.push(condition.into());
        self
    }

    /// Reads the last `range` before now whatever the dashboard shows.
    #[must_use]
    pub fn of_last(mut self, range: &str) -> Self {
        self.conditions = vec![format!("time > now() - {range}")];
        self
    }

    /// Groups by time in Grafana's interval; `fill` says what an empty bucket shows (`0`, `null` or `none`).
    #[must_use]
    pub fn per_interval(mut self, fill: &str) -> Self {
        self.group_by.insert(0, "time($__interval)".to_owned());
        self.tail = format!(" fill({fill})");
        self
    }

    /// Groups by a quoted tag.
    #[must_use]
    pub fn by(mut self, tag: impl Into<String>) -> Self {
        self.group_by.push(tag.into());
        self
    }

    /// The newest row of each group.
    #[must_use]
    pub fn newest(mut self) -> Self {
        self.tail.push_str(" ORDER BY time DESC LIMIT 1");
        self
    }

    /// At most this many rows of each group, the newest first.
    #[must_use]
    pub fn limit(mut self, rows: u32) -> Self {
        self.tail.push_str(&format!(" ORDER BY time DESC LIMIT {rows}"));
        self
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SELECT {} FROM {}", self.expression, self.from)?;
        if !self.conditions.is_empty() {
            write!(f, " WHERE {}", self.conditions.join(" AND "))?;
        }
        if !self.group_by.is_empty() {
            write!(f, " GROUP BY {}", self.group_by.join(", "))?;
        }
        f.write_str(&self.tail)
    }
}

#[cfg(test)]
mod tests {
    use processor_core::schema::HTTP;

    use super::*;

    #[test]
    fn a_grouped_ratio_reads_as_influxql() {
        let http = Source::new(&HTTP, Bucket::Raw);
        let query = http
            .select(http.ratio("errors", "requests"))
            .and(http.chosen("route"))
            .by(http.tag("route"))
            .per_interval("null");
        assert_eq!(
            query.to_string(),
            "SELECT sum(\"errors\") * 1.0 / sum(\"requests\") FROM \"clickstream\".\"raw_10s\".\"http\" \
             WHERE $timeFilter AND \"route\" =~ /^${route:regex}$/ GROUP BY time($__interval), \"route\" fill(null)"
        );
    }

    #[test]
    fn two_measurements_are_one_statement() {
        let [http, all] = [&HTTP, &processor_core::schema::HTTP_ALL].map(|it| Source::new(it, Bucket::Raw));
        assert_eq!(
            http.select(http.sum("requests")).and_from(&all).to_string(),
            "SELECT sum(\"requests\") FROM \"clickstream\".\"raw_10s\".\"http\", \"clickstream\".\"raw_10s\".\"http_all\" \
             WHERE $timeFilter"
        );
    }

    #[test]
    #[should_panic(expected = "no such field")]
    fn a_field_that_the_schema_lacks_panics() {
        let _ = Source::new(&HTTP, Bucket::Raw).sum("failures");
    }
}
