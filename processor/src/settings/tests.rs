//! What is typed wrong, and what it is answered with.

use std::collections::BTreeMap;

use tempfile::NamedTempFile;

use super::*;

/// Loads a file's text and variables, nothing else.
pub(super) fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources = Sources {
        file: Some(file.path().into()),
        environment: Some(environment.collect()),
        flags: Vec::new(),
    };
    Settings::load(&sources)
}

/// The only problem, without the name of the temporary file.
pub(super) fn problem(toml: &str, variables: &[(&str, &str)]) -> String {
    match load(toml, variables) {
        Err(SettingsError::Invalid(problems)) if problems.len() == 1 => match &problems[0].origin {
            Origin::File(_) => format!("{} {} (in FILE)", problems[0].key, problems[0].text),
            _ => problems[0].to_string(),
        },
        other => panic!("expected one problem, got {other:#?}"),
    }
}

#[test]
fn nothing_at_all_reads_local_kafka() {
    let settings = load("", &[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.kafka.brokers, ["127.0.0.1:9092"]);
    assert_eq!(settings.inputs.len(), 1);
    assert_eq!(settings.inputs[0].topic, "clickstream_events");
    assert_eq!(settings.inputs[0].decoder.max_bytes, 1 << 20);
    assert_eq!(settings.windows.size, Duration::from_secs(10));
    assert_eq!(settings.windows.allowed_lateness, Duration::from_secs(60));
    assert_eq!(settings.memory.budget, 1_000_000_000);
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8088");
    assert_eq!((settings.influxdb, settings.files), (None, None));
}

#[test]
fn unknown_keys_name_the_nearest_and_where_they_were_said() {
    let said = |toml| problem(toml, &[]);
    assert_eq!(
        said("[windows]\nsice = '1s'"),
        "windows.sice is not a known key; did you mean windows.size? (in FILE)"
    );
    assert_eq!(
        said("[window]\nsize = '1s'"),
        "window is not a known section; did you mean [windows]? (in FILE)"
    );
    assert_eq!(said("[window]"), "window is not a known section; did you mean [windows]? (in FILE)");
    assert_eq!(said("worker = 2"), "worker is not a known key; did you mean workers? (in FILE)");
    assert_eq!(
        said("[kafka]\nbroker = 'a:1'"),
        "kafka.broker is not a known key; did you mean kafka.brokers? (in FILE)"
    );
    assert_eq!(said("brokers = 'a:1'"), "brokers is not a known key; did you mean kafka.brokers? (in FILE)");
    assert_eq!(
        said("[[inputs]]\ntopic = 'a'\n[[inputs]]\ntopic = 'b'\nevent-type = 'search'"),
        "inputs[1].event-type is not a known key; did you mean inputs[].event_type? (in FILE)"
    );
    assert_eq!(
        said("[windows.size]\nseconds = 1"),
        "windows.size has to be a duration in quotes such as \"10s\", but is a section (in FILE)"
    );
}

#[test]
fn unknown_variables_are_named_as_they_were_written() {
    assert_eq!(
        problem("", &[("CLICKPULSE__WINDOWS__SICE", "1s")]),
        "windows.sice is not a known key; did you mean windows.size? (from CLICKPULSE__WINDOWS__SICE)"
    );
    assert_eq!(
        problem("", &[("CLICKPULSE__WINDOW__SIZE", "1s")]),
        "window is not a known section; did you mean [windows]? (from CLICKPULSE__WINDOW__SIZE)"
    );
    assert_eq!(
        problem("", &[("CLICKPULSE__KAFKA", "a:1")]).split("; ").next(),
        Some("kafka is a section, not a value")
    );
    assert_eq!(load("", &[("CLICKPULSE_VERSION", "1"), ("HOME", "/")]).unwrap(), Settings::default());
}

#[test]
fn values_out_of_range_name_the_range() {
    let said = |toml| problem(toml, &[]);
    assert_eq!(
        said("[windows]\nsize = '500ms'"),
        "windows.size = \"500ms\" is out of range; allowed is 1s to 1m (in FILE)"
    );
    assert_eq!(
        said("[windows]\nsize = '7s'"),
        "windows.size = \"7s\" does not divide one minute; the nearest that do are 6s and 10s (in FILE)"
    );
    assert_eq!(
        said("[windows]\nallowed_lateness = '2d'"),
        "windows.allowed_lateness = \"2d\" is out of range; allowed is 0s to 1d (in FILE)"
    );
    assert_eq!(said("[routes]\nmax = 0"), "routes.max = 0 is out of range; allowed is 1 to 10000 (in FILE)");
    assert_eq!(said("workers = 0"), "workers = 0 is out of range; allowed is 1 to 64 (in FILE)");
    assert_eq!(
        said("[memory]\nbudget = '1MB'"),
        "memory.budget = \"1MB\" is out of range; allowed is 64MB to 1000GB (in FILE)"
    );
    assert_eq!(
        problem("", &[("CLICKPULSE__WINDOWS__EMIT_EVERY", "0s")]),
        "windows.emit_every = \"0s\" is out of range; allowed is 100ms to 1m (from CLICKPULSE__WINDOWS__EMIT_EVERY)"
    );
}

#[test]
fn the_guard_against_wrong_clocks_can_be_turned_off() {
    let skew = |toml: &str, variables: &[(&str, &str)]| {
        let settings = load(toml, variables).unwrap();
        let options = settings.options();
        assert_eq!(options.max_future_skew, settings.windows.max_future_skew.map(|of| of.as_micros() as i64));
        options.max_future_skew
    };
    let variable = "CLICKPULSE__WINDOWS__MAX_FUTURE_SKEW";
    assert_eq!(skew("", &[]), Some(60_000_000));
    assert_eq!(skew("[windows]\nmax_future_skew = '0s'", &[]), Some(0), "which is not off");
    assert_eq!(skew("[windows]\nmax_future_skew = 'off'", &[]), None);
    assert_eq!(skew("", &[(variable, " off ")]), None);
    assert_eq!(skew("[windows]\nmax_future_skew = 'off'", &[(variable, "2m")]), Some(120_000_000));
    let said = |value| problem(&format!("[windows]\nmax_future_skew = {value}"), &[]);
    assert!(
        said("'of'").contains("is not a duration") && said("'of'").contains("or \"off\""),
        "{}",
        said("'of'")
    );
    assert!(said("false").contains("has to be a duration in quotes such as \"10s\", or \"off\""));
    assert!(said("'2d'").contains("is out of range; allowed is 0s to 1d"));
    // Of the others none can be.
    assert!(problem("[windows]\nidle_after = 'off'", &[]).contains("= \"off\" is not a duration"));
}

#[test]
fn values_of_the_wrong_type_say_what_is_expected() {
    let said = |toml| problem(toml, &[]);
    assert!(
        said("[windows]\nsize = 10").contains("windows.size = 10 has no unit; write \"10s\" for seconds")
    );
    assert!(
        said("[windows]\nsize = 1.5")
            .contains("has to be a duration in quotes such as \"10s\", but is a number with")
    );
    assert!(said("[windows]\nsize = 'ten'").contains("windows.size = \"ten\" is not a duration"));
    assert!(said("[routes]\nmax = '500'").contains("has to be a whole number without quotes, but is a text"));
    assert!(
        said("[routes]\ntemplate = 'yes'").contains("has to be true or false without quotes, but is a text")
    );
    assert!(said("[kafka]\ngroup_id = 7").contains("has to be a text in quotes, but is a number"));
    assert!(said("[kafka]\nbrokers = 7").contains("has to be a list of texts, but holds a number"));
    assert!(
        said("[kafka]\nproperties = 'a=b'")
            .contains("has to be a section of names and values, but is a text")
    );
    assert!(said("[inputs]\ntopic = 'a'").contains("write [[inputs]], with two brackets"));
    assert!(
        said("windows = 'ten'")
            .contains("windows is a section, not a value; its keys are size, allowed_lateness")
    );
    let variable = |name, value| problem("", &[(name, value)]);
    assert!(
        variable("CLICKPULSE__ROUTES__MAX", "many").contains("routes.max = \"many\" is not a whole number")
    );
    assert!(variable("CLICKPULSE__ROUTES__TEMPLATE", "yes").contains("= \"yes\" is neither true nor false"));
}

#[test]
fn values_that_make_no_sense_say_what_would() {
    let said = |toml| problem(toml, &[]);
    assert!(said("[kafka]\nbrokers = []").contains("kafka.brokers is empty; name at least one broker"));
    assert!(said("[kafka]\nbrokers = 'kafka'").contains("holds \"kafka\", which is not host:port"));
    assert!(said("[kafka]\nbrokers = ['a:1', 'b:0']").contains("holds \"b:0\""));
    assert!(said("[kafka]\ngroup_id = ''").contains("kafka.group_id is empty; leave it out"));
    assert!(said("[[inputs]]\ntopic = 'a b'").contains("= \"a b\" is not a topic name"));
    assert!(said("inputs = []").contains("inputs is empty"));
    assert!(
        said("[[inputs]]\ntopic='a'\n[[inputs]]\ntopic='a'")
            .starts_with("inputs[1].topic = \"a\" is configured twice")
    );
    assert!(
        said("[[inputs]]\ntopic='a'\n[[inputs]]\nformat='json'").starts_with("inputs[1].topic is missing")
    );
    assert!(said("[[inputs]]\nevent_type='clik'").contains("is not one of page_view, search"));
    assert!(
        said("[[inputs]]\nfields = {u = 'user'}")
            .contains("inputs[0].fields.u = \"user\" is not a field of ours; did you mean \"user_id\"?")
    );
    assert!(said("[http]\nlisten = 'localhost'").contains("write an IP address and a port"));
    assert!(said("[log]\nformat = 'xml'").contains("= \"xml\" is not one of text, json"));
    assert!(said("[log]\nlevel = 'a=loud'").contains("log.level = \"a=loud\" is not a filter"));
}

#[test]
fn what_a_later_version_brings_is_refused_and_not_ignored() {
    let said = |toml| problem(toml, &[]);
    assert!(
        said("[[inputs]]\nformat = 'avro'").starts_with("inputs[0].format = \"avro\" is not in this version")
    );
    assert!(said("[[inputs]]\ntopic = 'clickpulse.by-user'").contains("which the processor writes"));
    assert!(said("[postgres]\nurl = 'x'").starts_with("postgres is not in this version"));
    assert!(said("[registry]").starts_with("registry is not in this version"));
    assert!(
        problem("", &[("CLICKPULSE__POSTGRES__URL", "x")]).starts_with("postgres is not in this version")
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error =
        load("[windows]\nsize = '7s'\nfoo = 1", &[("CLICKPULSE__ROUTES__MAX", "0")]).unwrap_err().to_string();
    assert!(error.starts_with("3 problems in the settings\n  - "), "{error}");
    for part in ["windows.foo", "windows.size", "CLICKPULSE__ROUTES__MAX"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn files_that_cannot_be_read_or_parsed_are_named() {
    let load =
        |path: &str| Settings::load(&Sources { file: Some(path.into()), ..Sources::default() }).unwrap_err();
    assert_eq!(load("/none/such.toml").to_string(), "cannot read the settings file /none/such.toml");
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[windows]\nsize = 10s\n").unwrap();
    let path = file.path().to_str().unwrap();
    let error = load(path);
    let text = crate::exit::Chain(&error).to_string();
    assert!(text.contains("line 2") && text.contains(path.rsplit('/').next().unwrap()), "{text}");
}

#[test]
fn later_layers_win() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[windows]\nsize = '20s'\nemit_every = '2s'\n[log]\nlevel = 'warn'\nformat = 'json'",
    )
    .unwrap();
    let variables = [("CLICKPULSE__WINDOWS__SIZE", "30s"), ("CLICKPULSE__LOG__LEVEL", "error")];
    let settings = Settings::load(&Sources {
        file: Some(file.path().into()),
        environment: Some(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        flags: vec![("log.level", "debug".into())],
    })
    .unwrap();
    assert_eq!(settings.windows.size, Duration::from_secs(30), "the variable over the file");
    assert_eq!(settings.windows.emit_every, Duration::from_secs(2), "the file over the default");
    assert_eq!(settings.windows.idle_after, Duration::from_secs(10), "the default");
    assert_eq!(
        settings.log,
        LogSettings { format: LogFormat::Json, level: "debug".into() },
        "the flag over all"
    );
}

#[test]
fn variables_reach_lists_free_sections_and_list_entries() {
    let settings = load(
        "[[inputs]]\ntopic = 'views'\n[[inputs]]\ntopic = 'checkouts'\nevent_type = 'checkout'",
        &[
            ("CLICKPULSE__KAFKA__BROKERS", "a:1, b:2"),
            ("CLICKPULSE__KAFKA__PROPERTIES__SECURITY__PROTOCOL", "SSL"),
            ("CLICKPULSE__INPUTS__1__TOPIC", "orders"),
            ("CLICKPULSE__HTTP__LISTEN", "0.0.0.0:80"),
            ("CLICKPULSE__WORKERS", "3"),
        ],
    )
    .unwrap();
    assert_eq!(settings.kafka.brokers, ["a:1", "b:2"]);
    assert_eq!(settings.kafka.properties["security.protocol"], "SSL");
    assert_eq!(
        settings.inputs.iter().map(|input| input.topic.as_str()).collect::<Vec<_>>(),
        ["views", "orders"]
    );
    assert_eq!(settings.inputs[1].decoder.default_type, events::EventType::Checkout);
    assert_eq!(settings.http.listen.port(), 80);
    assert_eq!(settings.workers.get(), 3);
}

#[test]
fn a_number_far_beyond_the_inputs_does_not_make_a_list_of_it() {
    let said = problem("", &[("CLICKPULSE__INPUTS__4000000000__TOPIC", "a")]);
    assert!(said.starts_with("inputs is a list of sections"), "{said}");
    let said = problem("", &[("CLICKPULSE__INPUTS__1__TOPIC", "a")]);
    assert!(said.starts_with("inputs[0].topic is missing"), "{said}");
}

#[test]
fn kafka_properties_keep_their_dots_and_are_checked_by_librdkafka() {
    let toml =
        "[kafka.properties]\n'session.timeout.ms' = 30000\nsocket.nagle.disable = true\n'linger.ms' = '7'";
    let properties = load(toml, &[]).unwrap().kafka.properties;
    assert_eq!(properties["session.timeout.ms"], "30000");
    assert_eq!(properties["socket.nagle.disable"], "true");
    assert_eq!(properties["linger.ms"], "7");
    let said = |line: &str| problem(&format!("[kafka.properties]\n{line}"), &[]);
    assert!(
        said("'group.id' = 'g'")
            .starts_with("kafka.properties.group.id cannot be set here: set kafka.group_id")
    );
    assert!(said("'fetch.wait.max.mss' = 1").contains("is not a property of librdkafka"));
    assert!(said("'session.timeout.ms' = 9000").contains("= 9000 is below 25000"));
    assert!(said("'session.timeout.ms' = 'long'").contains("is refused by librdkafka: Invalid value"));
}

#[test]
fn tokens_come_from_the_setting_or_a_file() {
    let token =
        |toml: &str, variables: &[(&str, &str)]| load(toml, variables).unwrap().influxdb.unwrap().token;
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from-file\n").unwrap();
    let in_file = format!("[influxdb]\ntoken_file = {:?}", file.path());
    assert_eq!(token("[influxdb]\ntoken = 'direct'", &[]).expose(), "direct");
    assert_eq!(token(&in_file, &[]).expose(), "from-file");
    assert_eq!(
        token(&in_file, &[("CLICKPULSE__INFLUXDB__TOKEN", "123")]).expose(),
        "123",
        "the higher layer wins"
    );
    assert_eq!(
        load("", &[("CLICKPULSE__INFLUXDB__TOKEN", "t")]).unwrap().influxdb.unwrap().url,
        "http://127.0.0.1:8086"
    );

    let said = |toml: &str| problem(toml, &[]);
    assert!(said(&format!("{in_file}\ntoken = 't'")).contains("are both set"));
    assert!(said("[influxdb]").starts_with("influxdb.token is missing"));
    assert!(
        said("[influxdb]\ntoken_file = '/none/such'")
            .contains("influxdb.token_file = \"/none/such\" cannot be read")
    );
    std::fs::write(file.path(), "\n").unwrap();
    assert!(said(&in_file).contains("is an empty file"));
}

#[test]
fn addresses_of_influxdb_are_checked_without_showing_a_password() {
    let said = |url: &str| problem(&format!("[influxdb]\ntoken = 't'\nurl = '{url}'"), &[]);
    assert!(said("localhost:8086").contains("influxdb.url"));
    assert!(said("ftp://x").contains("influxdb.url"));
    let with_password = said("http://admin:hunter2@influx:8086");
    assert!(!with_password.contains("hunter2"), "{with_password}");
}

#[test]
fn secrets_are_in_no_output() {
    let toml = "[influxdb]\ntoken = 'hunter2'\n[kafka.properties]\n'security.protocol' = 'SASL_SSL'\n\
                'sasl.mechanism' = 'PLAIN'\n'sasl.password' = 'hunter2'\n'sasl.username' = 'hunter2'";
    let settings = load(toml, &[]).unwrap();
    let shown = format!("{settings:?} {settings:#?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("***") && shown.contains("sasl.password"));

    // Nor in what is said about settings that are wrong.
    for toml in [
        "[influxdb]\ntoken = ['hunter2']",
        "[influxdb]\ntoken = 'hunter2'\ntoken_file = '/none'",
        "[influxdb]\ntokn = 'hunter2'\ntoken='t'",
        "[kafka.properties]\n'sasl.password' = 'hunter2'",
        "[kafka.properties]\n'security.protocol' = 'SASL_SSL'\n'sasl.username' = 'hunter2'\n'sasl.password' = 'hunter2'",
    ] {
        let error = load(toml, &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn event_types_of_inputs_are_those_of_the_contract() {
    for kind in events::EventType::ALL.into_iter().filter(|kind| *kind != events::EventType::Other) {
        let settings = load(&format!("[[inputs]]\nevent_type = '{}'", kind.name()), &[]).unwrap();
        assert_eq!(settings.inputs[0].decoder.default_type, kind);
    }
}

#[test]
fn every_key_of_the_table_is_read() {
    let variables = BTreeMap::from([
        ("CLICKPULSE__INFLUXDB__TOKEN".to_owned(), "t".to_owned()),
        ("CLICKPULSE__FILES__DIR".to_owned(), "d".to_owned()),
        ("CLICKPULSE__STATE__URL".to_owned(), "d".to_owned()),
    ]);
    let layers = Layers::read(&Sources { environment: Some(variables), ..Sources::default() }).unwrap();
    let mut reader = Reader::new(&layers);
    let _ = Settings::read(&mut reader);
    let table: Vec<&str> = keys::KEYS.iter().map(|key| key.path).collect();
    let unread: Vec<&&str> = table.iter().filter(|path| !reader.read.contains(**path)).collect();
    assert_eq!(unread, [&""; 0], "in the table, but nothing reads them");
}

/// A file that is there as long as this is.
fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("a temporary file");
    file
}

const SCRAM: &str = "[kafka.properties]\n'security.protocol' = 'SASL_PLAINTEXT'\n'sasl.mechanism' = 'SCRAM-SHA-512'\n\
                     'sasl.username' = 'shop'\n";

#[test]
fn sasl_without_tls_is_taken_and_what_this_build_cannot_do_is_named_with_the_cure() {
    assert!(load(&format!("{SCRAM}'sasl.password' = 'invented'"), &[]).is_ok());
    let bearer = SCRAM.replace("SCRAM-SHA-512", "OAUTHBEARER");
    let said = problem(&format!("{bearer}'sasl.password' = 'invented'"), &[]);
    assert!(said.contains("kafka.properties.sasl.mechanism = \"OAUTHBEARER\""), "{said}");
    assert!(
        said.contains("not in this build") && said.contains("SCRAM-SHA-256") && !said.contains("invented")
    );
    let plain = SCRAM.replace("SASL_PLAINTEXT", "SASL_SSL").replace("SCRAM-SHA-512", "PLAIN");
    assert!(load(&format!("{plain}'sasl.password' = 'invented'"), &[]).is_ok());
    let said = problem("[kafka]\nbrokers = ['SASL_SSL://kafka:9093']", &[]);
    assert!(
        said.contains("\"kafka:9093\"") && said.contains("\"security.protocol\" = \"SASL_SSL\""),
        "{said}"
    );
}

#[test]
fn the_password_of_sasl_may_be_in_a_file() {
    let with = |file: &tempfile::NamedTempFile, more: &str| {
        let path = file.path().display();
        format!("[kafka]\nsasl_password_file = '{path}'\n{SCRAM}{more}")
    };
    let good = file(b"\r\n hunter2 \r\n");
    let settings = load(&with(&good, ""), &[]).unwrap();
    assert_eq!(settings.kafka.properties["sasl.password"], " hunter2 ");
    assert!(!format!("{settings:?}").contains("hunter2"));

    let marked = file(b"\xef\xbb\xbfhunter2");
    let said = problem(&with(&marked, ""), &[]);
    assert!(said.contains("kafka.sasl_password_file = ") && said.contains("byte order mark"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");

    let both = problem(&with(&good, "'sasl.password' = 'another'"), &[]);
    assert!(both.contains("are both set"), "{both}");
    // A variable goes before the file of settings, whichever of the two it is.
    let variable = ("CLICKPULSE__KAFKA__PROPERTIES__SASL__PASSWORD", "of-the-variable");
    assert_eq!(load(&with(&good, ""), &[variable]).unwrap().kafka.properties["sasl.password"], variable.1);
    let path = good.path().display().to_string();
    let in_file = format!("{SCRAM}'sasl.password' = 'of-the-settings'");
    let settings = load(&in_file, &[("CLICKPULSE__KAFKA__SASL_PASSWORD_FILE", &path)]).unwrap();
    assert_eq!(settings.kafka.properties["sasl.password"], " hunter2 ");
}

#[test]
fn a_token_is_what_its_file_holds_without_what_an_editor_left_around_it() {
    let with =
        |file: &tempfile::NamedTempFile| format!("[influxdb]\ntoken_file = '{}'", file.path().display());
    for bytes in [&b"invented==\n"[..], b"invented==\r\n", b"\n\n  invented==\n\n"] {
        let file = file(bytes);
        assert_eq!(load(&with(&file), &[]).unwrap().influxdb.unwrap().token.expose(), "invented==");
    }
    for (bytes, named) in [
        (&b"\xef\xbb\xbfinvented==\n"[..], "byte order mark"),
        (b"\xff\xfei\0n\0", "UTF-16"),
        (b"\"invented==\"\n", "quotes"),
        (b"Token invented==\n", "sent before a token anyway"),
        (b"bearer invented==", "sent before a token anyway"),
        (b"influxdb_token: invented==", "blank"),
        (b"invented==\ninvented", "more than one line"),
        ("inv\u{e9}nted==".as_bytes(), "no token has"),
        (b"\n", "empty"),
    ] {
        let file = file(bytes);
        let said = problem(&with(&file), &[]);
        assert!(said.starts_with("influxdb.token_file = ") && said.contains(named), "{said}");
        assert!(!said.contains("invented"), "{said}");
    }
    // The same where it stands in the settings: an env file of Docker keeps the quotes.
    let said = problem("[influxdb]", &[("CLICKPULSE__INFLUXDB__TOKEN", "\"invented==\"")]);
    assert!(said.contains("influxdb.token is in quotes") && !said.contains("invented"), "{said}");
    let key = file(b"\xef\xbb\xbfinvented");
    let said = problem(
        &format!(
            "[state]\nurl = 's3://bucket'\naccess_key_id = 'a'\nsecret_access_key_file = '{}'",
            key.path().display()
        ),
        &[],
    );
    assert!(said.contains("state.secret_access_key_file") && said.contains("byte order mark"), "{said}");
}

#[test]
fn an_input_whose_side_topics_would_have_too_long_names_is_refused() {
    let with = |length: usize| format!("[[inputs]]\ntopic = '{}'", "t".repeat(length));
    assert!(load(&with(244), &[]).is_ok());
    for length in [245, 249] {
        let said = problem(&with(length), &[]);
        assert!(said.contains(&format!("has {length} characters")) && said.contains("\".late\""), "{said}");
        assert!(said.contains("at most 244"), "{said}");
    }
    assert!(problem(&with(250), &[]).contains("is not a topic name"));
}

#[test]
fn every_preset_can_be_named_and_what_is_set_beside_it_wins() {
    for preset in events::Preset::ALL {
        let settings = load(&format!("[[inputs]]\npreset = '{}'", preset.name), &[]).unwrap();
        let decoder = &settings.inputs[0].decoder;
        assert_eq!(*decoder, events::DecoderOptions { max_bytes: 1 << 20, ..preset.options().unwrap() });
    }
    let text = r#"
        [[inputs]]
        preset = "segment"
        format = "json"
        event_type = "search"
        fields = { "properties.path" = "url", "userId" = "click_id", user_id = ["member", "anonymousId"] }
        event_types = { "Order Completed" = "checkout", "Mine" = "refund", "Beat" = "other" }
        ignore = ["properties.url"]
        time = { format = "unix_ms" }
    "#;
    let decoder = &load(text, &[]).unwrap().inputs[0].decoder;
    let fields: Vec<(&str, &str)> =
        decoder.mapping.fields.iter().map(|(theirs, ours)| (theirs.as_str(), ours.as_str())).collect();
    let own = [
        ("properties.path", "url"),
        ("userId", "click_id"),
        ("member", "user_id"),
        ("anonymousId", "user_id"),
    ];
    assert_eq!(fields[..4], own, "in the order written");
    assert!(
        !fields[4..].iter().any(|(theirs, _)| ["userId", "anonymousId", "properties.url"].contains(theirs))
    );
    assert_eq!(decoder.mapping.event_types["Order Completed"], events::EventType::Checkout);
    assert_eq!(decoder.mapping.event_types["Mine"], events::EventType::Refund);
    assert_eq!(decoder.mapping.event_types["Beat"], events::EventType::Other);
    assert!(decoder.mapping.event_types.len() > 2 && decoder.default_type == events::EventType::Search);
    assert_eq!(decoder.mapping.time, Some(events::TimeFormat::new("unix_ms", None).unwrap()));
}

#[test]
fn a_mapping_that_cannot_be_followed_is_named() {
    for (text, said) in [
        ("fields = { visitors = ['a', 'b'] }", "inputs[0].fields.visitors is a list"),
        ("fields = { 'a..b' = 'url' }", "inputs[0].fields cannot be followed"),
        ("fields = { 'a' = 'url' }\nignore = ['a']", "inputs[0].ignore names \"a\""),
        ("event_types = { Buy = 'bought' }", "inputs[0].event_types.Buy = \"bought\" is not a type of ours"),
        ("time = { zone = 'Europe/Berlin' }", "inputs[0].time.zone = \"Europe/Berlin\" needs a format"),
        ("time = { format = 'unix_s', zon = 'UTC' }", "inputs[0].time.zon is not known here"),
        ("time = { format = '%d/%m/%Y', zone = 'Europe/Belin' }", "Europe/Berlin"),
        ("preset = 'sement'", "inputs[0].preset = \"sement\" is not one of"),
    ] {
        let error = load(&format!("[[inputs]]\n{text}"), &[]).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}
