//! What a source knows of breakers, whatever the source is.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Overview {
    /// Milliseconds since 1970, by the clock of the source.
    pub(super) at: u64,
    pub(super) instance: String,
    pub(super) version: String,
    pub(super) access: Access,
    pub(super) states: States,
    pub(super) registries: Vec<Registry>,
    pub(super) matched: usize,
    pub(super) breakers: Vec<Breaker>,
    /// If the source is a fleet's store, which knows no calls: the fleet's name and the number of its live members.
    #[serde(skip)]
    pub(super) fleet: Option<(String, u64)>,
}

/// What the caller may do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Access {
    pub(super) actor: Option<String>,
    pub(super) actions: Vec<String>,
}

/// How many breakers are in each state.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(super) struct States {
    pub(super) closed: u64,
    pub(super) open: u64,
    pub(super) half_open: u64,
    pub(super) forced_open: u64,
    pub(super) forced_closed: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Registry {
    pub(super) name: String,
    #[serde(default = "yes")]
    pub(super) is_readable: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Breaker {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) registry: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) since: u64,
    #[serde(default)]
    pub(super) since_is_known: bool,
    pub(super) cause: Option<String>,
    pub(super) retry_at: Option<u64>,
    #[serde(default)]
    pub(super) calls_per_second: f64,
    #[serde(default)]
    pub(super) errors_per_second: f64,
    #[serde(default)]
    pub(super) rejected_per_second: f64,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
    pub(super) last_error: Option<LastError>,
    /// When a hold of this process ends by itself.
    pub(super) hold_ends_at: Option<u64>,
    /// What the source says about the breaker, for people.
    #[serde(skip)]
    pub(super) note: Option<String>,
}

/// A rule that can open the breaker.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rule {
    #[serde(rename = "rule")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) is_judged: bool,
    /// The share of the way to the threshold.
    #[serde(default)]
    pub(super) pressure: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct LastError {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) message: Option<String>,
}

/// One breaker with its events.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Detail {
    pub(super) breaker: Breaker,
    #[serde(default)]
    pub(super) events: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    pub(super) number: u64,
    pub(super) at: u64,
    #[serde(flatten)]
    pub(super) what: What,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum What {
    Transition {
        from: String,
        to: String,
        sequence: u64,
        #[serde(default)]
        changes: u64,
        cause: Option<String>,
        rejected: Option<u64>,
        window: Option<Window>,
    },
    Act {
        action: String,
        actor: String,
        reason: String,
        scope: Option<String>,
        for_ms: Option<u64>,
    },
    /// What a fleet says of the breaker.
    Fleet {
        text: String,
    },
    /// Of a newer console.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Window {
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) slow_calls: u64,
}

impl Breaker {
    /// The registry and the name as one text, to tell breakers apart.
    pub(super) fn place(&self) -> String {
        let name = super::text::printable(&self.name);
        match &self.registry {
            Some(registry) => format!("{name} (registry {})", super::text::printable(registry)),
            None => name.into_owned(),
        }
    }
}
