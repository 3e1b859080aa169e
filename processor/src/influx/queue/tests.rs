use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn lines_leave_in_the_order_they_came() {
    let mut queue = PointQueue::new();
    queue.push([line(1, "a"), line(2, "b")]);
    queue.push([line(3, "c")]);
    assert_eq!(texts(&queue.take(10, 1000)), ["s=1 a 1", "s=2 b 2", "s=3 c 3"]);
    assert!(queue.is_empty());
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn a_newer_line_takes_the_place_of_the_waiting_one_of_its_point() {
    let mut queue = PointQueue::new();
    queue.push([line(1, "old"), line(2, "b")]);
    queue.push([line(1, "newer"), line(3, "c")]);
    assert_eq!(queue.len(), 3);
    assert_eq!(queue.bytes(), "s=1 newer 1\ns=2 b 2\ns=3 c 3\n".len());
    assert_eq!(texts(&queue.take(10, 1000)), ["s=1 newer 1", "s=2 b 2", "s=3 c 3"]);
}

#[test]
fn the_same_series_at_another_time_is_another_point() {
    let mut queue = PointQueue::new();
    let later = Line { time: Timestamp::from_secs(2), ..line(1, "a") };
    queue.push([line(1, "a"), later]);
    assert_eq!(queue.len(), 2);
}

#[test]
fn a_request_is_bounded_by_lines_and_bytes_but_has_at_least_one_line() {
    let mut queue = PointQueue::new();
    queue.push((1..=5).map(|series| line(series, "x")));
    assert_eq!(queue.take(2, 1000).len(), 2);
    assert_eq!(queue.take(10, 2 * "s=1 x 1\n".len()).len(), 2);
    assert_eq!(queue.take(10, 1).len(), 1);
}

#[test]
fn lines_put_back_come_first_again() {
    let mut queue = PointQueue::new();
    queue.push([line(1, "a"), line(2, "b"), line(3, "c")]);
    let taken = queue.take(2, 1000);
    queue.put_back(taken);
    assert_eq!(texts(&queue.take(10, 1000)), ["s=1 a 1", "s=2 b 2", "s=3 c 3"]);
}

#[test]
fn a_line_put_back_yields_to_a_newer_one_that_came_meanwhile() {
    let mut queue = PointQueue::new();
    queue.push([line(1, "old"), line(2, "b")]);
    let taken = queue.take(2, 1000);
    queue.push([line(3, "c"), line(1, "newer")]);
    queue.put_back(taken);
    assert_eq!(texts(&queue.take(10, 1000)), ["s=1 newer 1", "s=2 b 2", "s=3 c 3"]);
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
}

#[test]
fn a_batch_is_finished_when_its_points_are_even_by_newer_lines() {
    let mut queue = PointQueue::new();
    let first = queue.push([line(1, "old")]);
    let second = queue.push([line(2, "b")]);
    let third = queue.push([line(1, "newer")]);
    assert_eq!(queue.finished_before(), first);
    queue.take(1, 1000);
    assert_eq!(queue.finished_before(), second);
    queue.take(1, 1000);
    assert_eq!(queue.finished_before(), third + 1);
}

#[test]
fn a_batch_is_not_finished_while_its_lines_are_put_back() {
    let mut queue = PointQueue::new();
    let first = queue.push([line(1, "old")]);
    let taken = queue.take(1, 1000);
    queue.push([line(2, "b"), line(1, "newer")]);
    queue.put_back(taken);
    assert_eq!(queue.finished_before(), first);
    queue.take(1, 1000);
    assert_eq!(queue.finished_before(), first + 1);
}

#[test]
fn a_long_outage_with_changing_points_leaves_the_queue_as_long_as_there_are_points() {
    let mut queue = PointQueue::new();
    for round in 0..10_000 {
        queue.push((0..10).map(|series| line(series, &format!("{round}"))));
        let taken = queue.take(10, 1_000);
        queue.push((0..10).map(|series| line(series, &format!("{round}+"))));
        queue.push([line(1_000_000 + round % 20, "other")]);
        queue.put_back(taken);
    }
    assert_eq!(queue.len(), 30);
    assert!(queue.slots.len() <= 2 * 30 + COMPACT_SLACK, "{} slots", queue.slots.len());
}

proptest! {
    #[test]
    fn any_course_of_events_writes_the_newest_value_and_finishes_batches_only_then(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut queue = PointQueue::new();
        let mut newest: BTreeMap<u64, (u64, String)> = BTreeMap::new();
        let mut written: BTreeMap<u64, (u64, String)> = BTreeMap::new();
        let mut batches: Vec<Vec<(u64, u64)>> = Vec::new();
        let mut version = 0;
        let attempt = |queue: &mut PointQueue, written: &mut BTreeMap<u64, (u64, String)>, max, succeeds, during: Vec<u64>,
                           newest: &mut BTreeMap<u64, (u64, String)>, batches: &mut Vec<Vec<(u64, u64)>>, version: &mut u64| {
            let taken = queue.take(max, usize::MAX);
            push(queue, &during, newest, batches, version);
            if succeeds {
                for Taken { line, .. } in &taken {
                    let text = String::from_utf8(line.bytes.clone()).unwrap();
                    let (series, value) = parse(&text);
                    assert!(written.get(&series).is_none_or(|(old, _)| *old < value), "{text} after {written:?}");
                    written.insert(series, (value, text));
                }
            } else {
                queue.put_back(taken);
            }
        };
        for step in steps {
            match step {
                Step::Push(series) => push(&mut queue, &series, &mut newest, &mut batches, &mut version),
                Step::Attempt { max, succeeds, during } => attempt(
                    &mut queue, &mut written, max, succeeds, during, &mut newest, &mut batches, &mut version,
                ),
            }
            let finished = usize::try_from(queue.finished_before()).unwrap();
            for batch in &batches[..finished] {
                for (series, version) in batch {
                    prop_assert!(written.get(series).is_some_and(|(value, _)| value >= version));
                }
            }
            let lines = queue.slots.iter().flatten();
            prop_assert_eq!(queue.bytes(), lines.clone().map(|taken| taken.line.len_in_request()).sum::<usize>());
            prop_assert_eq!(queue.len(), lines.count());
        }
        while !queue.is_empty() {
            attempt(&mut queue, &mut written, 7, true, vec![], &mut newest, &mut batches, &mut version);
        }
        prop_assert_eq!(usize::try_from(queue.finished_before()).unwrap(), batches.len());
        prop_assert_eq!(written, newest);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<u64>),
    Attempt { max: usize, succeeds: bool, during: Vec<u64> },
}

fn step() -> impl Strategy<Value = Step> {
    let series = || prop::collection::vec(0..12_u64, 0..6);
    prop_oneof![
        series().prop_map(Step::Push),
        (1..8_usize, any::<bool>(), series()).prop_map(|(max, succeeds, during)| Step::Attempt {
            max,
            succeeds,
            during
        }),
    ]
}

fn push(
    queue: &mut PointQueue,
    series: &[u64],
    newest: &mut BTreeMap<u64, (u64, String)>,
    batches: &mut Vec<Vec<(u64, u64)>>,
    version: &mut u64,
) {
    let mut batch = Vec::new();
    let mut lines = Vec::new();
    for &series in series {
        *version += 1;
        let line = line(series, &version.to_string());
        newest.insert(series, (*version, String::from_utf8(line.bytes.clone()).unwrap()));
        batch.push((series, *version));
        lines.push(line);
    }
    assert_eq!(queue.push(lines), batches.len() as u64);
    batches.push(batch);
}

fn parse(text: &str) -> (u64, u64) {
    let mut parts = text.trim_start_matches("s=").split(' ');
    (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap())
}

fn line(series: u64, value: &str) -> Line {
    let name = format!("s={series}");
    Line {
        shared: true,
        bytes: format!("{name} {value} {series}").into_bytes(),
        series_len: name.len(),
        time: Timestamp::from_secs(1),
    }
}

fn texts(taken: &[Taken]) -> Vec<&str> {
    taken.iter().map(|taken| std::str::from_utf8(&taken.line.bytes).unwrap()).collect()
}
