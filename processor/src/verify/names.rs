use std::collections::HashMap;
use std::sync::Arc;

use super::route::OTHER;

/// Texts as small integers, within one hour of event time.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Names {
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let (text, number): (Arc<str>, _) = (text.into(), self.texts.len() as u32);
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    pub(super) fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number as usize]
    }
}

/// The names that a partition number tells apart: beyond a number of them, new ones are [`OTHER`].
///
/// When exactly an unused name makes room is not for the contract to say. Where it could have mattered, the span from
/// `reached` on is compared by sums.
#[derive(Debug)]
pub(super) struct Limit {
    max: usize,
    /// With the time of the latest use.
    names: HashMap<Arc<str>, i64>,
    other: Arc<str>,
    swept_at: i64,
    /// Event time of the first and the last name that found no room.
    pub(super) reached: Option<(i64, i64)>,
}

impl Limit {
    pub(super) fn new(max: usize) -> Self {
        Self { max, names: HashMap::new(), other: OTHER.into(), swept_at: i64::MIN, reached: None }
    }

    /// The name, or [`OTHER`]. `horizon`: what was not used since has made room.
    pub(super) fn take(&mut self, name: &str, time: i64, horizon: i64) -> &Arc<str> {
        if !self.names.contains_key(name) {
            if self.names.len() >= self.max && horizon > self.swept_at {
                self.swept_at = horizon;
                self.names.retain(|_, used| *used >= horizon);
            }
            if self.names.len() >= self.max {
                let (from, until) = self.reached.unwrap_or((time, time));
                self.reached = Some((from.min(time), until.max(time)));
                return &self.other;
            }
            self.names.insert(name.into(), time);
        }
        let used = self.names.get_mut(name).expect("it is there or was just inserted");
        *used = (*used).max(time);
        self.names.get_key_value(name).expect("it is there").0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_share_one_and_the_span_is_noted() {
        let mut limit = Limit::new(2);
        assert_eq!(&**limit.take("a", 10, 0), "a");
        assert_eq!(&**limit.take("b", 20, 0), "b");
        assert_eq!(&**limit.take("c", 30, 0), OTHER);
        assert_eq!(&**limit.take("a", 40, 0), "a");
        assert_eq!(limit.reached, Some((30, 30)));
        assert_eq!(&**limit.take("c", 90, 25), "c");
    }
}
