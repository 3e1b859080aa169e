//! Every preset's sample becomes what stands beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use events::{Decoder, Event, FieldSet, Preset, preset};

#[test]
fn a_preset_is_found_by_its_name() {
    for expected in Preset::ALL {
        assert_eq!(preset(expected.name), Some(expected));
    }
    assert_eq!(preset(""), None);
}

#[test]
fn every_preset_reads_its_sample() {
    for preset in Preset::ALL {
        let folder = folder(preset.name);
        let sample = fs::read_to_string(folder.join("sample.ndjson")).unwrap();
        let mut decoder = Decoder::new(&preset.options().unwrap()).unwrap();
        let mut found = String::new();
        for line in sample.lines() {
            // Twice, so that the decoder has learned the layout; both paths have to agree.
            let slow = shown(decoder.decode_slowly(Some(line.as_bytes())));
            assert_eq!(shown(decoder.explain(Some(line.as_bytes())).outcome), slow, "{line}");
            for _ in 0..2 {
                assert_eq!(shown(decoder.decode(Some(line.as_bytes()))), slow, "{line}");
            }
            writeln!(found, "{slow}").unwrap();
        }
        let expected = folder.join("expected.txt");
        // As snapshots are made anew: PRESETS=write cargo test -p events --test presets, then read the difference.
        if env::var_os("PRESETS").is_some_and(|value| value == "write") {
            fs::write(&expected, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap();
        assert!((8..=20).contains(&expected.lines().count()), "{}", preset.name);
        assert_eq!(found, expected, "{}", preset.name);
    }
}

#[test]
fn every_preset_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/presets.md")).unwrap();
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let names: Vec<String> = Preset::ALL.iter().map(|preset| format!("`{}`", preset.name)).collect();
    assert_eq!(headings, names);
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("presets").join(name)
}

fn shown(decoded: Result<Event<'_>, events::Rejection>) -> String {
    let event = match decoded {
        Ok(event) => event,
        Err(rejection) => return format!("refused {rejection}"),
    };
    let mut text = format!("{} at {}", event.kind.name(), event.time.micros());
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, " {name}={value}").unwrap();
        }
    };
    let owned = |value: Option<&str>| value.map(str::to_owned);
    say("user", owned(event.user_id));
    say("id", owned(event.event_id));
    say("method", owned(event.method));
    say("url", owned(event.url));
    say("status", event.http_status.map(|status| status.to_string()));
    say("latency_ms", event.latency_ms.map(|latency| latency.to_string()));
    say("product", owned(event.product_id));
    say("checkout", owned(event.checkout_id));
    say("cents", event.amount_cents.map(|cents| cents.to_string()));
    say("currency", owned(event.currency));
    say("campaign", owned(event.campaign_id));
    say("query", owned(event.query));
    say("quantity", event.quantity.map(|quantity| quantity.to_string()));
    say("price", event.price_cents.map(|cents| cents.to_string()));
    say("category", owned(event.category));
    say("source", owned(event.source));
    say("referrer", owned(event.referrer));
    say("device", owned(event.device));
    say("browser", owned(event.browser));
    say("country", owned(event.country));
    say("agent", event.user_agent.map(|agent| agent.split(' ').next().unwrap_or_default().to_owned()));
    let names = |set: FieldSet| set.iter().map(|field| field.name().to_owned()).collect::<Vec<_>>().join(",");
    say("incomplete", Some(names(event.notes.incomplete)).filter(|names| !names.is_empty()));
    say("unusable", Some(names(event.notes.unusable)).filter(|names| !names.is_empty()));
    text
}
