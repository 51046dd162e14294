use std::time::Duration;

use tripcoil::{Builder, Window};

/// Settings under which a breaker opens.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) colour: &'static str,
    pub(crate) set: fn(Builder) -> Builder,
}

const CALLS: Window = Window::calls(100);
const TIME: Window = Window::time(Duration::from_secs(10));
const SLOW: Duration = Duration::from_secs(1);

/// The first is the default, which the others are held against.
pub(crate) const RULES: [Rule; 6] = [
    Rule { name: "consecutive", title: "5 errors in a row (default)", colour: "#333333", set: |builder| builder },
    Rule {
        name: "error-calls",
        title: "error rate, last 100 calls",
        colour: "#0072b2",
        set: |builder| builder.error_rate(0.5).window(CALLS),
    },
    Rule {
        name: "error-time",
        title: "error rate, last 10 s",
        colour: "#56b4e9",
        set: |builder| builder.error_rate(0.5).window(TIME),
    },
    Rule {
        name: "slow-calls",
        title: "slow calls, last 100 calls",
        colour: "#d55e00",
        set: |builder| builder.slow_call_rate(0.5).slow_call_duration(SLOW).window(CALLS),
    },
    Rule {
        name: "slow-time",
        title: "slow calls, last 10 s",
        colour: "#e69f00",
        set: |builder| builder.slow_call_rate(0.5).slow_call_duration(SLOW).window(TIME),
    },
    Rule {
        name: "combined",
        title: "all three, last 10 s, minimum 5",
        colour: "#009e73",
        set: |builder| {
            let builder = builder.error_threshold(5).error_rate(0.5);
            builder.slow_call_rate(0.5).slow_call_duration(SLOW).window(TIME).minimum_calls(5)
        },
    },
];
