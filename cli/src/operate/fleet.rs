//! A fleet's store, as a source.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde_json::{Value, json};
use tripcoil_fleet::protocol::{Phase, StandingOrder, View};
use tripcoil_fleet::{BreakerName, By, Diagnosis, Operator, OrderError, Redis, StoreError};

use super::client::Query;
use super::facts::{Breaker, Overview, States};
use super::text::{printable, printable_json};
use super::watch::{News, RETRY};
use crate::command::Stop;
use crate::failure::Failure;
use crate::replay::words::span;

const TIMEOUT: Duration = Duration::from_secs(5);
/// How often `--watch` reads the store.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many breakers' last changes are remembered, so that no change is printed twice.
const MOST_REMEMBERED: usize = 10_000;

/// A fleet and its store. It prints neither the user nor the password.
#[derive(Clone)]
pub(super) struct Fleet {
    name: String,
    store: Redis,
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Fleet {
    pub(super) fn new(name: &str, url: &str) -> Result<Fleet, Failure> {
        if name.is_empty() {
            return Err(Failure::usage("--fleet: the name is empty"));
        }
        if url.starts_with("rediss://") && cfg!(not(feature = "tls")) {
            let install = "install it with `cargo install tripcoil-cli --features tls`";
            return Err(Failure::usage(format!("--store: this build has no TLS; {install}")));
        }
        // Its error does not repeat the URL.
        let store = Redis::new(url).map_err(|error| Failure::usage(format!("--store: {error}")))?;
        Ok(Fleet { name: name.to_owned(), store: store.command_timeout(TIMEOUT) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn operator(&self) -> Result<Operator, Failure> {
        Operator::connect(self.name.clone(), self.store.clone()).map_err(|error| unreachable(&error))
    }

    /// The matching breakers that are not closed or have an order, worst first, and the same as JSON.
    pub(super) fn overview(&self, query: &Query) -> Result<(Overview, Value), Failure> {
        read(&self.name, &mut self.operator()?, query)
    }

    /// Sends what the store knows once a second.
    pub(super) fn watch(&self, query: &Query, news: &SyncSender<News>, is_over: &AtomicBool) {
        let mut operator = None;
        while !is_over.load(Ordering::Relaxed) {
            let read = match operator.take().map_or_else(|| self.operator(), Ok) {
                Ok(mut connected) => {
                    let read = read(&self.name, &mut connected, query);
                    // A connection that failed is not used again.
                    operator = read.is_ok().then_some(connected);
                    read
                }
                Err(failure) => Err(failure),
            };
            let news_of = match read {
                Ok((overview, _)) => News::Overview(Box::new(overview)),
                Err(failure) => News::Lost(failure),
            };
            if news.send(news_of).is_err() {
                return;
            }
            thread::sleep(INTERVAL);
        }
    }

    /// The state of a breaker, which need not be listed. An error if no member knows it.
    pub(super) fn find(&self, name: &BreakerName, may_be_new: bool) -> Result<Breaker, Failure> {
        let view = self.operator()?.show(name.clone()).map_err(|error| failure(&error))?;
        if view.version == 0 && !may_be_new {
            let users = self.store.users(&self.name, name.clone()).map_err(|error| unreachable(&error))?;
            if users == 0 {
                let shown = printable(&name.to_string()).into_owned();
                let fleet = printable(&self.name);
                return Err(Failure::unknown(format!(
                    "no member of the fleet `{fleet}` has called a breaker named `{shown}`; --yes acts on it anyway"
                )));
            }
        }
        Ok(breaker(0, &view, now()))
    }

    /// Performs `action`, and returns the breaker's state afterwards, for people.
    pub(super) fn act(&self, action: &str, name: BreakerName, by: By) -> Result<String, Failure> {
        let mut operator = self.operator()?;
        let done = match action {
            "force_open" => operator.force_open(name.clone(), by),
            "force_closed" => operator.force_closed(name.clone(), by),
            "release" => operator.release(name.clone()),
            _ => operator.reset(name.clone()),
        };
        done.map_err(|error| failure(&error))?;
        let view = operator.show(name).map_err(|error| failure(&error))?;
        Ok(standing(&view))
    }

    pub(super) fn diagnose(&self) -> Result<Diagnosis, Failure> {
        self.store.diagnose(&self.name).map_err(|error| unreachable(&error))
    }

    /// Prints what is published, until the process ends. Reconnects if the connection is lost.
    pub(super) fn follow(
        &self,
        wanted: &dyn Fn(&BreakerName) -> bool,
        has_json: bool,
        out: &mut impl Write,
    ) -> Result<(), Stop> {
        let operator = self.operator()?;
        let mut printed: HashMap<String, u64> = HashMap::new();
        let mut is_lost = false;
        loop {
            let mut stop = None;
            let heard = |view: View| {
                let name = view.breaker();
                let is_new = printed.get(&view.name).is_none_or(|version| *version != view.version);
                if !is_new || !wanted(&name) {
                    return true;
                }
                if printed.len() >= MOST_REMEMBERED {
                    printed.clear();
                }
                printed.insert(view.name.clone(), view.version);
                let line = if has_json {
                    printable_json(&json_of(&view, now()).to_string()).into_owned()
                } else {
                    format!("{:.3}  {}  {}", Timestamp::now(), breaker(0, &view, now()).place(), standing(&view))
                };
                stop = writeln!(out, "{line}").and_then(|()| out.flush()).err();
                stop.is_none()
            };
            let subscribed = || {
                if std::mem::take(&mut is_lost) {
                    eprintln!("connected again; changes made meanwhile were missed");
                }
            };
            let ended = operator.follow(subscribed, heard);
            if let Some(error) = stop {
                return Err(error.into());
            }
            if let Err(error) = ended
                && !std::mem::replace(&mut is_lost, true)
            {
                eprintln!("{}; trying again", unreachable(&error));
            }
            thread::sleep(RETRY);
        }
    }
}

fn read(fleet: &str, operator: &mut Operator, query: &Query) -> Result<(Overview, Value), Failure> {
    let seen = operator.overview().map_err(|error| unreachable(&error))?;
    let now = now();
    let mut overview = Overview { at: now, fleet: Some((fleet.to_owned(), seen.members)), ..Overview::default() };
    let mut listed = Vec::new();
    for (id, view) in (0_u64..).zip(&seen.breakers) {
        let breaker = breaker(id, view, now);
        count(&mut overview.states, &breaker.state);
        if query.matches(&breaker) {
            listed.push((breaker, view));
        }
    }
    listed.sort_by(|(one, _), (other, _)| {
        (rank(&one.state), &one.registry, &one.name).cmp(&(rank(&other.state), &other.registry, &other.name))
    });
    let json = json!({
        "fleet": fleet,
        "members": seen.members,
        "changes": seen.changes,
        "run": seen.run,
        "matched": listed.len(),
        "breakers": listed.iter().map(|(_, view)| json_of(view, now)).collect::<Vec<_>>(),
    });
    overview.matched = listed.len();
    overview.breakers = listed.into_iter().map(|(breaker, _)| breaker).collect();
    Ok((overview, json))
}

fn rank(state: &str) -> usize {
    ["open", "half_open", "forced_open", "forced_closed"].iter().position(|known| *known == state).unwrap_or(9)
}

fn count(states: &mut States, state: &str) {
    *match state {
        "open" => &mut states.open,
        "half_open" => &mut states.half_open,
        "forced_open" => &mut states.forced_open,
        "forced_closed" => &mut states.forced_closed,
        _ => &mut states.closed,
    } += 1;
}

/// The state of members that are not forced by hand.
fn state(view: &View) -> &'static str {
    match (&view.order, &view.phase) {
        (Some(order), _) if order.is_open => "forced_open",
        (Some(_), _) => "forced_closed",
        (None, Phase::Open(_)) => "open",
        (None, Phase::Probing(..)) => "half_open",
        (None, Phase::Closed | Phase::Reset) => "closed",
    }
}

fn breaker(id: u64, view: &View, now: u64) -> Breaker {
    let name = view.breaker();
    let until = |left: Duration| now.saturating_add(millis(left));
    let retry_at = match (&view.order, &view.phase) {
        (None, Phase::Open(left)) => Some(until(*left)),
        _ => None,
    };
    Breaker {
        id,
        registry: name.registry(),
        name: name.breaker(),
        state: state(view).to_owned(),
        since: 0,
        since_is_known: false,
        cause: None,
        retry_at,
        calls_per_second: 0.0,
        errors_per_second: 0.0,
        rejected_per_second: 0.0,
        rules: Vec::new(),
        last_error: None,
        hold_ends_at: view.order.as_ref().and_then(|order| order.remaining).map(until),
        note: Some(why(view)),
    }
}

/// The reason for the state: the order, or the votes and the prober.
fn why(view: &View) -> String {
    if let Some(StandingOrder { by, because, .. }) = &view.order {
        let because = if because.is_empty() { "no reason given" } else { because };
        return format!("{by}: {because}");
    }
    let mut facts = Vec::new();
    if let Phase::Probing(_, prober) = &view.phase {
        facts.push(format!("{} probes", prober.rsplit_once('+').map_or(&**prober, |(instance, _)| instance)));
    }
    if view.votes > 0 {
        facts.push(format!("{} vote{}", view.votes, if view.votes == 1 { "" } else { "s" }));
    }
    if view.generation > 0 {
        facts.push(format!("opened again {} time{}", view.generation, if view.generation == 1 { "" } else { "s" }));
    }
    facts.join(", ")
}

/// The breaker's state in the whole fleet, on one line.
fn standing(view: &View) -> String {
    let left = match (&view.order, &view.phase) {
        (Some(StandingOrder { remaining: Some(left), .. }), _) => format!(" for {}", span(*left)),
        (Some(_), _) => " until released".into(),
        (None, Phase::Open(left)) => format!(", probes in {}", span(*left)),
        _ => String::new(),
    };
    let why = why(view);
    let why = if why.is_empty() { why } else { format!(" ({})", printable(&why)) };
    let state = if view.order.is_none() && view.phase == Phase::Reset { "reset" } else { state(view) };
    format!("{}{left}{why}", super::table::words(state))
}

fn json_of(view: &View, now: u64) -> Value {
    let name = view.breaker();
    let mut object = json!({
        "at": now,
        "name": name.breaker(),
        "state": state(view),
        "version": view.version,
        "votes": view.votes,
        "generation": view.generation,
    });
    if let Some(registry) = name.registry() {
        object["registry"] = registry.into();
    }
    match &view.phase {
        Phase::Open(left) => object["probes_in_ms"] = millis(*left).into(),
        Phase::Probing(left, prober) => {
            object["prober"] = prober.as_str().into();
            object["lease_ms"] = millis(*left).into();
        }
        Phase::Closed | Phase::Reset => {}
    }
    if let Some(order) = &view.order {
        object["order"] = json!({"by": order.by, "because": order.because, "at": view.ordered_at});
        if let Some(left) = order.remaining {
            object["order"]["ends_in_ms"] = millis(left).into();
        }
    }
    object
}

fn unreachable(error: &StoreError) -> Failure {
    let error = error.to_string();
    if is_refusal(&error) {
        return Failure::forbidden(format!("the fleet's store: {}", printable(&error)));
    }
    Failure::unreachable(format!("the fleet's store: {}", printable(&error)))
}

/// Redis has no code for this. These parts of its messages have stayed the same for many versions.
fn is_refusal(error: &str) -> bool {
    ["user or password", "username-password", "Authentication required", "no permissions", "NOPERM"]
        .iter()
        .any(|words| error.contains(words))
}

fn failure(error: &OrderError) -> Failure {
    let words = printable(&error.to_string()).into_owned();
    match error {
        OrderError::NoOrder(_) => Failure::conflict(words),
        OrderError::OutOfRange { .. } => Failure::usage(words),
        OrderError::NoAnswer(why) if is_refusal(why) => Failure::forbidden(words),
        _ => Failure::unreachable(words),
    }
}
