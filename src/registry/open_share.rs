//! At most a share of the breakers may be open by their own rules.

use std::collections::HashMap;

use super::listed::DefaultHashBuilder;
use crate::engine::open_limit::SuppressedOpening;
use crate::panics::contain;
use crate::state::State;

pub(super) type Observer = Box<dyn Fn(&SuppressedOpening) + Send + Sync>;

/// The breakers that are open or half-open, and those that are about to be.
pub(super) struct OpenShare {
    share: f64,
    /// How many breakers are listed.
    breakers: usize,
    open: HashMap<usize, OpenBreakers, DefaultHashBuilder>,
    suppressed: u64,
}

#[derive(Default)]
struct OpenBreakers {
    is_open: bool,
    reserved: u32,
}

impl OpenShare {
    pub(super) fn new(share: f64) -> Self {
        OpenShare { share, breakers: 0, open: HashMap::default(), suppressed: 0 }
    }

    pub(super) fn set_breakers(&mut self, breakers: usize) {
        self.breakers = breakers;
    }

    pub(super) fn reserve(&mut self, breaker: usize) -> bool {
        // One that is about to open by another thread's call takes no second place.
        let is_free = self.open.contains_key(&breaker) || self.open.len() < self.limit();
        if is_free {
            self.open.entry(breaker).or_default().reserved += 1;
        }
        is_free
    }

    pub(super) fn release(&mut self, breaker: usize) {
        if let Some(standing) = self.open.get_mut(&breaker) {
            standing.reserved = standing.reserved.saturating_sub(1);
        }
    }

    pub(super) fn follow(&mut self, breaker: usize, state: State) {
        let is_open = matches!(state, State::Open | State::HalfOpen);
        if is_open {
            self.open.entry(breaker).or_default().is_open = true;
        } else if let Some(standing) = self.open.get_mut(&breaker) {
            standing.is_open = false;
            if standing.reserved == 0 {
                self.open.remove(&breaker);
            }
        }
    }

    pub(super) fn forget(&mut self, breaker: usize) {
        self.open.remove(&breaker);
    }

    pub(super) fn suppress(&mut self) {
        self.suppressed += 1;
    }

    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed
    }

    fn limit(&self) -> usize {
        // A product that should be whole may be a little less: 0.29 of 100 is 28.999999999999996.
        const SLACK: f64 = 1e-6;
        #[expect(clippy::cast_precision_loss, reason = "at most 2^24 breakers")]
        let share = self.share * self.breakers as f64 + SLACK;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^24; `as` rounds down")]
        let limit = share as usize;
        limit.max(1)
    }
}

/// Tells the observers, which may do anything.
pub(super) fn tell(observers: &[Observer], opening: &SuppressedOpening) {
    for observer in observers {
        contain(|| observer(opening));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(share: f64, breakers: usize) -> usize {
        let mut open = OpenShare::new(share);
        open.set_breakers(breakers);
        open.limit()
    }

    #[test]
    fn the_limit_is_the_share_rounded_down_and_at_least_one() {
        for (share, breakers, expected) in [(0.1, 0, 1), (0.1, 19, 1), (0.1, 20, 2), (0.29, 100, 29), (0.7, 10, 7)] {
            assert_eq!(limit(share, breakers), expected, "{share} of {breakers}");
        }
        assert_eq!(limit(1.0, 1 << 24), 1 << 24);
        assert_eq!(limit(f64::MIN_POSITIVE, 1 << 24), 1);
        for percent in 1..=100_u32 {
            assert_eq!(limit(f64::from(percent) / 100.0, 100), percent as usize);
        }
    }

    #[test]
    fn a_reservation_takes_a_place_until_it_is_given_back() {
        let mut open = OpenShare::new(1.0);
        open.set_breakers(1);
        assert!(open.reserve(1) && open.reserve(1) && !open.reserve(2));
        open.release(1);
        open.follow(1, State::Closed);
        assert!(!open.reserve(2));
        open.release(1);
        open.follow(1, State::Closed);
        assert!(open.reserve(2));
    }

    #[test]
    fn whoever_is_open_or_half_open_is_counted_once() {
        let mut open = OpenShare::new(0.5);
        open.set_breakers(4);
        for state in [State::Open, State::HalfOpen, State::Open] {
            open.follow(1, state);
        }
        assert!(open.reserve(2) && !open.reserve(3));
        open.follow(1, State::ForcedOpen);
        assert!(open.reserve(3));
        open.forget(2);
        assert!(open.reserve(4));
    }
}
