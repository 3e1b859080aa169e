use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Reply, get};
use crate::influx::Influx;
use crate::kafka::Kafka;
use crate::names::{Names, free_port};
use crate::process::Running;
use crate::wait::eventually;

/// Path of a binary of the workspace: `$CLICKPULSE_BIN_DIR/NAME`, else the release build, else the debug build that lies
/// beside the running test.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    if let Some(dir) = std::env::var_os("CLICKPULSE_BIN_DIR") {
        let path = PathBuf::from(dir).join(name);
        assert!(path.exists(), "{} is missing (CLICKPULSE_BIN_DIR)", path.display());
        return path;
    }
    // <target>/<profile>/deps/<test>
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.ancestors().nth(2).expect("tests lie two folders deep");
    let target = profile.parent().expect("a profile lies in the target folder");
    let candidates = [target.join("release").join(name), profile.join(name)];
    candidates.iter().find(|path| path.exists()).cloned().unwrap_or_else(|| {
        panic!("{name} is not built: cargo build --release -p {name} (or run integration-tests/run.sh)")
    })
}

/// The processor's settings as a test wants them: short times, an own group and own topics.
#[derive(Debug, Clone)]
pub struct ProcessorConfig {
    /// Brokers.
    pub brokers: String,
    /// Topics and group.
    pub names: Names,
    /// Whether the input is keyed by user.
    pub keyed: bool,
    /// What stands in place of the `[[inputs]]` section that the names and `keyed` make.
    pub inputs: Option<String>,
    /// The `[influxdb]` section's lines; no section where empty.
    pub influxdb: Vec<(String, String)>,
    /// Further lines of the `[kafka]` section.
    pub kafka: Vec<(String, String)>,
    /// Lines of the `[windows]` section.
    pub windows: Vec<(String, String)>,
    /// Whole further sections, appended as they are.
    pub extra: String,
    /// Port of the status page.
    pub http_port: u16,
    /// `kafka.instance_id`.
    pub instance_id: Option<String>,
}

impl ProcessorConfig {
    /// Settings for one Kafka and one InfluxDB, everything else at its default.
    #[must_use]
    pub fn new(kafka: &Kafka, influx: &Influx, names: &Names) -> Self {
        let quoted = |key: &str, value: &str| (key.to_owned(), format!("{value:?}"));
        let buckets = influx.buckets();
        Self {
            brokers: kafka.bootstrap().to_owned(),
            names: names.clone(),
            keyed: true,
            inputs: None,
            influxdb: vec![
                quoted("url", influx.url()),
                quoted("org", influx.org()),
                quoted("token", influx.write_token()),
                quoted("bucket", &buckets.raw),
                quoted("rollup_1m", &buckets.minute),
                quoted("rollup_1h", &buckets.hour),
            ],
            kafka: Vec::new(),
            windows: Vec::new(),
            extra: String::new(),
            http_port: free_port(),
            instance_id: None,
        }
    }

    /// The same with an input that is not keyed by user.
    #[must_use]
    pub fn unkeyed(mut self) -> Self {
        self.keyed = false;
        self
    }

    /// The same with these `[[inputs]]`, as they are.
    #[must_use]
    pub fn inputs(mut self, toml: &str) -> Self {
        self.inputs = Some(toml.to_owned());
        self
    }

    /// The same with another value in `[influxdb]`; text needs its own quotes.
    #[must_use]
    pub fn influxdb(mut self, key: &str, value: &str) -> Self {
        set(&mut self.influxdb, key, value);
        self
    }

    /// The same with another value in `[kafka]`; text needs its own quotes.
    #[must_use]
    pub fn kafka(mut self, key: &str, value: &str) -> Self {
        set(&mut self.kafka, key, value);
        self
    }

    /// The same with another value in `[windows]`; text needs its own quotes.
    #[must_use]
    pub fn windows(mut self, key: &str, value: &str) -> Self {
        set(&mut self.windows, key, value);
        self
    }

    /// The same with further sections.
    #[must_use]
    pub fn extra(mut self, toml: &str) -> Self {
        self.extra.push_str(toml);
        self.extra.push('\n');
        self
    }

    /// A second instance of the same group: only its address differs.
    #[must_use]
    pub fn another_instance(&self) -> Self {
        Self { http_port: free_port(), ..self.clone() }
    }

