//! A console, as a source.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::BufReader;
use std::time::{Duration, Instant, SystemTime};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Response, StatusCode};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, BodyReader, Proxy, RequestBuilder};

use super::address::Address;
use super::facts::{Breaker, Detail, Overview};
use super::sse::Messages;
use super::text::printable;
use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(15);
/// For a whole answer that is no stream, from a console that sends it byte by byte too.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A console sends at least every five seconds. A connection on which nothing comes is lost.
const SILENCE: Duration = Duration::from_secs(20);
/// The longest answer that is taken: a thousand breakers with long names.
const LONGEST_ANSWER: u64 = 64 * 1024 * 1024;
/// How many breakers a console sends at once.
pub(super) const PAGE: usize = 1_000;
/// Rows move between pages while they are read. After this many rounds, some may be missing.
const ROUNDS: usize = 5;

pub(super) struct Client {
    agent: Agent,
    address: Address,
    authorization: Option<String>,
}

/// Which breakers are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    /// A part of the name.
    pub(super) text: Option<String>,
    /// With commas between.
    pub(super) states: Option<String>,
    pub(super) registry: Option<String>,
    /// The whole name, for one breaker.
    pub(super) name: Option<String>,
}

/// When an answer came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) sent: SystemTime,
    pub(super) took: Duration,
    /// The header `Date`.
    pub(super) date: Option<SystemTime>,
}

impl Client {
    pub(super) fn new(address: Address, token: Option<&str>) -> Client {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_per_read(Some(SILENCE))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("tripcoil/", env!("CARGO_PKG_VERSION")))
            .proxy(if address.is_loopback() { None } else { Proxy::try_from_env() });
        #[cfg(feature = "tls")]
        {
            let roots = ureq::tls::RootCerts::PlatformVerifier;
            config = config.tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build());
        }
        config = config.accept("application/json, text/event-stream");
        let authorization = token.map(|token| format!("Bearer {token}"));
        let authorization = authorization.or_else(|| address.authorization().map(str::to_owned));
        Client { agent: config.build().new_agent(), address, authorization }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// A page of the overview, as it came.
    pub(super) fn page(&self, query: &Query, offset: usize, limit: usize) -> Result<(Value, Timing), Failure> {
        let path = query.path("api/breakers", &format!("offset={offset}&limit={limit}"));
        let begun = Instant::now();
        let sent = SystemTime::now();
        let mut response = self.get(&path)?;
        let took = begun.elapsed();
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        Ok((self.body(&mut response)?, Timing { sent, took, date }))
    }

    /// The overview with at most `most` breakers, worst first, as it came.
    pub(super) fn overview(&self, query: &Query, most: usize) -> Result<Value, Failure> {
        let (mut first, _) = self.page(query, 0, most.clamp(1, PAGE))?;
        let Some(breakers) = first.get_mut("breakers").and_then(Value::as_array_mut) else {
            return Err(self.strange("`breakers` is missing"));
        };
        let mut breakers = std::mem::take(breakers);
        breakers.truncate(most);
        let mut matched = matched_of(&first);
        let mut seen: HashSet<_> = breakers.iter().map(id_of).collect();
        for _ in 0..ROUNDS {
            let mut offset = if breakers.len() == PAGE { PAGE } else { 0 };
            while breakers.len() < matched.min(most) && offset < matched {
                let (mut page, _) = self.page(query, offset, PAGE)?;
                matched = matched_of(&page);
                let Some(Value::Array(rows)) = page.get_mut("breakers").map(Value::take) else { break };
                breakers.extend(rows.into_iter().filter(|row| seen.insert(id_of(row))));
                offset += PAGE;
            }
        }
        breakers.truncate(most);
        first["breakers"] = breakers.into();
        Ok(first)
    }

    /// Every breaker that matches.
    pub(super) fn all(&self, query: &Query) -> Result<Overview, Failure> {
        let overview: Overview = self.read(self.overview(query, usize::MAX)?)?;
        if overview.breakers.len() < overview.matched {
            let (got, matched) = (overview.breakers.len(), overview.matched);
            return Err(Failure::run(format!("the list changes too fast: {got} of {matched} breakers were read")));
        }
        Ok(overview)
    }

    pub(super) fn detail(&self, name: &str, registry: Option<&str>) -> Result<Detail, Failure> {
        let query = Query { name: Some(name.into()), registry: registry.map(str::to_owned), ..Query::default() };
        let mut response = self.get(&query.path("api/breaker", ""))?;
        let value = self.body(&mut response)?;
        self.read(value)
    }

    /// The live events. It ends after ten minutes at most, and when nothing comes for 20 seconds.
    pub(super) fn stream(&self, query: &Query) -> Result<Messages<BufReader<BodyReader<'static>>>, Failure> {
        let limit = if query.name.is_some() { String::new() } else { format!("limit={PAGE}") };
        let response = self.send(
            self.agent.get(self.address.at(&query.path("api/stream", &limit))).config().timeout_global(None).build(),
        )?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(self.strange("its events are no event stream"));
        }
        Ok(Messages::new(BufReader::new(response.into_body().into_reader())))
    }

    /// Does it, and returns the state before and after.
    pub(super) fn act(&self, order: &Value) -> Result<(String, String), Failure> {
        #[derive(Deserialize)]
        struct Done {
            from: String,
            to: String,
        }

        let mut request = self
            .agent
            .post(self.address.at("api/act"))
            .header("content-type", "application/json")
            .header("x-tripcoil-console", "1")
            .header("origin", self.address.origin())
            // As the console's own page: the guard is against other sites in a browser, and this is none.
            .header("sec-fetch-site", "same-origin");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let sent = request.send(order.to_string().as_bytes());
        let mut response = self.accepted(sent.map_err(|error| self.unreachable(&error))?)?;
        let done: Done = self.read(self.body(&mut response)?)?;
        Ok((done.from, done.to))
    }

    /// The facts in an answer.
    pub(super) fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, Failure> {
        T::deserialize(value).map_err(|error| self.strange(&error.to_string()))
    }

    fn get(&self, path: &str) -> Result<Response<Body>, Failure> {
        self.send(self.agent.get(self.address.at(path)))
    }

    fn send(&self, mut request: RequestBuilder<WithoutBody>) -> Result<Response<Body>, Failure> {
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.accepted(request.call().map_err(|error| self.unreachable(&error))?)
    }

    fn body(&self, response: &mut Response<Body>) -> Result<Value, Failure> {
        let bytes = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        let bytes = bytes.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|_| self.strange("the answer is no JSON"))
    }

    /// An error unless the answer is what was asked for.
    fn accepted(&self, mut response: Response<Body>) -> Result<Response<Body>, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.body_mut().with_config().limit(64 * 1024).read_to_vec().unwrap_or_default();
        let words = serde_json::from_slice::<Value>(&text).ok();
        let words = words.as_ref().and_then(|words| words["error"].as_str()).map(|words| printable(words).into_owned());
        let is_of_console = words.is_some();
        let why = words.unwrap_or_else(|| format!("{} answers {status}", self.address));
        Err(match status {
            StatusCode::UNAUTHORIZED => {
                Failure::forbidden(format!("{why}: give credentials in the URL, or a token in TRIPCOIL_CONSOLE_TOKEN"))
            }
            StatusCode::FORBIDDEN => Failure::forbidden(why),
            StatusCode::NOT_FOUND if is_of_console => Failure::unknown(why),
            StatusCode::NOT_FOUND => Failure::unreachable(format!("{why}: there is no console at this path")),
            StatusCode::CONFLICT => Failure::conflict(why),
            StatusCode::BAD_REQUEST => Failure::usage(why),
            _ if status.is_redirection() => {
                let to = response.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or("another URL");
                // A redirect could lead to a log-in page that has a secret in its query.
                let to = to.split(['?', '#']).next().unwrap_or_default();
                Failure::unreachable(format!("{} redirects to {}", self.address, printable(to)))
            }
            _ => Failure::unreachable(why),
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::unreachable(format!("{} cannot be reached: {}", self.address, printable(&error.to_string())))
    }

    fn strange(&self, why: &str) -> Failure {
        Failure::unreachable(format!("{} does not answer as a console: {}", self.address, printable(why)))
    }
}

