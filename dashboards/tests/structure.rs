//! Rules that Grafana does not check but that break things when they are not kept.

use std::collections::{BTreeMap, BTreeSet};

use dashboards::alert::NoData;
use dashboards::{Bindings, Slo, alert_rules, artefacts, boards, queries};
use events::EventType;
use processor_core::schema;
use serde_json::Value;

fn generated_boards() -> Vec<Value> {
    artefacts(&Slo::default())
        .iter()
        .filter(|artefact| artefact.path.starts_with("dashboards"))
        .map(|artefact| serde_json::from_str(&artefact.text).unwrap())
        .collect()
}

fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

/// Two files with one uid, or one title twice, take the provider's right to write every dashboard.
#[test]
fn uids_and_titles_are_unique_and_ids_absent() {
    let boards = generated_boards();
    let distinct =
        |key: &str| boards.iter().map(|board| board[key].as_str().unwrap()).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct("uid"), boards.len());
    assert_eq!(distinct("title"), boards.len());
    for board in &boards {
        assert_eq!(board["id"], Value::Null);
        assert!(board.get("__inputs").is_none());
    }
}

#[test]
fn panel_ids_are_unique_and_panels_do_not_overlap() {
    for board in generated_boards() {
        let all = board["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), all.len(), "{}", board["title"]);
        let mut cells = BTreeSet::new();
        for panel in all {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{} overlaps", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn every_panel_explains_itself() {
    for board in generated_boards() {
        for panel in panels(&board) {
            let title = &panel["title"];
            assert!(panel["description"].as_str().unwrap().len() > 20, "{title}: description");
            assert_eq!(panel["datasource"]["uid"], dashboards::DATA_SOURCE_UID, "{title}");
            assert_eq!(panel["datasource"]["type"], "influxdb", "{title}");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(defaults["unit"].is_string(), "{title}: unit");
            assert_eq!(defaults["min"], 0, "{title}: min");
            assert!(!defaults["noValue"].as_str().unwrap().is_empty(), "{title}: noValue");
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], dashboards::DATA_SOURCE_UID, "{title}");
                assert_eq!(target["rawQuery"], true, "{title}");
            }
        }
    }
}

/// Points of instances come every 10 s whatever window is chosen, and a rate over one interval of an hour shows nothing.
#[test]
fn only_what_follows_the_chosen_window_is_cut_into_its_intervals() {
    let mut always_fine = 0;
    for board in generated_boards() {
        for panel in
            panels(&board).filter(|panel| panel["targets"].as_array().is_some_and(|all| !all.is_empty()))
        {
            let mut queries =
                panel["targets"].as_array().unwrap().iter().map(|it| it["query"].as_str().unwrap());
            let chosen = queries.any(|query| query.contains("\"${resolution}\""));
            always_fine += usize::from(!chosen);
            let least = if chosen { "${resolution:text}" } else { "10s" };
            assert_eq!(panel["interval"], least, "{}", panel["title"]);
        }
    }
    assert!(always_fine > 20, "{always_fine} panels read the finest windows whatever is chosen");
}

#[test]
fn every_event_type_has_a_colour_of_its_own() {
    let boards = generated_boards();
    let by_type =
        boards.iter().flat_map(panels).find(|panel| panel["title"] == "Events per second by type").unwrap();
    let overrides = by_type["fieldConfig"]["overrides"].as_array().unwrap();
    let of_type = |name: &str| {
        let of = overrides.iter().find(|of| of["matcher"]["options"] == format!("/^{name}$/"));
        of.unwrap_or_else(|| panic!("{name} has no colour"))["properties"][0]["value"]["fixedColor"]
            .as_str()
            .unwrap()
    };
    let colors: BTreeSet<_> = EventType::ALL.iter().map(|kind| of_type(kind.name())).collect();
    assert_eq!(colors.len(), EventType::ALL.len());
}

