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
///
/// A setting that was read as text keeps the name and the value as written:
///
/// ```
/// use tripcoil::{CircuitBreaker, Config};
///
/// let config = Config::from_vars("PAYMENTS_", [("PAYMENTS_RESET_BACKOFF", "2.0 up to 1m 30s")])?;
/// let error = CircuitBreaker::builder("payments").reset_timeout(std::time::Duration::from_secs(120)).config(config).build();
/// assert_eq!(
///     error.unwrap_err().to_string(),
///     "`PAYMENTS_RESET_BACKOFF` is 1m 30s, allowed is a maximum of at least the reset_timeout, 120s",
/// );
/// # Ok::<(), tripcoil::ConfigError>(())
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

    /// `called` is no setting; `nearest`, if there is one, was probably meant. `name` makes of a setting what it is called
    /// where `called` was read.
    pub(super) fn unknown(called: String, nearest: Option<&'static str>, name: impl FnOnce(&str) -> String) -> Self {
        ConfigError {
            setting: nearest.unwrap_or_default(),
            value: called.clone(),
            called: Some(called),
            allowed: nearest.map(name).unwrap_or_default(),
            is_unknown: true,
        }
    }

    /// The setting has this name in its source.
    pub(super) fn called(self, name: Option<String>) -> Self {
        ConfigError { called: name, ..self }
    }

    /// The setting was called so where it came from, if not by its name, and its value was written so, if otherwise.
    pub(super) fn read_from(self, called: Option<String>, value: Option<String>) -> Self {
        ConfigError { called, value: value.unwrap_or(self.value), ..self }
    }

    /// The name of the setting, as in the builder. For an unknown setting, the suggested one; empty if none is
    /// similar.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// The value. For an unknown setting, the name as written.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The allowed values. For an unknown setting, the suggested name; empty if none is similar.
    #[must_use]
    pub fn allowed(&self) -> &str {
        &self.allowed
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigError { value, allowed, .. } = self;
        let called = self.called.as_deref().unwrap_or(self.setting);
        match self.is_unknown {
            true if allowed.is_empty() => write!(f, "unknown setting `{called}`"),
            true => write!(f, "unknown setting `{called}`; did you mean `{allowed}`?"),
            false => write!(f, "`{called}` is {value}, allowed is {allowed}"),
        }
    }
}

impl std::error::Error for ConfigError {}
