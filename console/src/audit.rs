use std::fmt;
use std::time::{Duration, SystemTime};

use tripcoil::State;

use crate::access::Action;

/// An attempt to act through the console: who, what, why, and the result.
///
/// [`Console::on_audit`](crate::Console::on_audit) receives every attempt. With the feature `tracing`, each attempt
/// is also an event with the target `tripcoil_console`. Its level is `WARN` if the act was done, because it changes
/// how calls are treated, and `INFO` if it was refused.
///
/// The `Display` output is ``ana: force_open `payments` because "provider is down": done``.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Audit {
    /// The time of the attempt.
    pub at: SystemTime,
    /// The actor that [`Access`](crate::Access) names. `None` if it names no actor, for example with read-only access.
    pub actor: Option<String>,
    /// The requested action.
    pub action: Action,
    /// Whether the action is for this process or for a fleet.
    pub scope: Scope,
    /// How long a forced state lasts. `None` means until it is released.
    pub lasts: Option<Duration>,
    /// The registry, if the action is for a breaker of a registry or for a whole registry.
    pub registry: Option<String>,
    /// The breaker. `None` for a whole registry.
    pub breaker: Option<String>,
    /// The reason that the operator gave.
    pub reason: String,
    /// The requested settings, as names and values. Empty unless the action is [`Action::Reconfigure`].
    pub settings: Vec<(String, String)>,
    /// The result of the attempt.
    pub outcome: AuditOutcome,
}

/// Where an action takes effect.
///
/// ```
/// assert_eq!(tripcoil_console::Scope::Fleet.as_str(), "fleet");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// In this process.
    #[default]
    Process,
    /// In all members of the fleet that the breaker has joined.
    Fleet,
}

impl Scope {
    /// Returns the scope's name in the JSON interface.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Process => "process",
            Scope::Fleet => "fleet",
        }
    }
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditOutcome {
    /// The action was done.
    #[non_exhaustive]
    Done {
        /// The state before and after. `None` for a whole registry.
        states: Option<(State, State)>,
    },
    /// The action was refused, and nothing changed.
    #[non_exhaustive]
    Refused {
        /// The reason for the refusal.
        because: String,
    },
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Audit { actor, action, scope, lasts, registry, breaker, reason, outcome, .. } = self;
        write!(f, "{}: {action} ", actor.as_deref().unwrap_or("unknown"))?;
        match (registry, breaker) {
            (Some(registry), Some(breaker)) => write!(f, "`{breaker}` of `{registry}`")?,
            (Some(name), None) => write!(f, "registry `{name}`")?,
            (None, name) => write!(f, "`{}`", name.as_deref().unwrap_or_default())?,
        }
        if *scope == Scope::Fleet {
            f.write_str(" in the whole fleet")?;
        }
        if let Some(lasts) = lasts {
            write!(f, " for {lasts:?}")?;
        }
        write!(f, " because {reason:?}: ")?;
        match outcome {
            AuditOutcome::Done { .. } => f.write_str("done"),
            AuditOutcome::Refused { because } => write!(f, "refused, {because}"),
        }
    }
}

#[cfg(feature = "tracing")]
pub(crate) fn trace(audit: &Audit) {
    macro_rules! event {
        ($level:ident, $done:literal) => {
            tracing::event!(
                target: "tripcoil_console",
                tracing::Level::$level,
                actor = audit.actor.as_deref(),
                action = audit.action.as_str(),
                scope = audit.scope.as_str(),
                registry = audit.registry.as_deref(),
                breaker = audit.breaker.as_deref(),
                reason = audit.reason.as_str(),
                done = $done,
                "{audit}",
            )
        };
    }
    match audit.outcome {
        AuditOutcome::Done { .. } => event!(WARN, true),
        AuditOutcome::Refused { .. } => event!(INFO, false),
    }
}
