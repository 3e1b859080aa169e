//! The server and its buckets. What was written is read back in `influx/points.rs`, through a client that is not ours, and
//! queried as the dashboards do in `influx/influxql.rs`.

mod influxql;
mod points;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{AGENT, Reply};
use crate::names::{free_port, unique};
use crate::process::{Running, installed};
use crate::wait::eventually;

pub use influxql::Series;
pub use points::{Point, Row};

/// Version of the server; `install/influxdb.sh` names the same.
const VERSION: &str = "2.9.1";

/// Token of the servers the harness starts.
const ADMIN_TOKEN: &str = "integration-tests-admin";

/// An InfluxDB with the three buckets, which keep everything, and a token that may only write to them.
#[derive(Debug)]
pub struct Influx {
    url: String,
    org: String,
    org_id: String,
    admin_token: String,
    write_token: Option<Token>,
    buckets: Buckets,
    own: Option<Own>,
}

/// A token; the server keeps only its hash, so it is shown once.
#[derive(Debug, Clone)]
pub struct Token {
    id: String,
    /// What goes into a request's header.
    pub secret: String,
}

/// The buckets' names.
#[derive(Debug, Clone)]
pub struct Buckets {
    /// Windows of the configured size, 10 s by default.
    pub raw: String,
    /// Windows of one minute.
    pub minute: String,
    /// Windows of one hour.
    pub hour: String,
}

impl Buckets {
    fn under(database: &str) -> Self {
        let bucket = |name: &str| format!("{database}/{name}");
        Self { raw: bucket("raw_10s"), minute: bucket("rollup_1m"), hour: bucket("rollup_1h") }
    }

    /// All three, the finest first.
    #[must_use]
    pub fn all(&self) -> [&str; 3] {
        [&self.raw, &self.minute, &self.hour]
    }
}

#[derive(Debug)]
struct Own {
    server: Option<Running>,
    dir: TempDir,
}

impl Influx {
    /// The server of `CLICKPULSE_TEST_INFLUX` with buckets of this call's own, or a new server.
    ///
    /// # Panics
    /// If it does not come up or refuses.
    #[must_use]
    pub fn start() -> Self {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(url) = given("CLICKPULSE_TEST_INFLUX") else { return Self::start_own() };
        let needed =
            |name: &str| given(name).unwrap_or_else(|| panic!("CLICKPULSE_TEST_INFLUX needs {name}"));
        let mut influx =
            Self::at(url.trim_end_matches('/').to_owned(), Buckets::under(&unique("clickstream-test")));
        influx.admin_token = needed("CLICKPULSE_TEST_INFLUX_TOKEN");
        influx.org = needed("CLICKPULSE_TEST_INFLUX_ORG");
        influx.await_ready();
        influx.make_buckets();
        influx
    }

