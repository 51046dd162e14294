use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use ureq::http::Uri;

/// Where a console is, and how to log in there. Neither of its formats shows the password.
#[derive(Clone)]
pub(crate) struct Address {
    /// Without credentials, and with a slash at its end.
    base: String,
    /// As in a browser: scheme, host and port.
    origin: String,
    is_loopback: bool,
    has_credentials: bool,
    /// The value of `Authorization` that the credentials of the URL make.
    authorization: Option<String>,
}

impl Address {
    /// The URL of a path of the console.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl FromStr for Address {
    type Err = String;

    /// No error repeats the URL, which may hold a password.
    fn from_str(text: &str) -> Result<Address, String> {
        let example = "such as http://127.0.0.1:9000/breakers";
        let uri: Uri = text.parse().map_err(|error| format!("is no URL ({error}); allowed is one {example}"))?;
        let Some(scheme @ ("http" | "https")) = uri.scheme_str() else {
            return Err(format!("the URL has to begin with http:// or https://, {example}"));
        };
        if scheme == "https" && cfg!(not(feature = "tls")) {
            return Err("this build has no HTTPS; install it with `cargo install tripcoil-cli --features tls`".into());
        }
        if uri.query().is_some() {
            return Err(format!("the URL of a console has no query; allowed is one {example}"));
        }
        let authority = uri.authority().ok_or_else(|| format!("the URL has no host; allowed is one {example}"))?;
        let (credentials, host) = match authority.as_str().rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority.as_str()),
        };
        let name = authority.host();
        if name.is_empty() {
            return Err(format!("the URL has no host; allowed is one {example}"));
        }
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let origin = format!("{scheme}://{}", host.to_ascii_lowercase());
        Ok(Address {
            base: format!("{origin}{}/", uri.path().trim_end_matches('/')),
            origin,
            is_loopback: name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback()),
            has_credentials: credentials.is_some(),
            authorization: credentials.map(basic),
        })
    }
}

fn basic(credentials: &str) -> String {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut plain: Vec<u8> = percent_decode_str(user).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    format!("Basic {}", STANDARD.encode(plain))
}

/// The URL, with stars for what its credentials are.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.has_credentials {
            return f.write_str(&self.base);
        }
        let (scheme, rest) = self.base.split_once("://").unwrap_or(("", &self.base));
        write!(f, "{scheme}://***@{rest}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_is_below_the_page() {
        for base in ["http://Ops.example:9000/breakers", "http://ops.example:9000/breakers/"] {
            let address = address(base);
            assert_eq!(address.at("api/act"), "http://ops.example:9000/breakers/api/act");
            assert_eq!(address.origin(), "http://ops.example:9000");
        }
        assert_eq!(address("http://[::1]:9").at("api"), "http://[::1]:9/api");
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let address = address("http://ana:s3%3Acret@127.0.0.1:9000/");
        assert_eq!(address.to_string(), "http://***@127.0.0.1:9000/");
        assert_eq!(format!("{address:?}"), "http://***@127.0.0.1:9000/");
        assert_eq!(address.at(""), "http://127.0.0.1:9000/");
        let sent = STANDARD.decode(address.authorization().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(sent, b"ana:s3:cret");
    }

    #[test]
    fn loopback_is_known() {
        for (url, is_loopback) in [
            ("http://localhost:1", true),
            ("http://127.8.9.1", true),
            ("http://[::1]:9000", true),
            ("http://192.0.2.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(address(url).is_loopback(), is_loopback, "{url}");
        }
    }

    #[test]
    fn errors_do_not_repeat_the_url() {
        for wrong in [
            "",
            "127.0.0.1:9000",
            "/breakers",
            "ftp://u:s3cret@h/",
            "http://u:s3cret@/",
            "http://u:s3cret@h/?q",
            "u:s3cret@h",
        ] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn https_needs_its_feature() {
        assert!("https://ops.example".parse::<Address>().unwrap_err().contains("--features tls"));
    }
}
