use std::fmt;
use std::time::SystemTime;

use tripcoil::State;

use crate::access::Action;

/// An attempt to act through the console: who, what, why, and what came of it.
///
/// [`Console::on_audit`](crate::Console::on_audit) receives each of them. With the feature `tracing`, each is an event with
/// the target `tripcoil_console` too: `WARN` if it was done, for it changes how calls are treated, and `INFO` if it was refused.
///
/// It is displayed as ``ana: force_open `payments` because "provider is down": done``.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Audit {
    /// When it was.
    pub at: SystemTime,
    /// Who it was, as [`Access`](crate::Access) names them. `None` if the host named nobody, as with read-only access.
    pub actor: Option<String>,
    /// What was asked for.
    pub action: Action,
    /// The registry, if the breaker is in one or the whole registry was meant.
    pub registry: Option<String>,
    /// The breaker. `None` for a whole registry.
    pub breaker: Option<String>,
    /// Why, in the operator's words.
    pub reason: String,
    /// The settings that were given, as names and texts. Empty unless the action is [`Action::Reconfigure`].
    pub settings: Vec<(String, String)>,
    /// What came of it.
    pub outcome: AuditOutcome,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditOutcome {
    /// It was done.
    #[non_exhaustive]
    Done {
        /// The state before and after. `None` for a whole registry.
        states: Option<(State, State)>,
    },
    /// It was refused, and nothing changed.
    #[non_exhaustive]
    Refused {
        /// Why.
        because: String,
    },
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Audit { actor, action, registry, breaker, reason, outcome, .. } = self;
        write!(f, "{}: {action} ", actor.as_deref().unwrap_or("unknown"))?;
        match (registry, breaker) {
            (Some(registry), Some(breaker)) => write!(f, "`{breaker}` of `{registry}`")?,
            (Some(name), None) => write!(f, "registry `{name}`")?,
            (None, name) => write!(f, "`{}`", name.as_deref().unwrap_or_default())?,
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
