use std::fmt;

/// An action that an operator can take on a breaker.
///
/// ```
/// assert_eq!(tripcoil_console::Action::ForceOpen.to_string(), "force_open");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Reject every call until the breaker is released:
    /// [`CircuitBreaker::force_open`](tripcoil::CircuitBreaker::force_open).
    ForceOpen,
    /// Admit every call until the breaker is released:
    /// [`CircuitBreaker::force_closed`](tripcoil::CircuitBreaker::force_closed).
    ForceClosed,
    /// End a forced state: [`CircuitBreaker::release`](tripcoil::CircuitBreaker::release).
    Release,
    /// Close the breaker and clear its counts: [`CircuitBreaker::reset`](tripcoil::CircuitBreaker::reset).
    Reset,
    /// Change its settings: [`CircuitBreaker::reconfigure`](tripcoil::CircuitBreaker::reconfigure), or
    /// [`Registry::reconfigure`](tripcoil::Registry::reconfigure) for a whole registry.
    Reconfigure,
}

impl Action {
    /// All actions.
    pub const ALL: [Action; 5] =
        [Action::ForceOpen, Action::ForceClosed, Action::Release, Action::Reset, Action::Reconfigure];

    /// Returns the action's name in `snake_case`. [`Display`](fmt::Display) and the JSON interface use the same name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::ForceOpen => "force_open",
            Action::ForceClosed => "force_closed",
            Action::Release => "release",
            Action::Reset => "reset",
            Action::Reconfigure => "reconfigure",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the sender of a request may see and do, as [`Console::access`](crate::Console::access) decides.
///
/// ```
/// use tripcoil_console::{Access, Action};
///
/// let on_call = Access::Full { actor: "ana".into() };
/// let support = Access::Some { actor: "support".into(), actions: vec![Action::Release] };
/// assert_ne!(on_call, support);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// No access. The server answers every request with 403.
    Forbidden,
    /// Read-only access. This is the default.
    ReadOnly,
    /// Read access, and the listed actions in this process. The page does not offer other actions, and the server
    /// refuses them.
    Some {
        /// The name of the sender, for the audit.
        actor: String,
        /// The allowed actions.
        actions: Vec<Action>,
    },
    /// Read access, and the listed actions, in this process and for the fleet that a breaker has joined.
    Fleet {
        /// The name of the sender, for the audit.
        actor: String,
        /// The allowed actions.
        actions: Vec<Action>,
    },
    /// Read access, and all actions, in this process and for fleets.
    Full {
        /// The name of the sender, for the audit.
        actor: String,
    },
}

impl Access {
    pub(crate) fn actions(&self) -> &[Action] {
        match self {
            Access::Forbidden | Access::ReadOnly => &[],
            Access::Some { actions, .. } | Access::Fleet { actions, .. } => actions,
            Access::Full { .. } => &Action::ALL,
        }
    }

    pub(crate) fn allows(&self, action: Action) -> bool {
        self.actions().contains(&action)
    }

    pub(crate) fn allows_for_fleets(&self) -> bool {
        matches!(self, Access::Fleet { .. } | Access::Full { .. })
    }

    pub(crate) fn actor(&self) -> Option<&str> {
        match self {
            Access::Forbidden | Access::ReadOnly => None,
            Access::Some { actor, .. } | Access::Fleet { actor, .. } | Access::Full { actor } => Some(actor),
        }
    }
}
