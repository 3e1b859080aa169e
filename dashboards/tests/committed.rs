//! What is committed under `grafana/` is what the generator makes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dashboards::{Slo, artefacts};

const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../grafana");

#[test]
fn the_committed_files_are_the_generated_ones() {
    for artefact in artefacts(&Slo::default()) {
        let path = Path::new(GRAFANA).join(&artefact.path);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == artefact.text,
            "{} differs: run `cargo run -p dashboards`",
            artefact.path.display()
        );
    }
}

#[test]
fn no_dashboard_is_left_over_from_an_earlier_generator() {
    let generated: BTreeSet<PathBuf> =
        artefacts(&Slo::default()).into_iter().map(|artefact| artefact.path).collect();
    for entry in std::fs::read_dir(Path::new(GRAFANA).join("dashboards")).unwrap() {
        let path = Path::new("dashboards").join(entry.unwrap().file_name());
        assert!(generated.contains(&path), "{} is not generated any more", path.display());
    }
}

#[test]
fn every_alert_has_a_runbook() {
    let runbooks =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/alerts.md")).unwrap();
    for rule in dashboards::alert_rules(&Slo::default()) {
        let heading = format!("\n## {}\n", rule.uid);
        assert!(runbooks.contains(&heading), "docs/alerts.md has no section `{}`", rule.uid);
    }
}

#[test]
fn every_prometheus_rule_has_a_runbook() {
    let runbooks =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/alerts.md")).unwrap();
    let rules =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../prometheus/rules.yml")).unwrap();
    let names: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(!names.is_empty());
    for name in names {
        assert!(runbooks.contains(&format!("\n### {name}\n")), "docs/alerts.md has no section `{name}`");
        assert!(
            rules.contains(&format!("docs/alerts.md#{}\"", name.to_lowercase())),
            "{name} does not link to it"
        );
    }
}
