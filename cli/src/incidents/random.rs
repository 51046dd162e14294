use std::ops::RangeInclusive;
use std::time::Duration;

/// `SplitMix64`: a small generator whose numbers are the same on every platform and in every version.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Different incidents with one seed get different numbers.
    pub(super) fn new(seed: u64, incident: u64) -> Self {
        let mut random = Random(seed ^ incident.wrapping_mul(0xD1B5_4A32_D192_ED03));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is small compared to 2⁶⁴.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    pub(super) fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let micros = |duration: &Duration| u64::try_from(duration.as_micros()).expect("incidents are short");
        Duration::from_micros(self.within(micros(range.start())..=micros(range.end())))
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("below the length")]
    }

    /// True in `share` of 1000 cases.
    pub(super) fn permille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let mut random = Random(1_234_567);
        let numbers: Vec<_> = (0..3).map(|_| random.next()).collect();
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn a_range_is_met_at_both_ends_and_never_left() {
        let mut random = Random::new(1, 1);
        let drawn: Vec<_> = (0..200).map(|_| random.within(3..=6)).collect();
        assert!((3..=6).all(|number| drawn.contains(&number)));
        assert!(drawn.iter().all(|number| (3..=6).contains(number)));
    }
}
