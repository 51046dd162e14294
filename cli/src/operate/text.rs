//! Text from a server, made safe to print.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a terminal could take it for more than a visible character: control characters, line and paragraph separators,
/// what changes the direction of text, and what has no width by itself and hides in a name.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text with everything escaped that would act on the terminal: `\n`, `\u{1b}`. A backslash stays as it is.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// JSON with the same characters as escapes of JSON. They can only be within its strings.
pub(crate) fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unsafe) {
        return json.into();
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        // The writer of the JSON put line feeds between the members.
        if is_unsafe(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// How many columns of a terminal it takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// At most `most` columns of it, with an ellipsis where it was cut.
pub(crate) fn fitted(text: &str, most: usize) -> Cow<'_, str> {
    // The width of a long text is not computed for nothing.
    if text.len() <= most || width(text) <= most {
        return text.into();
    }
    let mut taken = 0;
    let mut cut = String::new();
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken >= most {
            break;
        }
        cut.push(c);
    }
    if most > 0 {
        cut.push('…');
    }
    cut.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        for (hostile, shown) in [
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
            ("a\nb\rc\td", "a\\nb\\rc\\td"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("pay\u{202e}stnem", "pay\\u{202e}stnem"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
            ("größe 日本 \\ \"x\"", "größe 日本 \\ \"x\""),
        ] {
            assert_eq!(printable(hostile), shown);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"na\u{202e}me": "\u{9b}2J\u{e0001}ok\u{1b}\n"});
        let json = serde_json::to_string_pretty(&value).unwrap();
        let printed = printable_json(&json);
        assert!(printed.chars().all(|c| c == '\n' || !is_unsafe(c)), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }

    #[test]
    fn a_text_is_cut_to_columns_and_not_to_bytes() {
        assert_eq!(fitted("payments", 8), "payments");
        assert_eq!(fitted("payments", 7), "paymen…");
        assert_eq!(fitted("日本語", 6), "日本語");
        assert_eq!(fitted("日本語", 5), "日本…");
        assert_eq!(fitted("ab", 1), "…");
        assert_eq!(fitted("ab", 0), "");
    }
}
