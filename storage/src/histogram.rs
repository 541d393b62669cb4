//! Counting by size in buckets that are fixed when the program is built. Counting is two additions
//! to atomics, takes no lock and no memory, and may happen from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// A histogram of `N` buckets: one for each of `N - 1` bounds, and one for all that is larger.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64],
    counts: [AtomicU64; N],
    sum: AtomicU64,
}

/// What a [`Histogram`] showed at one moment. Bucket by bucket it never shrinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The largest value that each bucket but the last takes, ascending.
    pub bounds: &'static [u64],
    /// Values in each bucket alone, the last one's included: one more than there are bounds.
    pub counts: Vec<u64>,
    /// All values together.
    pub sum: u64,
}

impl<const N: usize> Histogram<N> {
    /// Empty, with buckets up to and including each of `bounds`, which are ascending.
    ///
    /// # Panics
    /// Unless there are `N - 1` bounds.
    pub const fn new(bounds: &'static [u64]) -> Histogram<N> {
        assert!(bounds.len() + 1 == N, "a histogram has a bucket for each bound, and one more");
        Histogram { bounds, counts: [const { AtomicU64::new(0) }; N], sum: AtomicU64::new(0) }
    }

    /// Counts one value.
    pub fn count(&self, value: u64) {
        self.count_many(1, value, value);
    }

    /// Counts `values` values at once, in the bucket of `each`, which together are `sum`.
    pub fn count_many(&self, values: u64, each: u64, sum: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < each);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(values, Ordering::Relaxed);
            self.sum.fetch_add(sum, Ordering::Relaxed);
        }
    }

    /// What was counted until now. While others count, the sum may be a value ahead or behind.
    pub fn read(&self) -> Distribution {
        Distribution {
            bounds: self.bounds,
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl Distribution {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_takes_it() {
        static BOUNDS: [u64; 3] = [1, 10, 100];
        let histogram = Histogram::<4>::new(&BOUNDS);
        for value in [0, 1, 2, 10, 11, 100, 101, u64::MAX >> 1] {
            histogram.count(value);
        }
        histogram.count_many(3, 50, 151);
        let read = histogram.read();
        assert_eq!(read.counts, [2, 2, 5, 2]);
        assert_eq!(read.count(), 11);
        assert_eq!(read.sum, 225 + (u64::MAX >> 1) + 151);
    }
}
