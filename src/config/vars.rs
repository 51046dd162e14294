use std::env;
use std::ffi::OsStr;

use super::{Config, ConfigError, validate};

impl Config {
    /// Reads the settings from the environment variables with this prefix. With the prefix `PAYMENTS_BREAKER_`,
    /// `PAYMENTS_BREAKER_RESET_TIMEOUT=10s` sets the `reset_timeout`. [`Config`] lists the names and the forms.
    ///
    /// Names match exactly, in upper case. Give each breaker its own prefix, because any other variable that
    /// starts with it is an error. A variable that is not set leaves its field unset, so there may be none at
    /// all.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Config};
    ///
    /// # fn main() -> Result<(), tripcoil::ConfigError> {
    /// let payments = CircuitBreaker::builder("payments")
    ///     .error_threshold(3) // overridden by PAYMENTS_BREAKER_ERROR_THRESHOLD
    ///     .config(Config::from_env("PAYMENTS_BREAKER_")?)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the variable if its value makes no sense, is out of range or contradicts another one,
    /// and if there is no such setting; it then names the one that was probably meant. What contradicts a setting from
    /// elsewhere is found by [`Builder::build`](crate::Builder::build), whose error names the variable too.
    pub fn from_env(prefix: &str) -> Result<Config, ConfigError> {
        Config::from_vars(prefix, env::vars_os())
    }

    /// Like [`from_env`](Self::from_env), but from pairs of a name and a value. If a name occurs twice, the
    /// later value overrides the earlier one. Names without the prefix are skipped.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::Config;
    ///
    /// let config = Config::from_vars("PAYMENTS_BREAKER_", [
    ///     ("PAYMENTS_BREAKER_RESET_TIMEOUT", "1m 30s"),
    ///     ("PAYMENTS_URL", "https://payments.example"),
    /// ])?;
    /// assert_eq!(config.reset_timeout, Some(Duration::from_secs(90)));
    ///
    /// let typo = Config::from_vars("PAYMENTS_BREAKER_", [("PAYMENTS_BREAKER_RESET_TIMEUOT", "90s")]);
    /// assert_eq!(
    ///     typo.unwrap_err().to_string(),
    ///     "unknown setting `PAYMENTS_BREAKER_RESET_TIMEUOT`; did you mean `PAYMENTS_BREAKER_RESET_TIMEOUT`?",
    /// );
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as [`from_env`](Self::from_env).
    pub fn from_vars<N, V>(prefix: &str, vars: impl IntoIterator<Item = (N, V)>) -> Result<Config, ConfigError>
    where
        N: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let variable = |setting: &str| format!("{prefix}{}", setting.to_ascii_uppercase());
        let mut config = Config::default();
        for (name, value) in vars {
            if !name.as_ref().as_encoded_bytes().starts_with(prefix.as_bytes()) {
                continue;
            }
            let (name, value) = (name.as_ref().to_string_lossy(), value.as_ref().to_string_lossy());
            let Some(setting) = Config::NAMES.iter().find(|setting| *name == variable(setting)) else {
                let meant = nearest(&name[prefix.len()..].to_ascii_lowercase());
                return Err(ConfigError::unknown(name.into_owned(), meant, variable));
            };
            config.read(setting, &value, Some(name.into_owned()))?;
        }
        config.check()?;
        Ok(config)
    }

    /// Sets `name`, one of [`NAMES`](Self::NAMES), from text. It is `called` so where it was read, if not by
    /// its name.
    pub(super) fn read(&mut self, name: &'static str, text: &str, called: Option<String>) -> Result<(), ConfigError> {
        if !self.give(name, text) {
            return Err(ConfigError::new(name, format_args!("{text:?}"), validate::form(name)).called(called));
        }
        let value = self.value_of(name);
        self.origins.add(name, called, text.trim(), value);
        Ok(())
    }
}

/// The setting that was probably meant by `text`: the one that takes the fewest slips, which are insertions, removals,
/// replacements and swaps of neighbours. Beyond two slips a name that is a part of the text, or that the text is a part
/// of, comes first. `None` if every name is far.
pub(super) fn nearest(text: &str) -> Option<&'static str> {
    let rank = |name: &&str| {
        let slips = distance(text.as_bytes(), name.as_bytes());
        let is_part = text.len() >= SIMILAR_FROM && (name.contains(text) || text.contains(name));
        (slips > 2 && !is_part, slips)
    };
    let (name, (_, slips)) = Config::NAMES.iter().map(|name| (*name, rank(name))).min_by_key(|(_, rank)| *rank)?;
    let (is_distant, _) = rank(&name);
    (!is_distant || slips * 3 <= name.len()).then_some(name)
}

/// A text that is shorter is a part of too many names.
const SIMILAR_FROM: usize = 4;

fn distance(from: &[u8], to: &[u8]) -> usize {
    // The last rows of the table, the newest last. Each holds the distances from a prefix of `from`.
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=to.len()).collect()];
    for (i, &a) in from.iter().enumerate() {
        let [_, before, last] = rows;
        let mut row = vec![i + 1];
        for (j, &b) in to.iter().enumerate() {
            let mut slips = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == to[j - 1] && b == from[i - 1] {
                slips = slips.min(before[j - 1] + 1);
            }
            row.push(slips);
        }
        rows = [before, last, row];
    }
    rows[2][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_number_of_slips() {
        for (from, to, slips) in
            [("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("acb", "abc", 1), ("xbcd", "abc", 2)]
        {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), slips, "{from} {to}");
        }
    }

    #[test]
    fn a_slip_leads_back_to_the_setting() {
        for name in Config::NAMES {
            for at in 0..name.len() {
                let removed = [&name[..at], &name[at + 1..]].concat();
                let doubled = [&name[..=at], &name[at..]].concat();
                assert_eq!((nearest(&removed), nearest(&doubled)), (Some(*name), Some(*name)));
            }
        }
        assert_eq!(nearest("reset_timeuot"), Some("reset_timeout"));
        assert_eq!(nearest("max_half_open_capacity"), Some("half_open_capacity"));
        assert_eq!(nearest("threshold"), Some("error_threshold"));
        assert_eq!(nearest("timeout"), Some("reset_timeout"));
        assert_eq!(nearest("reset_tiemuot_"), Some("reset_timeout"));
    }

    #[test]
    fn what_is_far_from_every_setting_leads_nowhere() {
        for far in ["", "e", "url", "port", "log_level", "password", "_", "name", "retries", "x".repeat(300).as_str()] {
            assert_eq!(nearest(far), None, "{far}");
        }
    }
}
