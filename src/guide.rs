//! The guide: concepts, recipes and background, beyond the documentation of the items.
//!
//! | page | what you find there |
//! |---|---|
//! | [`settings`] | the states, every setting with its default, configuration from files and the environment |
//! | [`choosing_rules`] | which rule suits which traffic, with measured figures |
//! | [`replay`] | trying settings on recorded calls and on synthetic incidents, and two presets |
//! | [`fleet`] | breakers that share their state across processes, over Redis or Valkey |
//! | [`timeouts`] | time-outs, dropped calls, permits, calls that hang |
//! | [`errors`] | rejections, `retry_after`, your own error types, which results count |
//! | [`recipes`] | fallbacks, retries, reqwest, tower, streams, one breaker for each host |
//! | [`testing`] | clocks that you move, paused time, injected breakers |
//! | [`observability`] | observers, counts, metrics, tracing |
//! | [`recovery`] | a growing share of the calls between the probes and the close |
//! | [`operating`] | an outage from the first alert to the release, and what to do about each alert |
//! | [`reconfiguration`] | new settings at run time, shadows, manual control |
//! | [`proof`] | what is checked, and how to check it yourself |
//! | [`design`] | the atomic word, memory ordering, costs, limits |
//! | [`compare`] | other breakers, speed, migration |

/// A page of `docs/`. Its own link definitions are for viewers of the repository; of two definitions the first applies.
macro_rules! pages {
    ($($name:ident: $file:literal $(, $picture:literal)*;)*) => {
        $(
            $(#[doc = include_str!(concat!("guide/", $picture, ".md"))])*
            /// [choosing rules]: crate::guide::choosing_rules
            /// [console]: https://docs.rs/tripcoil-console
            /// [compare]: crate::guide::compare
            /// [design]: crate::guide::design
            /// [errors]: crate::guide::errors
            /// [fleet]: crate::guide::fleet
            /// [observability]: crate::guide::observability
            /// [operating]: crate::guide::operating
            /// [proof]: crate::guide::proof
            /// [recipes]: crate::guide::recipes
            /// [reconfiguration]: crate::guide::reconfiguration
            /// [recovery]: crate::guide::recovery
            /// [replay]: crate::guide::replay
            /// [settings]: crate::guide::settings
            /// [testing]: crate::guide::testing
            /// [time-outs]: crate::guide::timeouts
            /// [`Builder`]: crate::Builder
            /// [`Call`]: crate::Call
            /// [`Config`]: crate::Config
            /// [`ConfigError`]: crate::ConfigError
            /// [`Dropped`]: crate::Dropped
            /// [`Dropped::FailureAfter`]: crate::Dropped::FailureAfter
            /// [`Exporter`]: https://docs.rs/tripcoil/latest/tripcoil/struct.Exporter.html
            /// [`Metrics`]: crate::Metrics
            /// [`Outcome`]: crate::Outcome
            /// [`Outcome::Trip`]: crate::Outcome::Trip
            /// [`Permit`]: crate::Permit
            /// [`Recovery`]: crate::Recovery
            /// [`Rejected`]: crate::Rejected
            /// [`Transition`]: crate::Transition
            /// [`Window`]: crate::Window
            /// [`WindowMetrics`]: crate::WindowMetrics
            /// [`metrics`]: crate::CircuitBreaker::metrics
            /// [`reconfigure`]: crate::CircuitBreaker::reconfigure
            /// [`Recovery::ramp`]: crate::Recovery::ramp
            /// [`Metrics::transition_count`]: crate::Metrics::transition_count
            /// [`Metrics::recovery`]: crate::Metrics::recovery
            /// [`Rejected::recovery_step`]: crate::Rejected::recovery_step
            /// [`Permit::is_probe`]: crate::Permit::is_probe
            /// [`Cause::ErrorRate`]: crate::Cause::ErrorRate
            /// [`Cause::SlowCallRate`]: crate::Cause::SlowCallRate
            /// [`Cause::Remote`]: crate::Cause::Remote
            /// [`Order::SlowClose`]: crate::Order::SlowClose
            /// [`release`]: crate::CircuitBreaker::release
            /// [`Cause::Recovered`]: crate::Cause::Recovered
            /// [`error_rate`]: crate::Builder::error_rate
            /// [`error_threshold`]: crate::Builder::error_threshold
            /// [`slow_call_rate`]: crate::Builder::slow_call_rate
            /// [`minimum_calls`]: crate::Builder::minimum_calls
            /// [`reset_backoff`]: crate::Builder::reset_backoff
            /// [`acquire`]: crate::CircuitBreaker::acquire
            /// [`acquire_blocking`]: crate::CircuitBreaker::acquire_blocking
            /// [`reset`]: crate::CircuitBreaker::reset
            /// [stripes]: crate::guide::design
            /// [`state`]: crate::CircuitBreaker::state
            ///
            #[doc = include_str!(concat!("../docs/", $file))]
            pub mod $name {}
        )*
    };
}

pages! {
    settings: "settings.md";
    choosing_rules: "choosing-rules.md", "choosing-rules.svg";
    replay: "replay.md", "replay.svg";
    fleet: "fleet.md";
    timeouts: "timeouts.md";
    errors: "errors.md";
    recipes: "recipes.md";
    testing: "testing.md";
    observability: "observability.md";
    operating: "operating.md", "operating/after.png", "operating/alert.png", "operating/breaker.png", "operating/hold.png", "operating/overview.png";
    reconfiguration: "reconfiguration.md";
    recovery: "recovery.md";
    proof: "proof.md";
    design: "design.md";
    compare: "compare.md", "speed.svg";
}
