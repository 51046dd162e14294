//! What the server writes down of its requests, one line each, and how it is read.

use outage::health::Passage;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock, which all processes share.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let [seconds, nanos] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or_default());
    seconds * 1_000_000_000 + nanos
}

/// What a request's path says of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) call: u64,
    /// The half-open episode that surely admitted the call, by the number of the transition that began it.
    pub(crate) episode: Option<u64>,
}

impl Tag {
    pub(crate) fn path(self) -> String {
        let Tag { call, episode } = self;
        match episode {
            Some(episode) => format!("/probe/{episode}/{call}"),
            None => format!("/call/{call}"),
        }
    }

    pub(crate) fn of(path: &str) -> Option<Tag> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let episode = match parts.next()? {
            "probe" => Some(parts.next()?.parse().ok()?),
            "call" => None,
            _ => return None,
        };
        let call = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Tag { call, episode })
    }
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) passage: Passage,
    pub(crate) path: String,
    pub(crate) at: u64,
}

impl Entry {
    pub(crate) fn line(passage: Passage, path: &str, at: u64) -> String {
        format!("{} {path} {at}\n", word(passage))
    }

    pub(crate) fn of(line: &str) -> Option<Entry> {
        let mut words = line.split(' ');
        let first = words.next()?;
        let passage = [Passage::Came, Passage::Answered, Passage::Left].into_iter().find(|it| word(*it) == first)?;
        let (path, at) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        words.next().is_none().then_some(Entry { passage, path, at })
    }
}

fn word(passage: Passage) -> &'static str {
    match passage {
        Passage::Came => "came",
        Passage::Answered => "answered",
        Passage::Left => "left",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for tag in [Tag { call: 7, episode: None }, Tag { call: 8, episode: Some(3) }] {
            assert_eq!(Tag::of(&tag.path()), Some(tag));
            for passage in [Passage::Came, Passage::Answered, Passage::Left] {
                let line = Entry::line(passage, &tag.path(), 42);
                assert_eq!(Entry::of(line.trim_end()), Some(Entry { passage, path: tag.path(), at: 42 }));
            }
        }
    }

    #[test]
    fn what_was_cut_off_is_not_taken_for_a_line() {
        for line in ["", "came", "came /call/7", "came /call/7 ", "gone /call/7 42", "came /call/7 42 1"] {
            assert_eq!(Entry::of(line), None, "{line}");
        }
        for path in ["/call", "/call/", "/probe/7", "/probe/x/7", "/mark/7", "/call/7/8"] {
            assert_eq!(Tag::of(path), None, "{path}");
        }
    }
}