impl Query {
    /// Whether a breaker matches, for sources that do not filter themselves.
    pub(super) fn matches(&self, breaker: &Breaker) -> bool {
        let Query { text, states, registry, name } = self;
        text.as_ref().is_none_or(|text| breaker.name.to_lowercase().contains(&text.to_lowercase()))
            && states.as_ref().is_none_or(|states| states.split(',').any(|state| state == breaker.state))
            && registry.as_ref().is_none_or(|registry| breaker.registry.as_ref() == Some(registry))
            && name.as_ref().is_none_or(|name| breaker.name == *name)
    }

    fn path(&self, path: &str, more: &str) -> String {
        let mut url = format!("{path}?{more}");
        for (name, value) in
            [("q", &self.text), ("state", &self.states), ("registry", &self.registry), ("name", &self.name)]
        {
            if let Some(value) = value {
                if !url.ends_with('?') {
                    url.push('&');
                }
                url.push_str(name);
                url.push('=');
                url.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
            }
        }
        url
    }
}

/// The failure of a stream that had begun.
pub(super) fn lost(error: &impl Display) -> Failure {
    Failure::unreachable(format!("the connection was lost: {}", printable(&error.to_string())))
}

fn matched_of(page: &Value) -> usize {
    page["matched"].as_u64().and_then(|matched| usize::try_from(matched).ok()).unwrap_or(0)
}

fn id_of(row: &Value) -> Option<u64> {
    row["id"].as_u64()
}
