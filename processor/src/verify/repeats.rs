use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use super::rules::SECOND;

/// A text as 64 bits. The standard library's hash, which the processor does not use: what one takes for a repeat by
/// accident, the other does not.
pub(super) fn mark(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// For keys that are hashes already.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Marked(u64);

impl Hasher for Marked {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("marks are hashed whole");
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// For keys of small numbers: one multiplication each.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Small(u64);

impl Hasher for Small {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are numbers");
    }

    fn write_u32(&mut self, value: u32) {
        let mixed = (self.0 ^ u64::from(value)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// A map by [`mark`].
pub(super) type ByMark<V> = HashMap<u64, V, BuildHasherDefault<Marked>>;

/// The ids counted lately.
///
/// In stretches of the window's length, in which an id can count once at most.
#[derive(Debug)]
pub(super) struct Repeats {
    window_s: i64,
    stretches: BTreeMap<i64, ByMark<u32>>,
}

impl Repeats {
    /// `window` in microseconds.
    pub(super) fn new(window: i64) -> Self {
        Self { window_s: window / SECOND, stretches: BTreeMap::new() }
    }

    /// Whether the id was counted within the window of `time`; where it was not, it is now.
    pub(super) fn is_repeat(&mut self, id: u64, time: i64) -> bool {
        let (second, length) = (time.div_euclid(SECOND), self.length());
        let stretch = second.div_euclid(length);
        let near = self.stretches.range(stretch - 1..=stretch + 1);
        let mut counted =
            near.filter_map(|(stretch, ids)| Some(stretch * length + i64::from(*ids.get(&id)?)));
        if counted.any(|at| (at - second).abs() <= self.window_s) {
            return true;
        }
        let within = u32::try_from(second - stretch * length).expect("a stretch is at most a day");
        self.stretches.entry(stretch).or_default().insert(id, within);
        false
    }

    /// Nothing before `time` will be asked about.
    pub(super) fn forget_before(&mut self, time: i64) {
        let second = time.div_euclid(SECOND) - self.window_s;
        let length = self.length();
        while self.stretches.first_key_value().is_some_and(|(stretch, _)| (stretch + 1) * length <= second) {
            self.stretches.pop_first();
        }
    }

    fn length(&self) -> i64 {
        self.window_s.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_dropped_within_the_window_in_either_direction_and_no_further() {
        let mut repeats = Repeats::new(600 * SECOND);
        let start = 1_755_720_654 * SECOND;
        assert!(!repeats.is_repeat(7, start));
        assert!(repeats.is_repeat(7, start + 600 * SECOND));
        assert!(repeats.is_repeat(7, start - 600 * SECOND));
        assert!(!repeats.is_repeat(7, start - 601 * SECOND));
        assert!(!repeats.is_repeat(7, start + 601 * SECOND));
        assert!(!repeats.is_repeat(8, start));
    }

    #[test]
    fn what_is_forgotten_could_not_be_asked_about() {
        let mut repeats = Repeats::new(600 * SECOND);
        repeats.is_repeat(7, 1_000 * SECOND);
        repeats.forget_before(1_600 * SECOND);
        assert!(repeats.is_repeat(7, 1_600 * SECOND));
    }
}
