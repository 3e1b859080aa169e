use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const S: i64 = 1_000_000;
const MANY: usize = usize::MAX;

fn always() -> i64 {
    i64::MIN
}

fn mixed(id: u64) -> u64 {
    id.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

#[test]
fn a_repeat_counts_within_the_window_only() {
    let mut dedup = Dedup::new(600 * S, MANY);
    let start = 1_755_720_654 * S;
    assert!(!dedup.is_repeat(mixed(9), start, always));
    assert!(dedup.is_repeat(mixed(9), start + 600 * S, always));
    assert!(dedup.is_repeat(mixed(9), start - 600 * S, always));
    assert!(!dedup.is_repeat(mixed(9), start + 601 * S, always));
    assert!(dedup.is_repeat(mixed(9), start + 601 * S, always));
}

#[test]
fn memory_is_bounded_by_the_ids_of_the_window() {
    let mut dedup = Dedup::new(60 * S, MANY);
    for i in 0..2_000_000 {
        let time = 1_700_000_000 * S + i * S / 1_000; // a thousand ids a second
        assert!(!dedup.is_repeat(mixed(i as u64), time, always), "{i}");
        if i % 1_000 == 0 {
            dedup.expire_before(time - 5 * S);
        }
    }
    assert!(dedup.len() < 80_000, "{} ids kept for 65,000 live ones", dedup.len());
    assert!(dedup.bytes() < 3_000_000, "{} bytes", dedup.bytes());
}

#[test]
fn a_gap_of_years_costs_nothing_and_repeats_are_still_found() {
    let mut dedup = Dedup::new(600 * S, MANY);
    let start = 1_755_720_654 * S;
    let later = start + 3 * 365 * 86_400 * S;
    assert!(!dedup.is_repeat(mixed(5), start, always));
    assert!(!dedup.is_repeat(mixed(5), later, always));
    assert!(dedup.is_repeat(mixed(5), later + S, always));
    assert!(dedup.generations.len() <= 2);
    dedup.expire_before(later);
    assert_eq!(dedup.len(), 1);
}

#[test]
fn the_oldest_quarter_makes_room_and_what_is_out_of_reach_goes_before() {
    let start = 1_755_720_600 * S;
    let mut dedup = Dedup::new(600 * S, 400);
    // All within a second: there is one span of time, and the oldest quarter still goes first.
    assert!((0..401).all(|id| !dedup.is_repeat(mixed(id), start, always)));
    assert_eq!((dedup.len(), dedup.forgotten()), (301, 100));
    assert!((100..401).all(|id| dedup.is_repeat(mixed(id), start, always)), "the later ones are kept");
    assert!((0..99).all(|id| !dedup.is_repeat(mixed(id), start, always)), "the first ones are forgotten");
    // Nothing is forgotten early where enough is out of reach.
    let later = start + 3_600 * S;
    assert_eq!(dedup.len(), 400);
    assert!(!dedup.is_repeat(mixed(1_000), later, || later));
    assert_eq!((dedup.len(), dedup.forgotten()), (1, 100));
}

#[test]
fn memory_is_bounded_by_the_ids_there_is_room_for() {
    let mut dedup = Dedup::new(600 * S, 50_000);
    for i in 0..1_000_000 {
        let time = 1_700_000_000 * S + i * S / 10_000 - i % 7 * S;
        dedup.is_repeat(mixed(i as u64), time, || time - 90 * S);
        assert!(dedup.len() <= 50_000 && dedup.generations.len() < 9, "{}", dedup.generations.len());
    }
    assert!(dedup.forgotten() > 900_000, "{}", dedup.forgotten());
    assert!(dedup.bytes() < 2_000_000, "{} bytes", dedup.bytes());
}

#[test]
fn ids_that_crowd_into_one_line_are_all_found_again() {
    let mut dedup = Dedup::new(600 * S, MANY);
    let start = 1_755_720_600 * S;
    // They differ in bits that choose neither the segment nor the line, and the first is all zeros.
    let ids = || (0..200_u64).map(|id| id & 1 | (id >> 1) << 42);
    assert!(ids().all(|id| !dedup.is_repeat(id, start, always)));
    assert!(ids().all(|id| dedup.is_repeat(id, start + 200 * S, always)));
    assert!(!dedup.is_repeat(1 << 9, start, always));
}

proptest! {
    #[test]
    fn answers_equal_a_plain_map(ids in prop::collection::vec((1u64..300, 0i64..4_000), 1..3_000)) {
        let mut dedup = Dedup::new(60 * S, MANY);
        let mut plain: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        let mut newest = 0;
        for (id, step) in ids {
            newest = newest.max(step);
            let second = 1_700_000_000 + newest - step.min(5);
            dedup.expire_before((1_700_000_000 + newest - 10) * S);
            let counted = plain.entry(id).or_default();
            let expected = counted.iter().any(|at| (second - at).abs() <= 60);
            if !expected {
                counted.push(second);
            }
            prop_assert_eq!(dedup.is_repeat(mixed(id), second * S, always), expected);
        }
    }
}
