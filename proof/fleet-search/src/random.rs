//! In place of the protocol's random numbers: always the smallest. What comes when is up to the search.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Random;

impl Random {
    pub(crate) const fn new(_: u64) -> Self {
        Random
    }

    #[expect(clippy::unused_self, reason = "as the real one")]
    pub(crate) fn number(&mut self) -> u64 {
        0
    }

    #[expect(clippy::unused_self, reason = "as the real one")]
    pub(crate) fn up_to(&mut self, _: Duration) -> Duration {
        Duration::ZERO
    }
}
