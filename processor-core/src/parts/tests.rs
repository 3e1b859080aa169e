use super::*;

#[test]
fn a_first_start_reads_from_the_beginning() {
    let begun = begin(&[FoundInput { committed: None, ..found(7, 0, 90) }], NOT_BEGUN);
    let [start] = &begun.starts[..] else { panic!("one input") };
    assert_eq!((start.next_offset, start.watermark, start.whole_from), (0, NOT_BEGUN, NOT_BEGUN));
    assert_eq!((start.part.topic, start.part.number), (7, 0));
    assert!(begun.notices.is_empty());
}

#[test]
fn what_was_committed_goes_on_as_it_was() {
    let commit = commit(7, 60, 40);
    let begun = begin(&[with(&commit, 7, 0, 90)], 10);
    assert_eq!(begun, Beginning { starts: vec![commit], notices: vec![] });
}

#[test]
fn metadata_without_a_topic_is_taken_for_that_of_today() {
    let commit = Checkpoint { part: Part::default(), ..commit(7, 60, 40) };
    let begun = begin(&[with(&commit, 7, 0, 90)], NOT_BEGUN);
    assert_eq!(begun.starts[0].replay.offset, 40);
    assert_eq!(begun.starts[0].part.topic, 7);
    assert!(begun.notices.is_empty());
}

#[test]
fn a_topic_made_again_counts_from_its_beginning_in_another_part() {
    let commit = commit(7, 60, 40);
    // Also where it has grown past the committed offset.
    for end in [3, 500] {
        let begun = begin(&[with(&commit, 8, 0, end)], 5);
        let start = &begun.starts[0];
        assert_eq!((start.next_offset, start.replay.offset, start.watermark), (0, 0, commit.watermark));
        assert_ne!(start.part.key(), commit.part.key());
        assert_eq!(begun.notices, [(0, Notice::MadeAgain { first: 0 })]);
    }
    // Kafka forgets the offsets of a topic that is deleted: the topic's id alone tells the parts apart.
    let forgotten = begin(&[FoundInput { committed: None, ..found(8, 0, 3) }], 5);
    assert_ne!(forgotten.starts[0].part.key(), commit.part.key());
    assert_eq!(forgotten.starts[0].watermark, 5, "what is closed stays closed");
}

#[test]
fn without_ids_a_topic_that_is_shorter_was_made_again() {
    let commit = Checkpoint { part: Part::default(), ..commit(0, 60, 40) };
    let begun = begin(&[with(&commit, 0, 0, 12)], NOT_BEGUN);
    assert_eq!((begun.starts[0].next_offset, begun.starts[0].part.number), (0, 1));
    assert_ne!(begun.starts[0].part.key(), 0);
    assert_eq!(begun.notices, [(0, Notice::MadeAgain { first: 0 })]);
}

#[test]
fn a_compacted_log_is_replayed_only_as_far_back_as_it_is_as_it_was_written() {
    let commit = commit(7, 60, 40);
    let compacted = |intact_from| FoundInput { intact_from, ..with(&commit, 7, 0, 90) };
    for intact_from in [0, 40] {
        let whole = Beginning { starts: vec![commit.clone()], notices: vec![] };
        assert_eq!(begin(&[compacted(intact_from)], 10), whole);
    }
    for intact_from in [41, 60, 90] {
        let begun = begin(&[compacted(intact_from)], NOT_BEGUN);
        let start = &begun.starts[0];
        assert_eq!((start.next_offset, start.replay.offset, start.part.number), (60, 60, 1));
        assert_eq!(start.watermark, commit.watermark, "what is late stays late");
        assert_eq!(begun.notices, [(0, Notice::Compacted { from: 40, committed: 60 })]);
    }
    // Nothing to replay, nothing that could be missing.
    let nothing_open = Checkpoint { replay: ReplayPoint { offset: 60, ..commit.replay }, ..commit.clone() };
    let found = FoundInput { intact_from: 90, ..with(&nothing_open, 7, 0, 90) };
    assert!(begin(&[found], NOT_BEGUN).notices.is_empty());
}

#[test]
fn records_deleted_before_they_were_read_are_counted_and_begin_a_part() {
    let commit = commit(7, 60, 40);
    let begun = begin(&[with(&commit, 7, 75, 90)], NOT_BEGUN);
    let start = &begun.starts[0];
    assert_eq!((start.next_offset, start.replay.offset, start.part.number), (75, 75, 1));
    assert_eq!(begun.notices, [(0, Notice::Skipped { records: 15, committed: 60, first: 75 })]);
}

