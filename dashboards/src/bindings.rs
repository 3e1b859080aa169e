//! What Grafana puts in place of variables before it sends a query.

use crate::influxql::Bucket;

/// Values for everything that a panel query leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings {
    /// Start of the shown range, milliseconds since the epoch, inclusive.
    pub from_ms: i64,
    /// End of the shown range, milliseconds since the epoch, inclusive; also what `now()` means.
    pub to_ms: i64,
    /// Grafana's interval, milliseconds; not below the window of the resolution.
    pub interval_ms: i64,
    /// The variable `resolution`.
    pub resolution: Bucket,
    /// The variable `route` as a regular expression; `.*` is all.
    pub route: String,
    /// The variable `status` as a regular expression.
    pub status: String,
    /// The variable `model` as a regular expression.
    pub model: String,
    /// The variable `instance` as a regular expression.
    pub instance: String,
}

impl Bindings {
    /// Everything, in raw windows, between two moments.
    #[must_use]
    pub fn between(from_ms: i64, to_ms: i64) -> Self {
        let all = || ".*".to_owned();
        Self {
            from_ms,
            to_ms,
            interval_ms: 10_000,
            resolution: Bucket::Raw,
            route: all(),
            status: all(),
            model: all(),
            instance: all(),
        }
    }

    /// The query as InfluxDB gets it.
    #[must_use]
    pub fn expand(&self, query: &str) -> String {
        let range = format!("time >= {}ms and time <= {}ms", self.from_ms, self.to_ms);
        query
            .replace("$timeFilter", &range)
            .replace("now()", &format!("{}ms", self.to_ms))
            .replace("$__interval_ms", &self.interval_ms.to_string())
            .replace("$__interval", &format!("{}ms", self.interval_ms))
            .replace("${resolution}", self.resolution.policy())
            .replace("${route:regex}", &self.route)
            .replace("${status:regex}", &self.status)
            .replace("${model:regex}", &self.model)
            .replace("${instance:regex}", &self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_open() {
        let bindings = Bindings { route: "\\/cart".to_owned(), ..Bindings::between(1, 2) };
        let query = "FROM \"${resolution}\" WHERE $timeFilter AND \"route\" =~ /^${route:regex}$/ \
                     GROUP BY time($__interval) * $__interval_ms + now()";
        assert_eq!(
            bindings.expand(query),
            "FROM \"raw_10s\" WHERE time >= 1ms and time <= 2ms AND \"route\" =~ /^\\/cart$/ \
             GROUP BY time(10000ms) * 10000 + 2ms"
        );
    }
}
