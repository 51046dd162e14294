//! Which requests come from the console's own page.

use ::http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use ::http::request::Parts;
use ::http::{HeaderMap, StatusCode};

use super::answer::Refusal;

/// A header that no form can send, and that another origin's script cannot send without being asked for it first.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-tripcoil-console");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a write unless the browser says that it comes from the page itself.
pub(super) fn write(parts: &Parts, origins: &[String]) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::new(StatusCode::FORBIDDEN, why));
    if text(&parts.headers, &HEADER) != Some("1") {
        return refuse("the header `x-tripcoil-console: 1` is missing");
    }
    let is_json = text(&parts.headers, &CONTENT_TYPE)
        .is_some_and(|content| content.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
    if !is_json {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body has to be application/json"));
    }
    match (text(&parts.headers, &SEC_FETCH_SITE), text(&parts.headers, &ORIGIN)) {
        (Some("same-origin"), _) => Ok(()),
        (Some(_), Some(origin)) if is_allowed(origin, origins) => Ok(()),
        (Some(_), _) => refuse("the request comes from another site"),
        (None, Some(origin)) if is_allowed(origin, origins) || is_same(origin, parts) => Ok(()),
        (None, Some(_)) => refuse("the request comes from another origin"),
        (None, None) => refuse("the request has neither `Sec-Fetch-Site` nor `Origin`"),
    }
}

/// Refuses what a page of another origin asks for. It could not read the answer, but could keep connections open.
pub(super) fn read(parts: &Parts) -> Result<(), Refusal> {
    match text(&parts.headers, &SEC_FETCH_SITE) {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(Refusal::new(StatusCode::FORBIDDEN, "the request comes from another site")),
    }
}

fn is_allowed(origin: &str, origins: &[String]) -> bool {
    origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

/// Whether the origin is the host that was asked. A proxy may speak HTTPS where this server speaks HTTP.
fn is_same(origin: &str, parts: &Parts) -> bool {
    let host = parts.uri.authority().map(::http::uri::Authority::as_str).or_else(|| text(&parts.headers, &HOST));
    let of_origin = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    matches!((of_origin, host), (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host))
}

/// `None` if it is missing, is no text, or is there more than once.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { Some("") } else { Some(value.to_str().unwrap_or("")) }
}

/// Whether `host`, as a request names it, is one that a browser cannot be led to by somebody else's domain.
#[cfg(feature = "serve")]
pub(crate) fn is_known_host(parts: &Parts, allowed: &[String]) -> bool {
    let asked = match (parts.uri.authority(), text(&parts.headers, &HOST)) {
        (Some(authority), _) => authority.as_str().to_ascii_lowercase(),
        (None, Some(host)) => host.to_ascii_lowercase(),
        (None, None) => return false,
    };
    let Ok(authority) = asked.parse::<::http::uri::Authority>() else { return false };
    // A user's name before an `@` has no place in a `Host`.
    if asked.contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok()
        || allowed.iter().any(|allowed| *allowed == asked || allowed == name)
}

#[cfg(test)]
mod tests {
    use ::http::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/api/act");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const OWN: [(&str, &str); 3] =
        [("x-tripcoil-console", "1"), ("content-type", "application/json"), ("host", "ops.example:9000")];

    fn is_written(more: &[(&str, &str)]) -> bool {
        write(&parts(&[&OWN[..], more].concat()), &["https://front.example".into()]).is_ok()
    }

    #[test]
    fn a_write_comes_from_the_page_itself() {
        for of_page in [
            &[("sec-fetch-site", "same-origin")][..],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://behind.a.proxy.example")],
            &[("origin", "http://ops.example:9000")],
            &[("origin", "https://OPS.example:9000")],
            &[("origin", "https://front.example")],
            &[("origin", "https://front.example"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(is_written(of_page), "{of_page:?}");
        }
    }

    #[test]
    fn a_write_from_elsewhere_is_refused() {
        for from_elsewhere in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://ops.example:9000")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
            &[("origin", "null")],
            &[("origin", "http://ops.example")],
            &[("origin", "http://ops.example:9000.evil.example")],
            &[("origin", "ftp://ops.example:9000")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!is_written(from_elsewhere), "{from_elsewhere:?}");
        }
        for (missing, (name, _)) in OWN.iter().enumerate().take(2) {
            let mut headers = OWN.to_vec();
            headers.remove(missing);
            headers.push(("sec-fetch-site", "same-origin"));
            assert!(write(&parts(&headers), &[]).is_err(), "without {name}");
        }
        let form = [OWN[0], OWN[2], ("content-type", "text/plain"), ("sec-fetch-site", "same-origin")];
        assert!(write(&parts(&form), &[]).is_err());
    }

    #[cfg(feature = "serve")]
    #[test]
    fn a_host_is_known_if_no_one_elses_domain_can_be_it() {
        let allowed = ["ops.example".to_owned(), "other.example:9000".into()];
        let is_known = |host: &str| is_known_host(&parts(&[("host", host)]), &allowed);
        for known in [
            "localhost",
            "LOCALHOST:9000",
            "127.0.0.1:9000",
            "[::1]:9000",
            "192.0.2.7",
            "ops.example:1",
            "other.example:9000",
        ] {
            assert!(is_known(known), "{known}");
        }
        for unknown in [
            "evil.example",
            "evil.example:9000",
            "ops.example.evil.example",
            "other.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "user@localhost",
            "",
            " ",
        ] {
            assert!(!is_known(unknown), "{unknown}");
        }
        assert!(!is_known_host(&parts(&[]), &allowed));
        assert!(!is_known_host(&parts(&[("host", "localhost"), ("host", "evil.example")]), &allowed));
    }
}
