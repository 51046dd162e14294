use std::fmt;
use std::io;
use std::path::Path;

/// Why the command ends without its result.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Something could not be read or written, or there was nothing to replay.
    pub(crate) fn run(message: impl Into<String>) -> Self {
        Failure { code: 1, message: message.into() }
    }

    /// The command line or the policies make no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure { code: 2, message: message.into() }
    }

    /// A line was bad under `--strict`.
    pub(crate) fn strict(message: impl Into<String>) -> Self {
        Failure { code: 3, message: message.into() }
    }

    /// The console cannot be reached, or what answers is no console.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Failure { code: 4, message: message.into() }
    }

    /// The caller may not do this.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Failure { code: 5, message: message.into() }
    }

    /// There is no such breaker.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Failure { code: 6, message: message.into() }
    }

    /// Several breakers have this name, or there is nothing to release.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Failure { code: 7, message: message.into() }
    }

    /// Nobody confirmed it.
    pub(crate) fn unconfirmed(message: impl Into<String>) -> Self {
        Failure { code: 8, message: message.into() }
    }

    pub(crate) const fn is_unreachable(&self) -> bool {
        self.code == 4
    }

    pub(crate) const fn is_unknown(&self) -> bool {
        self.code == 6
    }

    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Failure::run(format!("{}: {error}", path.display()))
    }

    pub(crate) const fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
