use tripcoil::State;

use crate::record::Ending;
use crate::script::Condition;

pub(crate) const GRID: &str = "#dddddd";
pub(crate) const EDGE: &str = "#888888";

const DARK: &str = "#222222";

/// How something is named and coloured: the same hue for what belongs together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    pub(crate) fill: &'static str,
    pub(crate) ink: &'static str,
}

const fn look(name: &'static str, fill: &'static str, ink: &'static str) -> Look {
    Look { name, fill, ink }
}

impl From<Condition> for Look {
    fn from(condition: Condition) -> Self {
        let fill = match condition {
            Condition::Healthy | Condition::Helped => "#cfeee0",
            Condition::Failing => "#f9cfb5",
            Condition::Down => "#cccccc",
            Condition::Recovering => "#fbeeb0",
        };
        look(condition.as_str(), fill, DARK)
    }
}

impl From<State> for Look {
    fn from(state: State) -> Self {
        match state {
            State::Closed => look("closed", "#cfeee0", DARK),
            State::HalfOpen => look("half-open", "#f0c419", DARK),
            State::Open => look("open", "#0072b2", "#ffffff"),
            State::ForcedOpen => look("forced open", "#003d61", "#ffffff"),
            State::ForcedClosed => look("forced closed", "#8fd6b8", DARK),
        }
    }
}

impl From<Ending> for Look {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Good => look("succeeded", "#009e73", DARK),
            Ending::Failed => look("failed or not answered in time", "#d55e00", DARK),
            Ending::Refused => look("connection refused", "#555555", DARK),
            Ending::Rejected => look("rejected by the breaker", "#0072b2", DARK),
        }
    }
}