    /// A new server even where one is given: for tests that stop it, or need the default bucket names.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start_own() -> Self {
        Self::start_as("clickpulse", Buckets::under("clickstream"))
    }

    /// The same with an organisation and buckets of these names.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start_as(org: &str, buckets: Buckets) -> Self {
        let mut influx = Self::at(format!("http://127.0.0.1:{}", free_port()), buckets);
        org.clone_into(&mut influx.org);
        let dir =
            tempfile::Builder::new().prefix("clickpulse-influxdb").tempdir().expect("a temporary folder");
        influx.own = Some(Own { server: None, dir });
        influx.launch();
        let setup = json!({
            "username": "admin", "password": "integration-tests", "org": influx.org, "token": influx.admin_token,
            "bucket": "unused", "retentionPeriodSeconds": 0,
        });
        influx.api("POST", "/api/v2/setup", Some(&setup));
        influx.make_buckets();
        influx
    }

    /// The same server with buckets of this call's own, which go with what is returned.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        self.beside_in(self.org.clone(), Buckets::under(&unique(name)))
    }

    /// The same server with an organisation and buckets of these names, made here.
    ///
    /// # Panics
    /// If the server refuses, or there is such an organisation already.
    #[must_use]
    pub fn organisation(&self, name: &str, buckets: Buckets) -> Self {
        self.api("POST", "/api/v2/orgs", Some(&json!({"name": name})));
        self.beside_in(name.to_owned(), buckets)
    }

    fn beside_in(&self, org: String, buckets: Buckets) -> Self {
        let mut influx = Self::at(self.url.clone(), buckets);
        influx.org = org;
        influx.admin_token.clone_from(&self.admin_token);
        influx.make_buckets();
        influx
    }

    fn at(url: String, buckets: Buckets) -> Self {
        Self {
            url,
            org: "clickpulse".to_owned(),
            org_id: String::new(),
            admin_token: ADMIN_TOKEN.to_owned(),
            write_token: None,
            buckets,
            own: None,
        }
    }

    /// Starts it again on its address and with its data; returns when it answers.
    ///
    /// # Panics
    /// If it runs already or does not come up.
    pub fn launch(&mut self) {
        let own = self.own.as_mut().expect("only a server of our own can be launched");
        assert!(own.server.is_none(), "InfluxDB runs already");
        let dir = own.dir.path();
        let mut command = Command::new(installed(&format!("influxd-{VERSION}/influxd"), "influxdb.sh"));
        command
            .env("INFLUXD_BOLT_PATH", dir.join("influxd.bolt"))
            .env("INFLUXD_SQLITE_PATH", dir.join("influxd.sqlite"))
            .env("INFLUXD_ENGINE_PATH", dir.join("engine"))
            .env("INFLUXD_HTTP_BIND_ADDRESS", self.url.trim_start_matches("http://"))
            .env("INFLUXD_REPORTING_DISABLED", "true");
        own.server = Some(Running::spawn("influxdb", command, &dir.join("influxd.log")));
        self.await_ready();
    }

    /// Ends it in order, data kept.
    ///
    /// # Panics
    /// If it was not started here.
    pub fn stop(&mut self) {
        let own = self.own.as_mut().expect("only a server of our own can be stopped");
        let mut server = own.server.take().expect("InfluxDB runs");
        server.signal("TERM");
        server.wait(Duration::from_secs(60));
    }

    /// `kill -9`, data kept.
    ///
    /// # Panics
    /// If it was not started here.
    pub fn kill(&mut self) {
        let own = self.own.as_mut().expect("only a server of our own can be killed");
        own.server.take().expect("InfluxDB runs").kill();
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The organisation's name.
    #[must_use]
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The buckets.
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// A token that may write to the three buckets and do nothing else.
    ///
    /// # Panics
    /// Never: every server has one once it is returned.
    #[must_use]
    pub fn write_token(&self) -> &str {
        &self.write_token.as_ref().expect("made with the buckets").secret
    }

    /// A token that may do everything.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Makes a token that may write to the three buckets.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn new_write_token(&self, description: &str) -> Token {
        let permissions: Vec<Value> = self
            .buckets
            .all()
            .iter()
            .map(|name| {
                let resource =
                    json!({"type": "buckets", "orgID": self.org_id, "id": self.bucket_id(name).expect("made before")});
                json!({"action": "write", "resource": resource})
            })
            .collect();
        let wanted = json!({"orgID": self.org_id, "description": description, "permissions": permissions});
        let made = self.api("POST", "/api/v2/authorizations", Some(&wanted));
        let text = |key: &str| made[key].as_str().expect("a new token is shown").to_owned();
        Token { id: text("id"), secret: text("token") }
    }

    /// Turns a token on or off.
    ///
    /// # Panics
    /// If there is no such token.
    pub fn set_token_active(&self, token: &Token, active: bool) {
        let path = format!("/api/v2/authorizations/{}", token.id);
        self.api("PATCH", &path, Some(&json!({"status": if active { "active" } else { "inactive" }})));
    }

    /// Deletes the points of a measurement at one moment, milliseconds (`influxdb2` knows whole seconds only).
    ///
    /// # Panics
    /// If the server refuses.
    pub fn delete(&self, bucket: &str, measurement: &str, time_ms: i64) {
        // The range's end is inclusive.
        let at = |nanos: &str| {
            format!("{}.{:03}{nanos}Z", utc(time_ms.div_euclid(1_000)), time_ms.rem_euclid(1_000))
        };
        let path = format!("/api/v2/delete?org={}&bucket={}", encoded(&self.org), encoded(bucket));
        let wanted = json!({
            "start": at("000000"), "stop": at("000001"), "predicate": format!("_measurement=\"{measurement}\""),
        });
        self.api("POST", &path, Some(&wanted));
    }

    fn make_buckets(&mut self) {
        let orgs = self.api("GET", &format!("/api/v2/orgs?org={}", encoded(&self.org)), None);
        self.org_id = orgs["orgs"][0]["id"].as_str().expect("the organisation exists").to_owned();
        for name in self.buckets.all() {
            // Events of a test lie in the past, so nothing may expire.
            self.api(
                "POST",
                "/api/v2/buckets",
                Some(&json!({"orgID": self.org_id, "name": name, "retentionRules": []})),
            );
        }
        // `SHOW TAG VALUES`, as the dashboards' variables use it, needs a default retention policy, which the virtual
        // mapping of buckets called database/policy does not give; influxdb/setup.sh makes the same.
        let raw = self.bucket_id(&self.buckets.raw).expect("just made");
        let (database, policy) = self.buckets.raw.split_once('/').expect("called database/policy");
        self.api(
            "POST",
            "/api/v2/dbrps",
            Some(&json!({
                "orgID": self.org_id, "bucketID": raw, "database": database, "retention_policy": policy, "default": true,
            })),
        );
        self.write_token = Some(self.new_write_token("processor"));
    }

    fn bucket_id(&self, name: &str) -> Option<String> {
        let path = format!("/api/v2/buckets?orgID={}&name={}", self.org_id, encoded(name));
        let found = self.api("GET", &path, None);
        found["buckets"][0]["id"].as_str().map(str::to_owned)
    }

    /// What `influxdb2` has no call for (setup of mappings, the state of a token) or asks in a form of its own.
    fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Token {}", self.admin_token))
            .header("Content-Type", "application/json")
            .body(body.map(Value::to_string).unwrap_or_default())
            .expect("a valid request");
        let reply = Reply::read(AGENT.run(request).expect("InfluxDB answers")).expect("a whole answer");
        assert!(reply.status < 300, "{method} {path}: {} {}", reply.status, reply.body);
        if reply.body.is_empty() { Value::Null } else { serde_json::from_str(&reply.body).expect("JSON") }
    }

    fn await_ready(&self) {
        eventually("InfluxDB answers", || match crate::http::get(&format!("{}/health", self.url)) {
            Ok(reply) if reply.status == 200 => Ok(()),
            Ok(reply) => Err(format!("status {}: {}", reply.status, reply.body)),
            Err(error) => Err(error),
        });
    }
}

/// A value of a query string.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// Seconds since the epoch as RFC 3339 without the zone (Howard Hinnant's `civil_from_days`).
fn utc(secs: i64) -> String {
    let (days, of_day) = (secs.div_euclid(86_400) + 719_468, secs.rem_euclid(86_400));
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

impl Drop for Influx {
    fn drop(&mut self) {
        if self.own.is_some() || std::thread::panicking() {
            return; // a server of our own goes with its data; after a failure the data may be wanted
        }
        for name in self.buckets.all() {
            if let Some(id) = self.bucket_id(name) {
                self.api("DELETE", &format!("/api/v2/buckets/{id}"), None);
            }
        }
    }
}