    /// The file's text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Names { topic, group, partials, by_user, incidents } = &self.names;
        let instance =
            self.instance_id.as_ref().map(|id| format!("instance_id = {id:?}\n")).unwrap_or_default();
        let more: String = self.kafka.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let inputs = self.inputs.clone().unwrap_or_else(|| {
            format!("[[inputs]]\ntopic = {topic:?}\nformat = \"json\"\nkeyed = {}\n", self.keyed)
        });
        let mut toml = format!(
            "[kafka]\nbrokers = {:?}\ngroup_id = {group:?}\npartials_topic = {partials:?}\n\
             by_user_topic = {by_user:?}\nincidents_topic = {incidents:?}\n{instance}{more}\n\
             {inputs}\n[http]\nlisten = \"127.0.0.1:{}\"\n",
            self.brokers, self.http_port,
        );
        for (section, lines) in [("influxdb", &self.influxdb), ("windows", &self.windows)] {
            if !lines.is_empty() {
                toml += &format!("\n[{section}]\n");
                lines.iter().for_each(|(key, value)| toml += &format!("{key} = {value}\n"));
            }
        }
        toml + "\n" + &self.extra
    }
}

fn set(lines: &mut Vec<(String, String)>, key: &str, value: &str) {
    lines.retain(|(existing, _)| existing != key);
    lines.push((key.to_owned(), value.to_owned()));
}

/// A `processor` that runs, or has run.
#[derive(Debug)]
pub struct Processor {
    /// The process.
    pub process: Running,
    http: String,
    _dir: TempDir,
}

impl Processor {
    /// Starts `processor run` with these settings and further arguments; does not wait for anything.
    ///
    /// # Panics
    /// If the binary is missing.
    #[must_use]
    pub fn run(config: &ProcessorConfig, args: &[&str]) -> Self {
        Self::spawn("run", &config.to_toml(), config.http_port, args)
    }

    /// Starts `processor COMMAND --config FILE` with a settings file of this text.
    ///
    /// # Panics
    /// If the binary is missing.
    #[must_use]
    pub fn spawn(command: &str, toml: &str, http_port: u16, args: &[&str]) -> Self {
        Self::start(command, Some(toml), http_port, args)
    }

    /// Runs `processor COMMAND` without settings to its end, and gives its exit code and all that it printed.
    ///
    /// # Panics
    /// If the binary is missing, or has not ended after a minute.
    #[must_use]
    pub fn without_settings(command: &str, args: &[&str]) -> (i32, String) {
        let mut processor = Self::start(command, None, 0, args);
        let code = processor.process.wait(Duration::from_secs(60));
        (code, processor.process.log())
    }

    fn start(command: &str, toml: Option<&str>, http_port: u16, args: &[&str]) -> Self {
        let dir =
            tempfile::Builder::new().prefix("clickpulse-processor").tempdir().expect("a temporary folder");
        let mut process = Command::new(program("processor"));
        process.args(command.split(' ')).args(args).current_dir(dir.path());
        if let Some(toml) = toml {
            let file = dir.path().join("clickpulse.toml");
            fs::write(&file, toml).expect("a temporary file");
            process.arg("--config").arg(&file);
        }
        let process =
            Running::spawn(&format!("processor {command}"), process, &dir.path().join("processor.log"));
        Self { process, http: format!("http://127.0.0.1:{http_port}"), _dir: dir }
    }

    /// Reads to the end offsets, as `--until-end`, and gives what it printed.
    ///
    /// # Panics
    /// If it does not exit 0 within 3 minutes.
    pub fn run_until_end(config: &ProcessorConfig) -> String {
        let mut processor = Self::run(config, &["--until-end"]);
        let code = processor.process.wait(Duration::from_secs(180));
        let log = processor.process.log();
        assert_eq!(code, 0, "processor run --until-end succeeds; it said:\n{log}");
        log
    }

    /// Asks a page of it, by its path.
    ///
    /// # Errors
    /// Why nothing answered.
    pub fn get(&self, path: &str) -> Result<Reply, String> {
        get(&format!("{}{path}", self.http))
    }

    /// Waits until `/readyz` is 200.
    ///
    /// # Panics
    /// If that takes longer than [`eventually`] waits, or the processor ends.
    pub fn await_ready(&mut self) {
        self.await_readiness(200);
    }

    /// Waits until `/readyz` has this status, and gives its text.
    ///
    /// # Panics
    /// If that takes longer than [`eventually`] waits, or the processor ends.
    pub fn await_readiness(&mut self, status: u16) -> String {
        eventually(&format!("/readyz is {status}"), || {
            assert!(self.process.is_running(), "the processor runs; it said:\n{}", self.process.log());
            match self.get("/readyz")? {
                reply if reply.status == status => Ok(reply.body),
                reply => Err(format!("{} {}", reply.status, reply.body)),
            }
        })
    }

