use serde::{Deserialize, Serialize};

use crate::snapshot::codec::{Reader, Writer};

/// Sub-buckets per doubling: 2^6.
const MANTISSA_BITS: u32 = 6;
const SHIFT: u32 = f32::MANTISSA_DIGITS - 1 - MANTISSA_BITS;
/// Values below this count as zero.
const MIN_VALUE: f64 = 1.0 / 1024.0;
/// Values above this count as this (in milliseconds: 49 days).
const MAX_VALUE: f64 = 4_294_967_296.0;

/// A mergeable histogram of non-negative values with logarithmic buckets, 64 to a doubling.
///
/// A quantile is off by at most 1/128 (0.8 %) of the true value: a bucket `[b, b·(1 + 1/64))` is answered by its
/// middle. The bucket is read off the bits of an `f32`, so adding costs no logarithm; the idea is that of HDR
/// histograms and `DDSketch` (Masson, Rim, Lee, VLDB 2019) with base-2 steps. Merging adds counts, so the order of
/// merging never shows. At most 42 × 64 buckets of 4 bytes, and only the range between the extremes is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    count: u64,
    zeros: u64,
    max: f64,
    /// Bucket of `counts[0]`.
    first: u32,
    counts: Vec<u32>,
}

impl Sketch {
    /// Adds a value; it must be finite. Negative values count as zero.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        if value > self.max {
            self.max = value;
        }
        if value < MIN_VALUE {
            self.zeros += 1;
            return;
        }
        let bucket = (value.min(MAX_VALUE) as f32).to_bits() >> SHIFT;
        let at = bucket.wrapping_sub(self.first) as usize;
        match self.counts.get_mut(at) {
            Some(count) => *count = count.saturating_add(1),
            None => *self.widen(bucket) += 1,
        }
    }

    /// Adds all of `other`'s values.
    pub fn fold(&mut self, other: &Self) {
        self.count += other.count;
        self.zeros += other.zeros;
        self.max = self.max.max(other.max);
        for (bucket, &count) in (other.first..).zip(&other.counts) {
            if count > 0 {
                let slot = self.widen(bucket);
                *slot = slot.saturating_add(count);
            }
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest value, exactly; 0 where there is none.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.max
    }

    /// The value at rank ⌈q·n⌉ (nearest rank), off by at most 1/128 of it; 0 where there is none. `q` in (0, 1].
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = self.zeros;
        if rank <= below {
            return 0.0;
        }
        for (bucket, &count) in (self.first..).zip(&self.counts) {
            below += u64::from(count);
            if rank <= below {
                let low = f64::from(f32::from_bits(bucket << SHIFT));
                let high = f64::from(f32::from_bits((bucket + 1) << SHIFT));
                return f64::midpoint(low, high).min(self.max);
            }
        }
        self.max
    }

    /// Forgets every value and keeps the memory and the range.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.zeros = 0;
        self.max = 0.0;
        self.counts.fill(0);
    }

    /// Writes the values; the same values give the same bytes.
    pub(crate) fn save(&self, writer: &mut Writer) {
        let first = self.counts.iter().position(|count| *count > 0).unwrap_or(0);
        let end = self.counts.iter().rposition(|count| *count > 0).map_or(first, |last| last + 1);
        writer.number(self.count);
        writer.number(self.zeros);
        writer.fixed(self.max.to_bits());
        writer.number(if first == end { 0 } else { u64::from(self.first) + first as u64 });
        writer.count(end - first);
        self.counts[first..end].iter().for_each(|count| writer.number((*count).into()));
    }

    /// Reads what [`Sketch::save`] wrote.
    pub(crate) fn load(reader: &mut Reader<'_>) -> Option<Self> {
        let (count, zeros) = (reader.number()?, reader.number()?);
        let max = f64::from_bits(reader.fixed()?);
        let first = reader.small()?;
        let counts = (0..reader.count()?).map(|_| reader.small()).collect::<Option<_>>()?;
        Some(Self { count, zeros, max, first, counts })
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.counts.capacity() * 4
    }

    /// The bucket's count, with the kept range widened to reach it.
    #[cold]
    fn widen(&mut self, bucket: u32) -> &mut u32 {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let by = (self.first - bucket) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, by));
            self.first = bucket;
        }
        let at = (bucket - self.first) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        &mut self.counts[at]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_sketch_answers_zero() {
        assert_eq!(Sketch::default().quantile(0.5), 0.0);
    }

    proptest! {
        #[test]
        fn quantiles_stay_within_the_stated_error(mut values in prop::collection::vec(0.001f64..1e8, 1..400), q in 0.01f64..=1.0) {
            let mut sketch = Sketch::default();
            for &v in &values {
                sketch.add(v);
            }
            values.sort_by(f64::total_cmp);
            let truth = values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
            let got = sketch.quantile(q);
            prop_assert!((got - truth).abs() <= truth / 128.0 + 1e-6 * truth, "{got} for {truth}");
            prop_assert_eq!(sketch.quantile(1.0) <= sketch.max(), true);
        }

        #[test]
        fn merging_equals_adding_all(a in prop::collection::vec(0.0f64..1e6, 0..200), b in prop::collection::vec(0.0f64..1e6, 0..200)) {
            let sketch = |values: &[f64]| values.iter().fold(Sketch::default(), |mut s, &v| { s.add(v); s });
            let mut merged = sketch(&a);
            merged.fold(&sketch(&b));
            let all: Vec<f64> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(merged, sketch(&all));
        }
    }
}
