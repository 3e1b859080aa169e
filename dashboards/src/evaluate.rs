//! Decides an alert rule from real query results, the way Grafana's alerting does.
//!
//! Followed: each query is reduced to its last number, or to the sum of all rows; a query without any series makes the
//! whole rule `NoData`, whatever the others say; null makes the instance `NoData`, 0 normal, everything else (NaN too)
//! firing; two results with the same labels are an error. Left out: `for`, `keepFiringFor` and notification, which are
//! about time and not about data.

use std::collections::{BTreeMap, BTreeSet};

use crate::alert::{AlertRule, NoData, Reduced};
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
        variables.insert(asked.name, reduce(asked.reduced, &series)?);
    }
    if empty {
        return Ok(vec![Instance { labels: Labels::new(), state: State::NoData }]);
    }
    if let Some((name, expression)) = &rule.derived {
        let derived = math::evaluate(expression, &variables)?;
        variables.insert(*name, derived);
    }
    let decided = math::evaluate(&rule.condition, &variables)?;
    let distinct: BTreeSet<_> = decided.iter().map(|(labels, _)| labels).collect();
    if distinct.len() < decided.len() {
        return Err(E::from(format!("{}: two results with the same labels", rule.uid)));
    }
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

/// The numbers of an answer, nulls dropped, as `reduce` with `dropNN` does.
///
/// # Errors
/// If rows are to be summed that have labels: of a table with texts Grafana makes no series.
fn reduce(how: Reduced, series: &[Series]) -> Result<Numbers, String> {
    match how {
        Reduced::Last => {
            Ok(series.iter().map(|one| (one.labels.clone(), one.numbers().rev().flatten().next())).collect())
        }
        Reduced::SumOfRows => {
            if let Some(labelled) = series.iter().find(|one| !one.labels.is_empty()) {
                return Err(format!("rows with {:?} are no series", labelled.labels));
            }
            Ok(vec![(Labels::new(), Some(series.iter().flat_map(Series::numbers).flatten().sum()))])
        }
    }
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

    /// Each query of a rule answered by what it names first: (in the statement, rows of one series each).
    fn decided(uid: &str, answers: &[(&str, &[i64])]) -> Result<State, String> {
        let unlabelled = |value: &i64| Series { labels: Labels::new(), ..series("", json!(value)) };
        let instances = evaluate::<String>(&rule(uid), 0, |influxql| {
            let answer = answers.iter().find(|(part, _)| influxql.contains(part));
            Ok(answer.map_or(Vec::new(), |(_, rows)| rows.iter().map(unlabelled).collect()))
        })?;
        assert_eq!(instances.len(), 1);
        Ok(instances[0].state)
    }

    #[test]
    fn rows_of_measurements_add_up_and_those_that_are_missing_are_nothing() {
        let both = "\"events\", ";
        for (refused, all, state) in [
            (&[300][..], &[300][..], State::Firing),
            (&[300], &[9_000, 300], State::Firing),
            (&[300], &[90_000, 300], State::Normal),
            (&[19], &[19], State::Normal),
            (&[], &[90_000], State::NoData),
            (&[], &[], State::NoData),
        ] {
            assert_eq!(
                decided("cs-rejected", &[(both, all), ("quality", refused)]),
                Ok(state),
                "{refused:?} of {all:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_an_error() {
        let twice = decided("cs-deadman", &[("pipeline", &[1, 1])]);
        assert_eq!(twice, Err("cs-deadman: two results with the same labels".to_owned()));
        let labelled = [series("/a", json!(1))];
        assert!(reduce(Reduced::SumOfRows, &labelled).unwrap_err().contains("/a"));
    }

    #[test]
    fn a_failing_query_is_the_callers_error() {
        let result = evaluate(&rule("cs-freshness"), 0, |_| Err("unreachable".to_owned()));
        assert_eq!(result, Err("unreachable".to_owned()));
    }
}
