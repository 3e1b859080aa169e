//! The compose file, read by docker compose's own parser: no engine is needed for that.

use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::cache_dir;
use serde_json::Value;

#[test]
fn the_parser_accepts_the_file_with_the_example_settings() {
    let services = configured();
    for name in ["kafka", "influxdb", "prometheus", "grafana", "producer", "processor"] {
        assert!(services.get(name).is_some(), "there is a service {name}");
    }
}

#[test]
fn nothing_but_loopback_ports_is_published() {
    let services = configured();
    let mut published = 0;
    for (name, service) in services.as_object().expect("services by name") {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name} publishes {port}");
            published += 1;
        }
    }
    assert!(published > 0, "Grafana can be reached at all");
}

#[test]
fn the_processor_can_be_scaled() {
    let processor = &configured()["processor"];
    assert!(processor.get("container_name").is_none(), "a fixed name would allow only one");
    let fixed = |port: &&Value| {
        port["published"].as_str().is_some_and(|port| !port.is_empty() && !port.contains('-'))
    };
    let ports = processor["ports"].as_array().cloned().unwrap_or_default();
    assert_eq!(ports.iter().find(fixed), None, "a fixed host port would allow only one");
}

#[test]
fn what_waits_for_a_service_waits_until_it_is_healthy() {
    let services = configured();
    for (name, service) in services.as_object().expect("services by name") {
        for (on, how) in service["depends_on"].as_object().into_iter().flatten() {
            let condition = how["condition"].as_str().expect("a condition");
            assert_ne!(condition, "service_started", "{name} waits for {on} to be healthy or done");
            if condition == "service_healthy" {
                assert!(
                    services[on].get("healthcheck").is_some(),
                    "{on} says when it is healthy, as {name} waits for it"
                );
            }
        }
    }
}

/// The file's services as the parser understands them.
fn configured() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let output = Command::new(parser())
        .current_dir(root)
        .args(["--env-file", ".env.example", "--profile", "*", "config", "--format", "json"])
        .output()
        .expect("docker compose starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker compose config fails:\n{said}");
    assert!(!said.contains("level=warning"), "docker compose config warns:\n{said}");
    let config: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    config["services"].clone()
}

fn parser() -> PathBuf {
    let path = cache_dir().join("docker-compose-2.40.3/docker-compose");
    assert!(path.exists(), "{} is missing: run integration-tests/install/compose.sh", path.display());
    path
}
