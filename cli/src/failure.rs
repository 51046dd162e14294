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
