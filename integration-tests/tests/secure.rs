//! Kafka behind TLS and SASL: every way that managed services offer, and what goes wrong with it.

use std::time::Duration;

use integration_tests::{
    Authority, Influx, Names, Processor, ProcessorConfig, Producer, SecureKafka, USER, Verdict, eventually,
};

/// How a client comes to a listener.
#[derive(Clone)]
struct Way {
    name: &'static str,
    brokers: String,
    properties: Vec<(&'static str, String)>,
    password_file: Option<String>,
    key_password_file: Option<String>,
}

impl Way {
    fn scram(kafka: &SecureKafka, mechanism: &'static str) -> Self {
        let properties = vec![
            ("security.protocol", "SASL_SSL".to_owned()),
            ("sasl.mechanism", mechanism.to_owned()),
            ("sasl.username", USER.to_owned()),
            ("ssl.ca.location", kafka.authority.ca()),
        ];
        let password_file = kafka.authority.file("password", &format!("{}\n", kafka.password));
        Self {
            name: mechanism,
            brokers: kafka.sasl_ssl.clone(),
            properties,
            password_file: Some(password_file),
            key_password_file: None,
        }
    }

    fn without_tls(kafka: &SecureKafka) -> Self {
        let properties = vec![
            ("security.protocol", "SASL_PLAINTEXT".to_owned()),
            ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
            ("sasl.username", USER.to_owned()),
            ("sasl.password", kafka.password.clone()),
        ];
        Self {
            name: "without-tls",
            brokers: kafka.sasl_plaintext.clone(),
            properties,
            password_file: None,
            key_password_file: None,
        }
    }

    fn certificate(kafka: &SecureKafka, key: String) -> Self {
        let properties = vec![
            ("security.protocol", "SSL".to_owned()),
            ("ssl.ca.location", kafka.authority.ca()),
            ("ssl.certificate.location", kafka.authority.client_certificate()),
            ("ssl.key.location", key),
        ];
        Self {
            name: "certificate",
            brokers: kafka.mutual.clone(),
            properties,
            password_file: None,
            key_password_file: None,
        }
    }

    fn with(mut self, property: &'static str, value: &str) -> Self {
        self.properties.retain(|(name, _)| *name != property);
        self.properties.push((property, value.to_owned()));
        self
    }

    fn without(mut self, property: &str) -> Self {
        self.properties.retain(|(name, _)| *name != property);
        self
    }

    fn config(&self, kafka: &SecureKafka, influx: &Influx, names: &Names) -> ProcessorConfig {
        let mut config = ProcessorConfig::new(&kafka.kafka, influx, names);
        config.brokers.clone_from(&self.brokers);
        for (setting, file) in
            [("sasl_password_file", &self.password_file), ("ssl_key_password_file", &self.key_password_file)]
        {
            if let Some(file) = file {
                config = config.kafka(setting, &format!("{file:?}"));
            }
        }
        let lines: String =
            self.properties.iter().map(|(name, value)| format!("{name:?} = {value:?}\n")).collect();
        config.extra(&format!("[kafka.properties]\n{lines}"))
    }

