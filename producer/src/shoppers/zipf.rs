//! Popularity: rank `k` is drawn with a weight of `1 / k^s`, in constant time.

/// Walker's alias method over Zipf weights: one table look-up and one comparison per draw.
#[derive(Debug)]
pub(crate) struct Zipf {
    columns: Vec<Column>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    /// The share of this column, of 2^32, that belongs to its own rank; the rest is the alias's.
    own: u32,
    alias: u32,
}

impl Zipf {
    /// Over the ranks `0..n`.
    ///
    /// # Panics
    /// If `n` is 0.
    pub(crate) fn new(n: u32, exponent: f64) -> Self {
        assert!(n > 0, "there is at least one rank");
        let weights: Vec<f64> = (1..=n).map(|rank| f64::from(rank).powf(-exponent)).collect();
        let scale = f64::from(n) / weights.iter().sum::<f64>();
        let mut share: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let mut columns: Vec<Column> = (0..n).map(|rank| Column { own: u32::MAX, alias: rank }).collect();
        // Weights fall with the rank, so the columns that hold too much come first: `donor` walks them.
        let mut poor: Vec<u32> = (0..n).filter(|rank| share[*rank as usize] < 1.0).collect();
        let mut rich: Vec<u32> = (0..n).filter(|rank| share[*rank as usize] >= 1.0).collect();
        while let (Some(small), Some(large)) = (poor.pop(), rich.last().copied()) {
            columns[small as usize] = Column { own: portion(share[small as usize]), alias: large };
            share[large as usize] -= 1.0 - share[small as usize];
            if share[large as usize] < 1.0 {
                rich.pop();
                poor.push(large);
            }
        }
        Self { columns }
    }

    /// A rank from 64 random bits.
    pub(crate) fn rank(&self, bits: u64) -> u32 {
        let wide = u128::from(bits) * self.columns.len() as u128;
        let column = (wide >> 64) as u32;
        let within = ((wide as u64) >> 32) as u32;
        let Column { own, alias } = self.columns[column as usize];
        if within <= own { column } else { alias }
    }
}

fn portion(share: f64) -> u32 {
    (share * f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;

    #[test]
    fn draws_follow_the_weights() {
        let zipf = Zipf::new(100, 1.0);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let draws = 1_000_000;
        let mut counts = [0_u32; 100];
        for _ in 0..draws {
            counts[zipf.rank(random.next_u64()) as usize] += 1;
        }
        let harmonic: f64 = (1..=100).map(|rank| 1.0 / f64::from(rank)).sum();
        for (rank, count) in counts.iter().enumerate() {
            let expected = f64::from(draws) / ((rank + 1) as f64 * harmonic);
            let deviation = (f64::from(*count) - expected).abs() / expected.sqrt();
            assert!(deviation < 5.0, "rank {rank}: {count} draws, {expected:.0} expected");
        }
    }

    #[test]
    fn a_single_rank_is_always_drawn() {
        let zipf = Zipf::new(1, 1.0);
        assert_eq!(zipf.rank(0), 0);
        assert_eq!(zipf.rank(u64::MAX), 0);
    }
}
