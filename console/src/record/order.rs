//! The order of the overview: the worst first, and steady while little changes.

use std::cmp::Reverse;

use tripcoil::{Name, State};

use super::rules::{Rule, rules};
use super::{Group, Tracked};

/// Every breaker by group and address.
pub(super) fn worst_first(groups: &[Group]) -> Vec<(usize, usize)> {
    let mut all: Vec<_> = groups
        .iter()
        .enumerate()
        .flat_map(|(index, group)| {
            group.tracked.iter().map(move |(address, tracked)| (key(tracked), (index, *address)))
        })
        .collect();
    all.sort_unstable_by(|(one, at), (other, also)| {
        let rank = |(class, level, _): &(u8, Reverse<u8>, Name)| (*class, *level);
        rank(one).cmp(&rank(other)).then_with(|| one.2.as_ref().cmp(other.2.as_ref())).then_with(|| at.cmp(also))
    });
    all.into_iter().map(|(_, place)| place).collect()
}

fn key(tracked: &Tracked) -> (u8, Reverse<u8>, Name) {
    let class = match tracked.metrics.state {
        State::Open => 0,
        State::HalfOpen => 1,
        State::ForcedOpen => 2,
        State::ForcedClosed => 3,
        State::Closed => 4,
    };
    (class, Reverse(level(tracked)), tracked.metrics.name.clone())
}

/// In steps, so that rows do not change places with each call.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are between 0 and 200")]
fn level(tracked: &Tracked) -> u8 {
    match tracked.metrics.state {
        State::Closed => {
            let pressures = rules(&tracked.metrics, &tracked.thresholds).into_iter();
            let pressure = pressures.map(|rule| Rule::pressure(&rule)).fold(0.0, f64::max);
            let has_errors = u8::from(tracked.rates.errors > 0.0);
            (pressure * 8.0) as u8 * 2 + has_errors
        }
        _ => (tracked.rates.rejected + 1.0).log2().clamp(0.0, 200.0) as u8,
    }
}
