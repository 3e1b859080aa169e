use proptest::prelude::*;

use super::*;

const S: i64 = SECOND;

fn jump(offset: i64, watermark: i64) -> Jump {
    Jump { offset, watermark }
}

fn kept(jumps: &Jumps) -> Vec<Jump> {
    jumps.since(ReplayPoint { offset: 0, watermark: NOT_BEGUN })
}

#[test]
fn a_jump_that_the_log_overtakes_in_vain_is_dropped() {
    let mut jumps = Jumps::default();
    jumps.note(jump(10, 100 * S));
    jumps.overtaken(99 * S);
    assert_eq!(kept(&jumps), [jump(10, 100 * S)]);
    jumps.overtaken(100 * S);
    assert_eq!(kept(&jumps), []);
}

#[test]
fn a_jump_that_decided_something_is_kept_for_the_replay_span() {
    let mut jumps = Jumps::default();
    jumps.note(jump(10, 100 * S));
    jumps.matters();
    jumps.overtaken(200 * S);
    jumps.note(jump(20, 300 * S)); // replaced by the next before anything was judged by it
    jumps.note(jump(30, 400 * S));
    assert_eq!(kept(&jumps), [jump(10, 100 * S), jump(30, 400 * S)]);
    jumps.trim(ReplayPoint { offset: 10, watermark: 90 * S }); // still in force there
    assert_eq!(jumps.len(), 2);
    jumps.trim(ReplayPoint { offset: 15, watermark: 100 * S });
    assert_eq!(kept(&jumps), [jump(30, 400 * S)]);
}

#[test]
fn a_replay_applies_each_jump_before_its_record() {
    let mut jumps = Jumps::ahead(&[jump(10, 100 * S), jump(20, 200 * S)]);
    assert_eq!((jumps.next_offset(), jumps.apply(9)), (10, None));
    assert_eq!((jumps.apply(10), jumps.next_offset()), (Some(100 * S), 20));
    assert_eq!((jumps.apply(25), jumps.reached()), (Some(200 * S), 200 * S));
    assert_eq!(jumps.next_offset(), i64::MAX);
}

#[test]
fn at_the_bound_the_oldest_jump_is_forgotten_and_counted() {
    let mut jumps = Jumps::default();
    for at in 1..=2_000 {
        jumps.note(jump(at * 2, at * 11 * S));
        jumps.matters();
    }
    assert!(jumps.forgotten() > 500, "{} of 2,000", jumps.forgotten());
    assert_eq!(jumps.len() as u64 + jumps.forgotten(), 2_000);
    assert_eq!(kept(&jumps).last(), Some(&jump(4_000, 22_000 * S)));
    let text = to_text(&kept(&jumps), 2);
    assert!(text.len() <= 3_000, "{} characters", text.len());
}

#[test]
fn damaged_text_is_no_list() {
    assert_eq!(from_text("", 0), Some(vec![]));
    for text in ["A", "~~~~", "____________________", "AA=="] {
        assert_eq!(from_text(text, 0), None, "{text}");
    }
}

proptest! {
    #[test]
    fn jumps_read_back_from_text(
        steps in prop::collection::vec((0i64..300, 1i64..90_000_000, any::<bool>()), 0..200),
        from in 0i64..1_000_000,
        begin in -1_000_000_000_000i64..2_000_000_000_000_000,
    ) {
        let mut last = jump(from, begin);
        let jumps: Vec<Jump> = steps
            .into_iter()
            .map(|(offset, watermark, whole)| {
                let watermark = last.watermark + watermark;
                let watermark = if whole { (watermark.div_euclid(S) + 1) * S } else { watermark };
                last = jump(last.offset + offset, watermark);
                last
            })
            .collect();
        prop_assert_eq!(from_text(&to_text(&jumps, from), from), Some(jumps));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_-]{0,40}", from in any::<i64>()) {
        let _ = from_text(&text, from);
    }
}
