use super::*;

#[test]
fn waits_double_up_to_the_bound_and_stay_in_their_upper_half() {
    for seed in 0..50 {
        let mut backoff = Backoff::new(seed);
        for failures in 0..40 {
            let full = BACKOFF_BASE.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
            let wait = backoff.next_wait();
            assert!(full / 2 <= wait && wait <= full, "failure {failures}: {wait:?} for {full:?}");
        }
    }
}

#[test]
fn jitter_is_a_function_of_the_seed() {
    let waits = |seed| {
        let mut backoff = Backoff::new(seed);
        [(); 6].map(|()| backoff.next_wait())
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}

#[test]
fn a_success_starts_the_waits_over() {
    let mut backoff = Backoff::new(3);
    for _ in 0..20 {
        backoff.next_wait();
    }
    backoff.reset();
    assert!(backoff.next_wait() <= BACKOFF_BASE);
}

#[test]
fn the_server_may_ask_for_longer_than_the_backoff_but_not_for_more_than_its_bound() {
    let mut backoff = Backoff::new(4);
    assert_eq!(backoff.next_wait_asked(Some(Duration::from_secs(7))), Duration::from_secs(7));
    assert_eq!(backoff.next_wait_asked(Some(Duration::from_secs(86_400))), RETRY_AFTER_MAX);
    for _ in 0..20 {
        backoff.next_wait();
    }
    assert!(backoff.next_wait_asked(Some(Duration::from_secs(1))) >= BACKOFF_MAX / 2);
    assert!(backoff.next_wait_asked(None) >= BACKOFF_MAX / 2);
}

#[test]
fn a_lasting_failure_is_said_at_once_and_then_every_half_minute_with_its_count() {
    let start = Instant::now();
    let at = |secs| start + Duration::from_secs(secs);
    let mut log = FailureLog::default();
    assert_eq!(log.failed(at(0)), Some(1));
    assert_eq!(log.failed(at(1)), None);
    assert_eq!(log.failed(at(29)), None);
    assert_eq!(log.failed(at(30)), Some(3));
    assert_eq!(log.failed(at(31)), None);
    assert_eq!(log.recovered(at(42)), Some(Duration::from_secs(42)));
    assert_eq!(log.recovered(at(43)), None);
    assert_eq!(log.failed(at(44)), Some(1));
}

#[test]
fn a_pause_ends_when_an_end_is_asked_for() {
    let stop = Stop::default();
    std::thread::scope(|scope| {
        let pause = scope.spawn(|| RealPause.pause(Duration::from_secs(3_600), &stop));
        stop.at(Instant::now() + Duration::from_secs(3_600));
        pause.join().unwrap();
    });
}

#[test]
fn a_pause_does_not_outlast_the_deadline() {
    let stop = Stop::default();
    stop.at(Instant::now());
    RealPause.pause(Duration::from_secs(3_600), &stop);
    assert!(stop.is_over());
}
