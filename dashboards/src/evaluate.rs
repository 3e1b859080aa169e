//! Decides an alert rule from real query results, the way Grafana's alerting does.
//!
//! Followed: each query is reduced to its last number; a query without any series makes the whole rule `NoData`; null
//! makes the instance `NoData`, 0 normal, everything else (NaN too) firing. Left out: `for`, `keepFiringFor` and
//! notification, which are about time and not about data.

use std::collections::BTreeMap;

use crate::alert::{AlertRule, NoData};
use crate::math::{self, Labels, Numbers};
use crate::series::Series;

/// What a rule says of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The condition holds.
    Firing,
    /// It does not.
    Normal,
    /// It cannot be decided; see [`AlertRule::no_data`].
    NoData,
}

/// One dimension of a rule, for example one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Empty for a rule with one dimension.
    pub labels: Labels,
    /// What the condition says.
    pub state: State,
}

/// Evaluates `rule` at `now_ms`; `query` runs a statement that is ready for `/query`.
///
/// # Errors
/// What `query` fails with, or why the condition cannot be decided.
pub fn evaluate<E: From<String>>(
    rule: &AlertRule,
    now_ms: i64,
    mut query: impl FnMut(&str) -> Result<Vec<Series>, E>,
) -> Result<Vec<Instance>, E> {
    let mut variables = BTreeMap::new();
    let mut empty = false;
    for asked in &rule.queries {
        let series = query(&asked.influxql_at(now_ms))?;
        empty |= series.is_empty();
        variables.insert(asked.name, reduce(&series));
    }
    if empty {
        return Ok(vec![Instance { labels: Labels::new(), state: State::NoData }]);
    }
    let decided = math::evaluate(&rule.condition, &variables)?;
    Ok(decided.into_iter().map(|(labels, value)| Instance { labels, state: state_of(value) }).collect())
}

/// Whether the rule alerts: an instance fires, or there is no data and the rule takes that for a failure.
#[must_use]
pub fn alerts(rule: &AlertRule, instances: &[Instance]) -> bool {
    instances.iter().any(|instance| match instance.state {
        State::Firing => true,
        State::Normal => false,
        State::NoData => rule.no_data == NoData::Alerting,
    })
}

/// The last number of each series, nulls dropped, as `reduce` with `last` and `dropNN` does.
fn reduce(series: &[Series]) -> Numbers {
    series.iter().map(|one| (one.labels.clone(), one.numbers().rev().flatten().next())).collect()
}

const fn state_of(value: Option<f64>) -> State {
    match value {
        None => State::NoData,
        Some(0.0) => State::Normal,
        Some(_) => State::Firing,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Slo, alert_rules};

    fn rule(uid: &str) -> AlertRule {
        alert_rules(&Slo::default()).into_iter().find(|rule| rule.uid == uid).unwrap()
    }

    fn series(route: &str, value: serde_json::Value) -> Series {
        Series {
            labels: Labels::from([("route".to_owned(), route.to_owned())]),
            columns: vec!["time".to_owned(), "sum".to_owned()],
            rows: vec![vec![json!(0), value]],
        }
    }

    #[test]
    fn each_route_is_decided_by_itself() {
        let instances = evaluate::<String>(&rule("cs-route-5xx"), 0, |influxql| {
            Ok(if influxql.contains("errors") {
                vec![series("/a", json!(0.5)), series("/b", json!(0.01)), series("/c", json!(null))]
            } else {
                ["/a", "/b", "/c"].map(|route| series(route, json!(90))).to_vec()
            })
        })
        .unwrap();
        let states: Vec<_> = instances.iter().map(|instance| instance.state).collect();
        assert_eq!(states, [State::Firing, State::Normal, State::NoData]);
    }

    #[test]
    fn nothing_from_the_pipeline_trips_the_dead_man_but_not_the_burn_rule() {
        let silent = |uid| {
            let rule = rule(uid);
            let instances = evaluate::<String>(&rule, 0, |_| Ok(Vec::new())).unwrap();
            assert_eq!(instances[0].state, State::NoData);
            alerts(&rule, &instances)
        };
        assert!(silent("cs-deadman"));
        assert!(!silent("cs-slo-burn-fast"));
    }

    #[test]
    fn a_failing_query_is_the_callers_error() {
        let result = evaluate(&rule("cs-freshness"), 0, |_| Err("unreachable".to_owned()));
        assert_eq!(result, Err("unreachable".to_owned()));
    }
}
