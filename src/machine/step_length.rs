use std::num::NonZeroU32;
use std::time::Duration;

use crate::machine::millis::Millis;
use crate::recovery::Recovery;

/// How long each step of an ordered slow close lasts, in the bits that the word has left for it.
///
/// A floating-point number of milliseconds. A step of up to 17 minutes is exact, and a longer one is rounded up by less than
/// a five hundred thousandth. So it can hold every duration up to the 139 years of [`Millis`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepLength(NonZeroU32);

impl StepLength {
    pub(crate) const BITS: u32 = Self::DIGITS + 5;
    /// The bits of the significand, which is in the low bits. The exponent is above it.
    const DIGITS: u32 = 20;

    /// The length of each step of a ramp; `None` if the ramp takes no time. As in the settings, steps are rounded up to whole
    /// milliseconds.
    pub(crate) fn of_ramp(ramp: Duration) -> Option<Self> {
        let millis = Millis::not_before(ramp / Recovery::RAMP_STEPS).bits();
        if ramp.is_zero() { None } else { Self::not_below(millis.max(1)) }
    }

    fn not_below(millis: u64) -> Option<Self> {
        let exponent = (u64::BITS - millis.leading_zeros()).saturating_sub(Self::DIGITS);
        let significand = millis.div_ceil(1 << exponent);
        // Rounded up, it may have a digit too many.
        let carry = u32::from(significand >> Self::DIGITS != 0);
        let bits = u64::from(exponent + carry) << Self::DIGITS | significand >> carry;
        Self::from_bits(bits)
    }

    pub(crate) fn millis(self) -> u64 {
        let bits = self.bits();
        (bits & ((1 << Self::DIGITS) - 1)) << (bits >> Self::DIGITS)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0.get().into()
    }

    /// `None` for 0.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        u32::try_from(bits).ok().and_then(NonZeroU32::new).map(StepLength)
    }
}

const _: () = assert!(Millis::BITS - StepLength::DIGITS < 1 << (StepLength::BITS - StepLength::DIGITS));

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(ramp: Duration) -> Option<u64> {
        StepLength::of_ramp(ramp).map(StepLength::millis)
    }

    #[test]
    fn a_step_lasts_a_twentieth_of_the_ramp_in_whole_milliseconds_rounded_up() {
        let second = Duration::from_secs(1);
        assert_eq!(millis(120 * second), Some(6_000));
        assert_eq!(millis(second + Duration::from_micros(1)), Some(51));
        assert_eq!(millis(Duration::from_nanos(1)), Some(1));
        assert_eq!(millis(Duration::ZERO), None);
    }

    #[test]
    fn no_length_is_rounded_down_or_up_by_more_than_its_digits_and_each_comes_back_from_its_bits() {
        let exact = (1 << StepLength::DIGITS) - 1;
        let powers = (0..Millis::BITS).map(|bits| 1_u64 << bits);
        let around = powers.flat_map(|power| [power - 1, power, power + 1, power + power / 3]);
        for wanted in around.chain([exact, Millis::MAX.bits() - 1, Millis::MAX.bits()]).filter(|wanted| *wanted > 0) {
            let length = StepLength::not_below(wanted).expect("not 0");
            let given = length.millis();
            assert!(given >= wanted && given - wanted <= wanted >> (StepLength::DIGITS - 1), "{wanted}: {given}");
            assert!(wanted > exact || given == wanted, "{wanted}: {given}");
            assert!(length.bits() >> StepLength::BITS == 0, "{wanted}");
            assert_eq!(StepLength::from_bits(length.bits()), Some(length));
        }
        assert!(millis(Duration::MAX) >= Some(Millis::MAX.bits()));
        assert_eq!(StepLength::from_bits(0), None);
    }
}