#[test]
fn a_replay_whose_records_are_gone_is_not_half_done() {
    let commit = commit(7, 60, 40);
    let begun = begin(&[with(&commit, 7, 50, 90)], NOT_BEGUN);
    let start = &begun.starts[0];
    assert_eq!((start.next_offset, start.replay.offset, start.part.number), (60, 60, 1));
    assert_eq!(begun.notices, [(0, Notice::ReplayGone { from: 40, first: 50 })]);
    let again = begin(&[with(start, 7, 55, 90)], NOT_BEGUN);
    assert_eq!(again, Beginning { starts: vec![start.clone()], notices: vec![] });
}

#[test]
fn a_partition_that_kafka_has_cut_short_goes_on_at_its_end() {
    let begun = begin(&[with(&commit(7, 60, 40), 7, 0, 50)], NOT_BEGUN);
    assert_eq!((begun.starts[0].next_offset, begun.starts[0].part.number), (50, 1));
    assert_eq!(begun.notices, [(0, Notice::Shortened { end: 50, committed: 60 })]);
}

#[test]
fn an_offset_set_by_another_tool_is_taken_and_its_first_windows_are_not() {
    for (set, to) in [(10, 10), (80, 80), (95, 5), (2, 5)] {
        let found = FoundInput { committed: Some((set, String::new())), ..found(7, 5, 90) };
        let begun = begin(&[found], 1_000);
        let start = &begun.starts[0];
        assert_eq!((start.next_offset, start.whole_from, start.watermark), (to, i64::MAX, NOT_BEGUN));
        assert_eq!(begun.notices, [(0, Notice::Moved { to })]);
    }
    let to_the_beginning = FoundInput { committed: Some((0, String::new())), ..found(7, 0, 90) };
    assert_eq!(begin(&[to_the_beginning], NOT_BEGUN).starts[0].whole_from, NOT_BEGUN);
}

#[test]
fn an_input_beside_one_that_begins_anew_goes_on_where_it_was_without_what_it_counted() {
    let (a, b) = (commit(7, 60, 40), commit(9, 30, 20));
    let both = begin(&[with(&a, 7, 0, 90), with(&b, 9, 0, 90)], NOT_BEGUN);
    let [a, b] = &both.starts[..] else { panic!("two inputs") };
    let begun = begin(&[with(a, 8, 0, 4), with(b, 9, 0, 90)], NOT_BEGUN);
    assert_eq!((begun.starts[0].next_offset, begun.starts[1].next_offset), (0, 30));
    assert_eq!(begun.starts[1].replay.offset, 30, "its earlier records are in the part before");
    assert_eq!(begun.starts[0].part.key(), begun.starts[1].part.key());
    // Whichever of them commits first, the other begins at the same place after a crash.
    let first = Checkpoint { next_offset: 3, ..begun.starts[0].clone() };
    let again = begin(&[with(&first, 8, 0, 4), with(b, 9, 0, 90)], NOT_BEGUN);
    assert_eq!(again.starts[0].replay.offset, 0);
    assert_eq!((again.starts[1].next_offset, again.starts[1].replay.offset), (30, 30));
    assert_eq!(again.starts[1].part.key(), begun.starts[1].part.key());
}

#[test]
fn a_relay_goes_on_by_its_offset_alone() {
    let commit = Checkpoint { replay: ReplayPoint { offset: 60, watermark: 5 }, ..commit(7, 60, 60) };
    let (start, notice) = begin_relay(&with(&commit, 7, 0, 90));
    assert_eq!((start.next_offset, start.replay.watermark, notice), (60, 5, None));
    let (start, notice) = begin_relay(&with(&commit, 8, 0, 90));
    assert_eq!((start.next_offset, start.replay.watermark), (0, NOT_BEGUN));
    assert_eq!(notice, Some(Notice::MadeAgain { first: 0 }));
}

fn found(topic: u64, first: i64, end: i64) -> FoundInput {
    FoundInput { committed: None, topic, first, intact_from: first, end }
}

fn with(commit: &Checkpoint, topic: u64, first: i64, end: i64) -> FoundInput {
    FoundInput { committed: Some((commit.next_offset, commit.metadata())), ..found(topic, first, end) }
}

/// As a task of this topic alone commits it.
fn commit(topic: u64, next_offset: i64, from: i64) -> Checkpoint {
    let part = begin(&[found(topic, 0, 0)], NOT_BEGUN).starts[0].part;
    let replay = ReplayPoint { offset: from, watermark: NOT_BEGUN };
    Checkpoint { watermark: 77, replay, part, ..Checkpoint::plain(next_offset) }
}
