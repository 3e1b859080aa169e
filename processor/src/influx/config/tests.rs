use super::*;

#[test]
fn each_resolution_has_its_bucket_and_precision() {
    let bucket = |resolution| {
        let Bucket { name, setting, precision } = config().bucket(resolution);
        (name, setting, precision)
    };
    let expected = ("clickstream/raw_10s".to_owned(), "influxdb.bucket", Precision::Millis);
    assert_eq!(bucket(Resolution::Raw), expected);
    let expected = ("clickstream/rollup_1m".to_owned(), "influxdb.rollup_1m", Precision::Seconds);
    assert_eq!(bucket(Resolution::Minute), expected);
    let expected = ("clickstream/rollup_1h".to_owned(), "influxdb.rollup_1h", Precision::Seconds);
    assert_eq!(bucket(Resolution::Hour), expected);
}

#[test]
fn the_token_is_not_printed() {
    let printed = format!("{:?}", config());
    assert!(printed.contains("token: \"***\""));
    assert!(!printed.contains("s3cret"));
}

#[test]
fn a_good_configuration_is_accepted() {
    assert_eq!(config().validate(), Ok(()));
    for url in ["http://127.0.0.1:8086", "https://influx.example/prefix/", "http://[::1]:8086"] {
        assert_eq!(InfluxConfig { url: url.to_owned(), ..config() }.validate(), Ok(()), "{url}");
    }
}

#[test]
fn addresses_that_cannot_work_are_refused_by_name() {
    for url in
        ["", "influx:8086", "ftp://influx", "http://user:pw@influx", "http://influx/?a=b", "http://a b"]
    {
        let error = InfluxConfig { url: url.to_owned(), ..config() }.validate().unwrap_err();
        assert_eq!(error.setting, "influxdb.url", "{url}");
    }
}

#[test]
fn empty_names_and_unsendable_tokens_are_refused_by_name() {
    let setting = |change: fn(&mut InfluxConfig)| {
        let mut config = config();
        change(&mut config);
        config.validate().unwrap_err().setting
    };
    assert_eq!(setting(|config| config.org.clear()), "influxdb.org");
    assert_eq!(setting(|config| config.token = " \n".to_owned()), "influxdb.token");
    assert_eq!(setting(|config| config.token = "a\nb".to_owned()), "influxdb.token");
    assert_eq!(setting(|config| config.bucket.clear()), "influxdb.bucket");
    assert_eq!(setting(|config| config.rollup_1m.clear()), "influxdb.rollup_1m");
    assert_eq!(setting(|config| config.rollup_1h.clear()), "influxdb.rollup_1h");
}

pub(in super::super) fn config() -> InfluxConfig {
    InfluxConfig {
        url: "http://influx:8086".to_owned(),
        org: "acme".to_owned(),
        token: "s3cret".to_owned(),
        bucket: "clickstream/raw_10s".to_owned(),
        rollup_1m: "clickstream/rollup_1m".to_owned(),
        rollup_1h: "clickstream/rollup_1h".to_owned(),
    }
}
