//! Records that are set aside.

use crate::support::{Case, Services, counts, records, tests};

tests!["aside": a_record_larger_than_its_dead_letter_topic_takes_is_set_aside_in_part];

fn a_record_larger_than_its_dead_letter_topic_takes_is_set_aside_in_part(services: &Services) {
    let case = Case::new(services, "03", 1);
    let records = records("03-larger-than-8MiB.records.jsonl");
    let large = records[1].value.as_ref().expect("it has a value");
    assert_eq!(large.len(), 9_000_000);
    case.send(&records);
    case.run();
    assert_eq!(case.by("http", "route", "requests"), counts([("/after", 1), ("/before", 1)]));
    let letters = case.letters();
    let [letter] = &letters[..] else { panic!("one letter: {}", letters.len()) };
    assert_eq!(letter.headers["reason"], "too_large");
    assert_eq!(letter.headers["size"], "9000000");
    assert!(letter.headers.contains_key("truncated"), "{:?}", letter.headers);
    assert_eq!((letter.headers["partition"].as_str(), letter.headers["offset"].as_str()), ("0", "1"));
    assert_eq!(letter.key.as_deref(), Some(b"u2".as_slice()));
    assert!(letter.value.len() > 1_000 && large.starts_with(&letter.value), "{} bytes", letter.value.len());
}
