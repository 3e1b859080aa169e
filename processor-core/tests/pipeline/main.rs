//! Tasks and merges together, against a batch model that shares nothing with them but the event decoder.

mod model;
mod random;
mod snapshots;
mod two_inputs;
mod world;

use std::collections::BTreeMap;

use processor_core::FieldValue;
use random::Random;
use world::{Faults, World};

/// What identifies a point: resolution, measurement, tags, window start in seconds.
type Key = (u8, &'static str, Vec<String>, i64);
type Numbers = BTreeMap<Key, BTreeMap<&'static str, FieldValue>>;

/// The seeds to run: `CLICKPULSE_SEEDS=10000` runs so many, `CLICKPULSE_SEED=17` just that one.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("CLICKPULSE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CLICKPULSE_SEEDS").unwrap_or(60),
    }
}

fn check(seed: u64, faults: Faults) {
    let mut random = Random::new(seed);
    let logs = random::logs(&mut random);
    let expected = model::expected(&logs);
    let mut world = World::new(&logs, random);
    world.run(faults);
    let got = world.numbers();
    for (key, fields) in &expected.numbers {
        assert_eq!(got.get(key), Some(fields), "seed {seed}: {key:?}");
    }
    for (key, fields) in &got {
        assert!(expected.numbers.contains_key(key), "seed {seed}: {key:?} should not be there: {fields:?}");
    }
    assert_eq!(world.dead_letters(), expected.dead_letters, "seed {seed}: dead letters");
    assert_eq!(world.late(), expected.late, "seed {seed}: late records");
    if faults == Faults::None {
        let totals = world.totals();
        assert_eq!(
            totals.consumed,
            totals.counted + totals.duplicates + totals.late + totals.rejected,
            "seed {seed}: conservation"
        );
        assert_eq!(totals.duplicates, expected.duplicates, "seed {seed}: duplicates");
    }
}

#[test]
fn any_arrival_order_and_split_gives_what_a_batch_computes() {
    seeds().for_each(|seed| check(seed, Faults::None));
}

#[test]
fn crashes_at_any_moment_change_no_number() {
    seeds().for_each(|seed| check(seed, Faults::Crashes));
}
