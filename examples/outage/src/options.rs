//! The options of a command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

/// A command line that makes no sense, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Nonsense(String);

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Nonsense {
    fn from(error: lexopt::Error) -> Self {
        Nonsense(error.to_string())
    }
}

/// The one that `value` names.
///
/// # Errors
///
/// If it names none; the message has all names.
pub fn one_of<T: Copy, const N: usize>(
    option: &str,
    value: &OsStr,
    all: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Result<T, Nonsense> {
    all.into_iter().find(|one| value == name(*one)).ok_or_else(|| {
        let names = all.map(name).join(", ");
        Nonsense(format!("{option} `{}`: not one of {names}", value.to_string_lossy()))
    })
}

/// A whole number.
///
/// # Errors
///
/// If it is none, or out of the range that is allowed.
pub fn number<N>(option: &str, value: &OsStr, allowed: &RangeInclusive<N>) -> Result<N, Nonsense>
where
    N: FromStr + PartialOrd + fmt::Display,
{
    value.to_str().and_then(|text| text.parse().ok()).filter(|number| allowed.contains(number)).ok_or_else(|| {
        let (low, high) = (allowed.start(), allowed.end());
        Nonsense(format!("{option} `{}`: not a whole number from {low} to {high}", value.to_string_lossy()))
    })
}

/// The path of a file.
///
/// # Errors
///
/// If it is empty.
pub fn path(option: &str, value: OsString) -> Result<PathBuf, Nonsense> {
    if value.is_empty() {
        return Err(Nonsense(format!("{option} ``: not the path of a file")));
    }
    Ok(value.into())
}
