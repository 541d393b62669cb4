//! What a job would read, write and cost, told before it is begun.

/// What the object store takes for its services, in millionths of a dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// A million GETs.
    pub gets_million: u64,
    /// A million PUTs.
    pub puts_million: u64,
    /// A GiB for a month.
    pub gib_month: u64,
}

impl Prices {
    /// Amazon's list for S3 Standard, us-east-1, as it has stood since 2016: $0.0004 a thousand GETs, $0.005 a thousand
    /// PUTs, $0.023 a GB and month.
    pub const STANDARD: Prices =
        Prices { gets_million: 400_000, puts_million: 5_000_000, gib_month: 24_700 };
}

/// Bytes that one PUT carries, as bundles are made (DESIGN §11).
const BUNDLE_BYTES: u64 = 64 << 20;
const GIB: u128 = 1 << 30;

/// What a dry run counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Messages that would be read; as many are written at most.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests that reading costs.
    pub gets: u64,
    /// Whether as many are written: a key, and a tag whose hash another has, show only on reading.
    pub exact: bool,
    /// Whether everything was counted; else it is more.
    pub complete: bool,
}

impl Estimate {
    /// Requests that the copies cost on their way to the bucket.
    pub fn puts(&self) -> u64 {
        self.bytes.div_ceil(BUNDLE_BYTES)
    }

    /// What reading and writing cost, in millionths of a dollar, rounded up.
    pub fn cost_once(&self, prices: &Prices) -> u64 {
        let each = |count: u64, million: u64| u128::from(count) * u128::from(million);
        let sum = each(self.gets, prices.gets_million) + each(self.puts(), prices.puts_million);
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// What keeping the copies costs a month, in millionths of a dollar, rounded up.
    pub fn cost_monthly(&self, prices: &Prices) -> u64 {
        let sum = u128::from(self.bytes) * u128::from(prices.gib_month);
        u64::try_from(sum.div_ceil(GIB)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terabyte_costs_what_the_list_says() {
        let bytes = 1 << 40;
        let estimate = Estimate { bytes, gets: 20_000, ..Estimate::default() };
        assert_eq!(estimate.puts(), 16_384);
        let (gets, puts) = (8_000, 81_920);
        assert_eq!(estimate.cost_once(&Prices::STANDARD), gets + puts);
        assert_eq!(estimate.cost_monthly(&Prices::STANDARD), 24_700 * 1024);
        assert_eq!(Estimate::default().cost_once(&Prices::STANDARD), 0);
    }
}
