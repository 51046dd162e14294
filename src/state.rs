use std::fmt;

/// The state of a circuit breaker.
///
/// ```
/// use tripcoil::{CircuitBreaker, State};
///
/// let breaker = CircuitBreaker::new("payments");
/// assert_eq!(breaker.state(), State::Closed);
/// assert_eq!(State::HalfOpen.to_string(), "half_open");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass, and their failures are counted.
    Closed,
    /// Calls are rejected until the reset timeout is over.
    Open,
    /// A few probes pass, to find out whether the dependency has recovered.
    HalfOpen,
    /// Calls are rejected until a manual transition or a reset.
    ForcedOpen,
    /// Calls pass whatever their outcome, until a manual transition or a reset.
    ForcedClosed,
}

impl State {
    /// The state's name in `snake_case`, as [`Display`](fmt::Display) prints it.
    ///
    /// ```
    /// assert_eq!(tripcoil::State::ForcedOpen.as_str(), "forced_open");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
            State::ForcedOpen => "forced_open",
            State::ForcedClosed => "forced_closed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn every_state_is_displayed_in_snake_case_and_takes_a_width() {
        let all = [
            (State::Closed, "closed"),
            (State::Open, "open"),
            (State::HalfOpen, "half_open"),
            (State::ForcedOpen, "forced_open"),
            (State::ForcedClosed, "forced_closed"),
        ];
        for (state, text) in all {
            assert_eq!(state.to_string(), text);
        }
        assert_eq!(format!("{:>6}|", State::Open), "  open|");
    }
}
