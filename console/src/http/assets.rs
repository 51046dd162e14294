use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use ::http::request::Parts;
use ::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;

use super::body::Body;

/// A part of the page.
pub(super) struct Asset {
    path: &'static str,
    content_type: &'static str,
    text: Cow<'static, str>,
}

/// All of them take 50 KB at most.
const ASSETS: [Asset; 5] = [
    Asset {
        path: "",
        content_type: "text/html; charset=utf-8",
        text: Cow::Borrowed(include_str!("../../assets/console.html")),
    },
    Asset {
        path: "console.css",
        content_type: "text/css; charset=utf-8",
        text: Cow::Borrowed(include_str!("../../assets/console.css")),
    },
    Asset {
        path: "console.js",
        content_type: "text/javascript; charset=utf-8",
        text: Cow::Borrowed(include_str!("../../assets/console.js")),
    },
    Asset {
        path: "chart.js",
        content_type: "text/javascript; charset=utf-8",
        text: Cow::Borrowed(include_str!("../../assets/chart.js")),
    },
    Asset {
        path: "icon.svg",
        content_type: "image/svg+xml",
        text: Cow::Borrowed(include_str!("../../assets/icon.svg")),
    },
];

pub(super) fn find(path: &str) -> Option<&'static Asset> {
    static ALL: LazyLock<[Asset; 5]> = LazyLock::new(compact);
    ALL.iter().find(|asset| asset.path == path)
}

/// The assets without what only readers of the sources need.
fn compact() -> [Asset; 5] {
    ASSETS.map(|asset| {
        let is_script = asset.content_type.starts_with("text/javascript");
        let lines = asset.text.lines().map(str::trim_start);
        let lines = lines.filter(|line| !(line.is_empty() || is_script && line.starts_with("//")));
        let mut text = lines.collect::<Vec<_>>().join("\n");
        if is_script {
            text = without_blanks(&text);
        } else if asset.content_type.starts_with("text/css") {
            for (long, short) in [("\n", ""), (" {", "{"), ("{ ", "{"), (" }", "}"), (", ", ","), (" > ", ">")] {
                text = text.replace(long, short);
            }
        }
        Asset { text: text.into(), ..asset }
    })
}

/// A script without the blanks beside operators. Texts stay as they are; regular expressions may have no quotes.
fn without_blanks(script: &str) -> String {
    const OPERATORS: &str = "=<>+*&|?:,;(){}[]";
    let mut compact = String::with_capacity(script.len());
    // The quotes that are open, and braces within templates, the innermost last.
    let mut open: Vec<char> = Vec::new();
    let mut chars = script.chars().peekable();
    while let Some(char) = chars.next() {
        let quote = open.last().copied().filter(|open| *open != '{');
        match (quote, char) {
            (Some(_), '\\') => {
                compact.push(char);
                compact.extend(chars.next());
                continue;
            }
            (Some(quote), _) if quote == char => drop(open.pop()),
            (Some('`'), '$') if chars.peek() == Some(&'{') => {
                compact.push(char);
                compact.extend(chars.next());
                open.push('{');
                continue;
            }
            (None, '"' | '\'' | '`' | '{') => open.push(char),
            (None, '}') => drop(open.pop()),
            (None, ' ') => {
                let is_operator = |char: Option<char>| char.is_some_and(|char| OPERATORS.contains(char));
                if is_operator(compact.chars().next_back()) || is_operator(chars.peek().copied()) {
                    continue;
                }
            }
            _ => {}
        }
        compact.push(char);
    }
    compact
}

impl Asset {
    pub(super) fn respond(&'static self, parts: &Parts) -> Response<Body> {
        let text = match place(parts).filter(|_| self.path.is_empty()) {
            Some(place) => referring_to(&self.text, &place).into(),
            None => Bytes::from_static(self.text.as_bytes()),
        };
        let tag = tag(&text);
        let is_known = parts.headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let body = if is_known { Body::empty() } else { Body::full(text) };
        let mut response = Response::new(body);
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        // Asked for anew each time, for another version of the program may answer, and sent only if it has changed.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        response
    }
}

fn tag(text: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// The last part of the path that the browser asked for, if no `/` follows it. Its page refers to its parts relative to the
/// folder above.
fn place(parts: &Parts) -> Option<String> {
    #[cfg(feature = "axum")]
    let path = parts.extensions.get::<axum::extract::OriginalUri>()?.0.path();
    #[cfg(not(feature = "axum"))]
    let path = parts.uri.path();
    path.rsplit('/').next().filter(|last| !last.is_empty()).map(str::to_owned)
}

/// The page with references to its parts in the folder `place`. They stay relative: a proxy may have taken a prefix away.
fn referring_to(page: &str, place: &str) -> String {
    let mut escaped = String::new();
    for char in place.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '<' => escaped.push_str("&lt;"),
            _ => escaped.push(char),
        }
    }
    page.replace("=\"./", &format!("=\"./{escaped}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_page_takes_50_kb_at_most() {
        let bytes: usize = compact().iter().map(|asset| asset.text.len()).sum();
        assert!(bytes <= 50_000, "{bytes} bytes");
    }

    #[test]
    fn a_script_loses_blanks_and_its_texts_stay() {
        let script = "const a = (b, c) => `x = ${ b ? \"y , z\" : `${c} : d` } + \\` `; return a - b;";
        let expected = "const a=(b,c)=>`x = ${b?\"y , z\":`${c} : d`} + \\` `;return a - b;";
        assert_eq!(without_blanks(script), expected);
        assert_eq!(without_blanks("{ a: '{ ' } b"), "{a:'{ '}b");
    }

    #[test]
    fn the_page_refers_to_its_folder_from_above() {
        let page = referring_to(&ASSETS[0].text, "a:b&\"<");
        assert!(page.contains("src=\"./a:b&amp;&quot;&lt;/console.js\""));
        assert_eq!(page.matches("./a:b&amp;").count(), 5);
        assert!(!page.contains("=\"console.") && !page.contains("=\"icon."));
    }

    #[test]
    fn the_page_has_nothing_inline_and_nothing_from_elsewhere() {
        for Asset { path, text, .. } in &ASSETS {
            let from_elsewhere = text.replace("http://www.w3.org/2000/svg", "");
            for forbidden in ["https://", "http://", "//cdn", " style=", " onclick=", "innerHTML", "eval(", "<style"] {
                assert!(!from_elsewhere.contains(forbidden), "{path} has {forbidden}");
            }
        }
    }
}