    fn produce(&self, names: &Names, more: &str) -> Producer {
        let mut args = vec!["run".to_owned(), "--brokers".to_owned(), self.brokers.clone()];
        args.extend(["--topic".to_owned(), names.topic.clone()]);
        args.extend(more.split_whitespace().map(str::to_owned));
        for (name, value) in &self.properties {
            args.extend(["--property".to_owned(), format!("{name}={value}")]);
        }
        if let Some(file) = &self.password_file {
            args.extend(["--sasl-password-file".to_owned(), file.clone()]);
        }
        if let Some(file) = &self.key_password_file {
            let password = std::fs::read_to_string(file).expect("the test wrote it");
            args.extend(["--property".to_owned(), format!("ssl.key.password={}", password.trim())]);
        }
        Producer::spawn(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[test]
fn every_way_in_counts_what_was_sent_and_verifies() {
    let kafka = SecureKafka::start();
    let authority = &kafka.authority;
    let encrypted = Way {
        key_password_file: Some(authority.file("key-password", "of-the-key\n")),
        name: "encrypted-key",
        ..Way::certificate(&kafka, authority.encrypted_client_key())
    };
    for way in [
        Way::scram(&kafka, "SCRAM-SHA-512"),
        Way::scram(&kafka, "SCRAM-SHA-256"),
        Way::scram(&kafka, "PLAIN"),
        Way::without_tls(&kafka),
        Way::certificate(&kafka, authority.client_key()),
        encrypted,
    ] {
        let (influx, names) = (Influx::start(), Names::unique(way.name));
        way.produce(&names, "--partitions 2 --count 2000 --rate 200 --unpaced --invalid 0.01").finish();
        let config = way.config(&kafka, &influx, &names);
        let checked = end_of("check", &config);
        assert_eq!(checked.0, 0, "{}: {}", way.name, checked.1);
        assert!(checked.1.contains(&format!("{:?}: answers", way.brokers)), "{}", checked.1);

        let log = Processor::run_until_end(&config);
        assert!(log.contains("consumed=2000"), "{}: {log}", way.name);
        Verdict::of(&config, &influx, &["--open"]).assert_equal();
        let letters = end_of("dlq list", &config);
        assert!(letters.0 == 0 && letters.1.contains(&names.topic), "{}", letters.1);
        for said in [&log, &checked.1, &letters.1] {
            assert!(!said.contains(&kafka.password), "secrets are not logged: {said}");
        }
    }
}

#[test]
fn a_refused_connection_names_the_setting_to_change() {
    let kafka = SecureKafka::start();
    let stranger = Authority::new();
    let (influx, names) = (Influx::start(), Names::unique("refused"));
    let scram = Way::scram(&kafka, "SCRAM-SHA-512");
    let certificate = Way::certificate(&kafka, kafka.authority.client_key());
    let wrong = kafka.authority.file("wrong-password", "not-the-password\n");
    let port = |address: &str| address.rsplit_once(':').expect("host:port").1.to_owned();
    let plain = kafka.kafka.bootstrap().to_owned();
    for (what, way, named) in [
        ("password", Way { password_file: Some(wrong), ..scram.clone() }, "sasl.password"),
        ("user", scram.clone().with("sasl.username", "nobody"), "sasl.username"),
        ("authority", scram.clone().with("ssl.ca.location", &stranger.ca()), "ssl.ca.location"),
        ("system's authorities", scram.clone().without("ssl.ca.location"), "ssl.ca.location"),
        (
            "host name",
            Way { brokers: format!("localhost:{}", port(&scram.brokers)), ..scram.clone() },
            "host name",
        ),
        ("mechanism", Way::without_tls(&kafka).with("sasl.mechanism", "PLAIN"), "sasl.mechanism"),
        (
            "no certificate",
            certificate.clone().without("ssl.certificate.location").without("ssl.key.location"),
            "ssl.certificate.location",
        ),
        (
            "stranger's certificate",
            certificate
                .clone()
                .with("ssl.certificate.location", &stranger.client_certificate())
                .with("ssl.key.location", &stranger.client_key()),
            "ssl.certificate.location",
        ),
        ("port without TLS", Way { brokers: plain, ..certificate }, "security.protocol"),
        (
            "port with TLS",
            Way { brokers: scram.brokers.clone(), properties: Vec::new(), password_file: None, ..scram },
            "security.protocol",
        ),
    ] {
        let config = way.config(&kafka, &influx, &names);
        let (code, said) = end_of("check", &config);
        assert_eq!(code, 1, "{what}: {said}");
        let verdict = said.lines().find(|line| line.starts_with("FAIL  kafka.brokers")).unwrap_or(&said);
        assert!(verdict.contains(named) && verdict.contains("[kafka.properties]"), "{what}: {said}");
        assert!(!said.contains("not-the-password"), "{said}");

        let mut processor = Processor::run(&config, &[]);
        let reason = processor.await_reason(&[named]);
        assert!(!reason.contains("not-the-password"), "{reason}");
        eventually("the log names it", || {
            let log = processor.process.log();
            if log.contains(named) { Ok(()) } else { Err(log) }
        });
        assert_eq!(processor.terminate(), 0, "{what}");

        let producer = way.produce(&names, "--count 1");
        eventually(&format!("the producer names it ({what})"), || {
            let log = producer.process.log();
            if log.contains(named) { Ok(()) } else { Err(log) }
        });
    }
}

/// Runs a command of the processor to its end: its exit code and what it printed.
fn end_of(command: &str, config: &ProcessorConfig) -> (i32, String) {
    let mut processor = Processor::spawn(command, &config.to_toml(), config.http_port, &[]);
    let code = processor.process.wait(Duration::from_secs(60));
    (code, processor.process.log())
}
