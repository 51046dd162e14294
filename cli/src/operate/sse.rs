//! Server-sent events.

use std::io::{self, BufRead, Read};

/// The longest line that is taken: the first event of a thousand breakers with long names.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// The kind of event; empty if it has none.
    pub(super) event: String,
    pub(super) data: String,
}

/// Reads the messages of one connection.
pub(super) struct Messages<R> {
    lines: R,
    longest: u64,
}

impl<R: BufRead> Messages<R> {
    pub(super) fn new(lines: R) -> Self {
        Messages { lines, longest: LONGEST_LINE }
    }

    /// The next message that has data. `None` at the end of the stream, where a message that is not complete is dropped.
    pub(super) fn next(&mut self) -> io::Result<Option<Message>> {
        let mut message = Message::default();
        let mut has_data = false;
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            if line.is_empty() {
                if has_data {
                    return Ok(Some(message));
                }
                message = Message::default();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut message.event),
                "data" => {
                    if has_data {
                        message.data.push('\n');
                    }
                    if message.data.len() as u64 + value.len() as u64 > self.longest {
                        return Err(too_long());
                    }
                    message.data.push_str(value);
                    has_data = true;
                }
                // Comments begin with a colon; `retry` and `id` are for browsers.
                _ => {}
            }
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let read = (&mut self.lines).take(self.longest).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return if read as u64 == self.longest { Err(too_long()) } else { Ok(None) };
        }
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map(Some).map_err(|_| io::Error::other("an event is not UTF-8"))
    }
}

fn too_long() -> io::Error {
    io::Error::other("an event is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str, data: &str) -> Message {
        Message { event: event.into(), data: data.into() }
    }

    #[test]
    fn messages_are_taken_apart() {
        let text =
            "retry: 2000\nevent: overview\ndata: {}\n\n: comment\n\nevent: lost\n\ndata:a\r\ndata: b\r\n\r\ndata: cut";
        let mut messages = Messages::new(text.as_bytes());
        assert_eq!(messages.next().unwrap().unwrap(), message("overview", "{}"));
        assert_eq!(messages.next().unwrap().unwrap(), message("", "a\nb"));
        assert_eq!(messages.next().unwrap(), None);
    }

    #[test]
    fn no_message_grows_without_end() {
        let line = "x".repeat(1_000);
        assert!(Messages { lines: line.as_bytes(), longest: 100 }.next().unwrap_err().to_string().contains("too long"));
        let many = "data: 0123456789\n".repeat(50);
        assert!(Messages { lines: many.as_bytes(), longest: 100 }.next().is_err());
    }
}
