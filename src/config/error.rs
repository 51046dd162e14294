use std::fmt;

/// A setting that [`Builder::build`](crate::Builder::build) does not take, or that could not be read: which, its value,
/// and what would be allowed.
///
/// ```
/// use tripcoil::CircuitBreaker;
///
/// let error = CircuitBreaker::builder("payments").error_threshold(0).build().unwrap_err();
/// assert_eq!((error.setting(), error.value(), error.allowed()), ("error_threshold", "0", "1 to 4294967295"));
/// assert_eq!(error.to_string(), "`error_threshold` is 0, allowed is 1 to 4294967295");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    setting: &'static str,
    /// What it was called where it came from, if not by its name.
    called: Option<String>,
    value: String,
    allowed: String,
    /// Whether there is no setting of that name, and `setting` is the nearest.
    is_unknown: bool,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        ConfigError { setting, called: None, value: value.to_string(), allowed: allowed.into(), is_unknown: false }
    }

    /// `called` is no setting; `nearest`, which would be called `instead`, is the one that was probably meant.
    pub(super) fn unknown(nearest: &'static str, called: String, instead: String) -> Self {
        ConfigError {
            setting: nearest,
            value: called.clone(),
            called: Some(called),
            allowed: instead,
            is_unknown: true,
        }
    }

    /// The setting was called so where it came from.
    pub(super) fn called(self, name: String) -> Self {
        ConfigError { called: Some(name), ..self }
    }

    /// The name of the setting, as the builder has it. Of a name that is no setting's, the nearest one.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// The value that was given. If there is no such setting, the name that was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The values that are allowed. If there is no such setting, the name that was probably meant.
    #[must_use]
    pub fn allowed(&self) -> &str {
        &self.allowed
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigError { value, allowed, .. } = self;
        let called = self.called.as_deref().unwrap_or(self.setting);
        if self.is_unknown {
            write!(f, "`{called}` is no setting, the nearest is `{allowed}`")
        } else {
            write!(f, "`{called}` is {value}, allowed is {allowed}")
        }
    }
}

impl std::error::Error for ConfigError {}