/// InfluxDB gives series backwards where it is asked for the newest first, and Grafana columns of tags in any order.
#[test]
fn every_table_names_and_sorts_its_columns() {
    for board in generated_boards() {
        for panel in panels(&board).filter(|panel| panel["type"] == "table") {
            let title = &panel["title"];
            let steps = panel["transformations"].as_array().unwrap();
            let step = |id: &str| steps.iter().find(|step| step["id"] == id).map(|step| &step["options"]);
            let shown = step("organize").unwrap_or_else(|| panic!("{title} leaves its columns as they come"));
            // Grouping puts them into an order of its own.
            let order = &shown["indexByName"];
            assert!(order.is_object() || step("groupBy").is_some(), "{title}: columns in any order");
            let named = &shown["renameByName"];
            let sort = &panel["options"]["sortBy"][0]["displayName"];
            assert!(
                named.as_object().unwrap().values().any(|name| name == sort),
                "{title}: sorted by {sort}"
            );
        }
    }
}

#[test]
fn every_query_names_a_measurement_its_tags_and_its_fields() {
    let shown = queries(&Slo::default(), &Bindings::between(0, 1)).into_iter().map(|query| query.influxql);
    let alerting = alert_rules(&Slo::default());
    let alerting = alerting.iter().flat_map(|rule| &rule.queries).map(|query| query.influxql.clone());
    for query in shown.chain(alerting) {
        let mut quoted = query.split('"').skip(1).step_by(2).filter(|name| *name != "clickstream");
        let policies = ["raw_10s", "rollup_1m", "rollup_1h"];
        let measurements: Vec<_> = schema::ALL
            .into_iter()
            .filter(|measurement| query.contains(&format!(".\"{}\"", measurement.name)))
            .collect();
        assert!(!measurements.is_empty(), "no measurement in {query}");
        let aliases: BTreeSet<_> =
            query.split(" AS \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let unknown: Vec<_> = quoted
            .by_ref()
            .filter(|name| {
                !(policies.contains(name)
                    || aliases.contains(name)
                    || measurements.iter().any(|measurement| {
                        *name == measurement.name
                            || measurement.tags.contains(name)
                            || measurement.fields.iter().any(|(field, _)| field == name)
                    }))
            })
            .collect();
        assert!(unknown.is_empty(), "{unknown:?} are not of {measurements:?} in {query}");
    }
}

/// Everything that panels and rules ask, as it is written.
fn statements() -> Vec<String> {
    let boards = boards::all(&Slo::default());
    let shown = boards.iter().flat_map(|board| board.panels().flat_map(|panel| &panel.queries));
    let rules = alert_rules(&Slo::default());
    let asked = rules.iter().flat_map(|rule| &rule.queries);
    shown.map(|query| query.influxql.clone()).chain(asked.map(|query| query.influxql.clone())).collect()
}

/// Grafana's InfluxQL plugin takes what lies between two slashes on a line for a regular expression, and escapes the
/// variables in it: InfluxDB answers 400.
#[test]
fn a_division_by_the_interval_ends_its_line() {
    let divided: Vec<_> =
        statements().into_iter().filter(|query| query.contains("/ $__interval_ms")).collect();
    assert!(divided.len() > 10, "{} statements", divided.len());
    for query in divided {
        for rest in query.split("/ $__interval_ms").skip(1) {
            assert!(rest.starts_with('\n'), "{query}");
        }
    }
}

/// A sum of yen and euros is a number of nothing.
#[test]
fn money_is_shown_and_judged_by_currency() {
    let money: Vec<_> = statements().into_iter().filter(|query| query.contains("revenue_cents")).collect();
    assert!(money.len() > 4, "{} statements", money.len());
    for query in &money {
        let grouped = query.split(" GROUP BY ").nth(1).is_some_and(|by| by.contains("\"currency\""));
        assert!(grouped, "{query}");
    }
    for board in generated_boards() {
        for panel in panels(&board) {
            let title = &panel["title"];
            let targets = panel["targets"].as_array().unwrap();
            let asks = |target: &Value| target["query"].as_str().unwrap().contains("revenue_cents");
            for target in targets.iter().filter(|target| asks(target)) {
                let tabled = panel["type"] == "table"
                    && panel["transformations"][0]["options"]["renameByName"]["currency"] == "Currency";
                let named = target["alias"].as_str().unwrap().contains("$tag_currency");
                assert!(tabled || named, "{title} does not say which currency");
                let lone = panel["type"] == "stat" && panel["options"]["textMode"] != "value_and_name";
                assert!(!lone, "{title} leaves out the name where there is one currency");
            }
            let unit = panel["fieldConfig"].to_string();
            assert!(!unit.contains("\"currency"), "{title}: a unit of one currency");
        }
    }
}

/// Notes are on counted events: added to records they would count those twice.
#[test]
fn no_query_takes_notes_for_records() {
    let notes = schema::QUALITY_NOTES.join("|");
    let (mut records, mut noted) = (0, 0);
    for query in statements().into_iter().filter(|query| query.contains(".\"quality\"")) {
        let one = |reason: &str| query.contains(&format!("\"reason\" = '{reason}'"));
        let without_notes =
            query.split(" !~ /^(").nth(1).is_some_and(|rest| rest.contains(&format!("{notes})$/")));
        let notes_only = query.contains(&format!("\"reason\" =~ /^({notes})$/"))
            || schema::QUALITY_NOTES.iter().any(|note| one(note));
        let records_only = without_notes || one(schema::QUALITY_LATE) || one(schema::QUALITY_DUPLICATE);
        assert!(notes_only != records_only, "{query}");
        // Only what is all records reads the counted ones as well.
        assert!(!query.contains(".\"events\"") || without_notes, "{query}");
        records += usize::from(records_only);
        noted += usize::from(notes_only);
    }
    assert!(records > 5 && noted > 2, "{records} statements about records, {noted} about notes");
}

#[test]
fn no_query_is_left_with_a_variable() {
    for query in queries(&Slo::default(), &Bindings::between(0, 1)) {
        assert!(!query.influxql.replace("$/", "").contains('$'), "{}: {}", query.panel, query.influxql);
    }
    for rule in alert_rules(&Slo::default()) {
        for query in &rule.queries {
            // Grafana expands no dashboard variables for a rule.
            assert!(
                !query.influxql_at(0).replace("$/", "").contains('$'),
                "{}: {}",
                rule.uid,
                query.influxql
            );
        }
    }
}

#[test]
fn a_rule_draws_its_limit_on_the_panel_it_links_to() {
    let boards = boards::all(&Slo::default());
    let panels: BTreeMap<_, _> =
        boards.iter().flat_map(|board| board.panels().map(|panel| ((board.uid, panel.id), panel))).collect();
    for rule in alert_rules(&Slo::default()) {
        let panel =
            panels.get(&rule.place).unwrap_or_else(|| panic!("{}: no panel {:?}", rule.uid, rule.place));
        if let Some(limit) = rule.limit {
            assert!(
                panel.thresholds.iter().any(|(value, _)| (value - limit).abs() < f64::EPSILON),
                "{}: `{}` does not show {limit}",
                rule.uid,
                panel.title
            );
            assert!(
                rule.condition.contains(&limit.to_string()),
                "{}: {limit} is not in its condition",
                rule.uid
            );
        }
    }
}

#[test]
fn rules_are_complete_and_their_texts_survive_the_environment() {
    let rules = alert_rules(&Slo::default());
    let distinct = |texts: Vec<&str>| texts.into_iter().collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(rules.iter().map(|rule| rule.uid).collect()), rules.len());
    assert_eq!(distinct(rules.iter().map(|rule| rule.title).collect()), rules.len());
    for rule in &rules {
        assert!(!rule.queries.is_empty() && !rule.condition.is_empty(), "{}", rule.uid);
        assert!(rule.uid.len() <= 40, "{}: Grafana takes 40 characters", rule.uid);
        assert!(["page", "warn", "ticket"].contains(&rule.severity), "{}", rule.uid);
        // Provisioning expands `$NAME` in titles and `${NAME}` in annotations from Grafana's environment.
        assert!(!rule.title.contains('$'), "{}", rule.uid);
        assert!(!rule.summary.contains("${") && !rule.description.contains("${"), "{}", rule.uid);
        for query in &rule.queries {
            let derived = rule.derived.as_ref().map_or("", |(_, expression)| expression);
            assert!(
                [&rule.condition, derived].into_iter().any(|text| text.contains(&format!("${}", query.name))),
                "{}: {} is unused",
                rule.uid,
                query.name
            );
            assert!(query.from_s > query.to_s, "{}: {}", rule.uid, query.name);
        }
    }
    let on_silence: Vec<_> =
        rules.iter().filter(|rule| rule.no_data == NoData::Alerting).map(|rule| rule.uid).collect();
    assert_eq!(on_silence, ["cs-traffic-drop", "cs-deadman"]);
}