    /// Waits until it is not ready for a reason that names all of these, and gives the reason: others may come before.
    ///
    /// # Panics
    /// If that takes longer than [`eventually`] waits, or the processor ends.
    pub fn await_reason(&mut self, names: &[&str]) -> String {
        eventually(&format!("/readyz is 503 and names {names:?}"), || {
            assert!(self.process.is_running(), "the processor runs; it said:\n{}", self.process.log());
            let reply = self.get("/readyz")?;
            let named = reply.status == 503 && names.iter().all(|name| reply.body.contains(name));
            if named { Ok(reply.body) } else { Err(format!("{} {}", reply.status, reply.body)) }
        })
    }

    /// Waits until the status tells of a problem with this text among the last ones.
    ///
    /// # Panics
    /// If that takes longer than [`eventually`] waits.
    pub fn await_said(&self, text: &str) {
        eventually(&format!("the page says {text:?}"), || {
            let status = self.status()?;
            let mut errors = status["errors"].as_array().into_iter().flatten();
            let said = errors.any(|error| error["text"].as_str().is_some_and(|said| said.contains(text)));
            if said { Ok(()) } else { Err(status["errors"].to_string()) }
        });
    }

    /// The status document of `/api/v1/status`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn status(&self) -> Result<Value, String> {
        let reply = self.get("/api/v1/status")?;
        serde_json::from_str(&reply.body).map_err(|error| format!("{} {}: {error}", reply.status, reply.body))
    }

    /// Waits until `totals.consumed` of the status reaches `records`.
    ///
    /// # Panics
    /// If that takes longer than [`eventually`] waits.
    pub fn await_consumed(&self, records: u64) {
        eventually(&format!("{records} records are consumed"), || {
            let status = self.status()?;
            let consumed = status["totals"]["consumed"].as_u64().unwrap_or(0);
            if consumed >= records { Ok(()) } else { Err(format!("{consumed} consumed")) }
        });
    }

    /// `SIGTERM`, and its exit code.
    ///
    /// # Panics
    /// If it has not ended after a minute.
    pub fn terminate(&mut self) -> i32 {
        self.process.signal("TERM");
        self.process.wait(Duration::from_secs(60))
    }
}

/// A `producer` that runs, or has run.
#[derive(Debug)]
pub struct Producer {
    /// The process.
    pub process: Running,
    _dir: TempDir,
}

impl Producer {
    /// Starts `producer` with these arguments.
    ///
    /// # Panics
    /// If the binary is missing.
    #[must_use]
    pub fn spawn(args: &[&str]) -> Self {
        let dir =
            tempfile::Builder::new().prefix("clickpulse-producer").tempdir().expect("a temporary folder");
        let mut command = Command::new(program("producer"));
        command.args(args);
        Self { process: Running::spawn("producer", command, &dir.path().join("producer.log")), _dir: dir }
    }

    /// Starts `producer run` towards a topic, with further arguments as one would type them.
    ///
    /// # Panics
    /// If the binary is missing.
    #[must_use]
    pub fn spawn_to(kafka: &Kafka, names: &Names, more: &str) -> Self {
        let mut args = vec!["run", "--brokers", kafka.bootstrap(), "--topic", &names.topic];
        args.extend(more.split_whitespace());
        Self::spawn(&args)
    }

    /// The same to its end; gives what it printed.
    ///
    /// # Panics
    /// If it does not exit 0 within 3 minutes.
    pub fn run_to(kafka: &Kafka, names: &Names, more: &str) -> String {
        Self::spawn_to(kafka, names, more).until_end()
    }

    /// Announces an incident, with the arguments of `producer incident` as one would type them.
    ///
    /// # Panics
    /// If it does not exit 0 within 3 minutes.
    pub fn incident(kafka: &Kafka, what: &str) {
        let mut args = vec!["incident", "--brokers", kafka.bootstrap()];
        args.extend(what.split_whitespace());
        Self::spawn(&args).until_end();
    }

    /// Waits until it has sent everything.
    ///
    /// # Panics
    /// If it does not exit 0 within 3 minutes.
    pub fn finish(&mut self) {
        let code = self.process.wait(Duration::from_secs(180));
        assert_eq!(code, 0, "the producer succeeds; it said:\n{}", self.process.log());
    }

    /// Runs it to its end and gives what it printed.
    ///
    /// # Panics
    /// If it does not exit 0 within 3 minutes.
    pub fn run(args: &[&str]) -> String {
        Self::spawn(args).until_end()
    }

    fn until_end(mut self) -> String {
        self.finish();
        self.process.log()
    }
}
