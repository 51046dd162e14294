use std::io::{self, BufRead};

use memchr::memchr;

/// The lines of an input, none of which takes more than a bounded room.
pub(super) struct Lines<R> {
    input: R,
    most: usize,
    line: Vec<u8>,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// Without its end.
    Text(&'a [u8]),
    TooLong,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, most: usize) -> Self {
        Lines { input, most, line: Vec::new(), number: 0 }
    }

    /// The next line and its number, from 1; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        self.line.clear();
        let Some(fits) = self.fill()? else { return Ok(None) };
        self.number += 1;
        if !fits {
            return Ok(Some((self.number, Line::TooLong)));
        }
        let mut line = &*self.line;
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Some((self.number, Line::Text(line))))
    }

    /// Reads to the end of the line; whether it fits, or `None` at the end of the input.
    fn fill(&mut self) -> io::Result<Option<bool>> {
        let mut fits = true;
        let mut is_empty = true;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok([]) => return Ok((!is_empty).then_some(fits)),
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            is_empty = false;
            let end = memchr(b'\n', chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            fits &= self.line.len() + part.len() <= self.most;
            if fits {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(fits));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(text: &[u8]) -> Vec<String> {
        let mut lines = Lines::new(BufReader::with_capacity(3, text), 5);
        let mut seen = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            seen.push(match line {
                Line::Text(text) => format!("{number} {}", String::from_utf8_lossy(text)),
                Line::TooLong => format!("{number} too long"),
            });
        }
        seen
    }

    #[test]
    fn ends_of_lines_and_a_byte_order_mark_are_taken_off() {
        assert_eq!(lines(b"\xEF\xBB\xBFa\r\n\nb"), ["1 a", "2 ", "3 b"]);
        assert_eq!(lines(b""), [""; 0]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        assert_eq!(lines(b"12345\n1234567890\nabc\n123456"), ["1 12345", "2 too long", "3 abc", "4 too long"]);
    }
}
