use std::fmt;

/// An invalid setting: its name, its value and the allowed range. Returned by
/// [`Builder::build`](crate::Builder::build), by
/// [`CircuitBreaker::reconfigure`](crate::CircuitBreaker::reconfigure) and by the functions that read a
/// [`Config`](crate::Config).
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
    /// Its name in its source, if that differs from the setting's name.
    called: Option<String>,
    value: String,
    allowed: String,
    /// Whether no setting has that name, and `setting` is the nearest one.
    is_unknown: bool,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        ConfigError { setting, called: None, value: value.to_string(), allowed: allowed.into(), is_unknown: false }
    }

    /// `called` is not the name of a setting. The nearest one is `nearest`, which its source would call
    /// `instead`.
    pub(super) fn unknown(nearest: &'static str, called: String, instead: String) -> Self {
        ConfigError {
            setting: nearest,
            value: called.clone(),
            called: Some(called),
            allowed: instead,
            is_unknown: true,
        }
    }

    /// The setting has this name in its source.
    pub(super) fn called(self, name: String) -> Self {
        ConfigError { called: Some(name), ..self }
    }

    /// The name of the setting, as in the builder. For an unknown name, the nearest setting.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// The value. For an unknown setting, the name as written.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The allowed values. For an unknown setting, the suggested name.
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
