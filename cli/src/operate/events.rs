use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use tripcoil_fleet::BreakerName;

use super::client::{Client, PAGE, Query, lost};
use super::facts::{Breaker, Detail, Event, Overview, What, Window};
use super::fleet::Fleet;
use super::live::Live;
use super::table::words;
use super::targets::{Found, Targets};
use super::text::{printable, printable_json};
use super::watch::RETRY;
use super::{Source, SourceArgs};
use crate::command::Stop;
use crate::failure::Failure;
use crate::replay::words::span;

/// Without a name, reads the events of this many breakers, the worst first. Each takes a request.
const READ_AT_ONCE: usize = 100;
/// The breakers whose newest event is remembered.
const MOST_REMEMBERED: usize = 10_000;

/// Prints what happened to breakers: transitions, and acts with their reason.
///
/// Without a name, the command prints the events of the hundred worst breakers. With `--follow` and without a name, it
/// follows the thousand worst breakers, and prints an act that changes no state with the next change of its breaker.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::EXIT_CODES)]
pub(crate) struct Args {
    /// The full name of a breaker.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only breakers of this registry.
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Print at most this many of the events so far.
    #[arg(long, value_name = "N", default_value_t = 50)]
    last: usize,
    /// Print new events until you press Ctrl-C. The command reconnects if the connection is lost.
    #[arg(long, short)]
    follow: bool,
    /// Print each event as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<(), Stop> {
    let client = match args.source.source()? {
        Source::Console(client) => client,
        Source::Fleet(fleet) => return run_fleet(args, &fleet, out),
    };
    let mut printer = Printer { out, has_json: args.json };
    let mut log = Log::default();
    let query = if let Some(name) = &args.name {
        let targets = Targets::one(name.clone(), args.registry.clone());
        let Found { overview, breakers } = targets.find(&client)?;
        log.begin(&overview);
        let breaker = breakers.into_iter().next().ok_or_else(|| Failure::unknown("no breaker has this name"))?;
        let events = log.news(&client.detail(&breaker.name, breaker.registry.as_deref())?);
        printer.print_last(&events, args.last)?;
        Query { name: Some(breaker.name), registry: breaker.registry, ..Query::default() }
    } else {
        let query = Query { registry: args.registry.clone(), ..Query::default() };
        let overview: Overview = client.read(client.overview(&query, PAGE)?)?;
        log.begin(&overview);
        let mut events = Vec::new();
        for breaker in overview.breakers.iter().take(READ_AT_ONCE) {
            events.extend(log.read(&client, breaker)?);
        }
        events.sort_by_key(|event| event.event.number);
        printer.print_last(&events, args.last)?;
        log.began = overview.at;
        query
    };
    if args.follow { follow(&client, &query, &mut log, &mut printer) } else { Ok(()) }
}

fn run_fleet(args: &Args, fleet: &Fleet, out: &mut impl Write) -> Result<(), Stop> {
    if !args.follow {
        return Err(Failure::usage(
            "a fleet's store keeps no history; give --follow to print what happens from now on",
        )
        .into());
    }
    let wanted = |name: &BreakerName| {
        args.name.as_ref().is_none_or(|wanted| name.breaker() == *wanted)
            && args.registry.as_ref().is_none_or(|wanted| name.registry().as_ref() == Some(wanted))
    };
    fleet.follow(&wanted, args.json, out)
}

fn follow(client: &Client, query: &Query, log: &mut Log, printer: &mut Printer<'_, impl Write>) -> Result<(), Stop> {
    let mut is_lost = false;
    loop {
        match follow_stream(client, query, log, printer, &mut is_lost) {
            Ok(()) => {}
            Err(Stop::Failure(failure)) if failure.is_unreachable() => {
                if !std::mem::replace(&mut is_lost, true) {
                    eprintln!("{failure}; trying again");
                }
            }
            Err(stop) => return Err(stop),
        }
        thread::sleep(RETRY);
    }
}

/// Prints the events of one connection. `Ok` when the console ends it.
fn follow_stream(
    client: &Client,
    query: &Query,
    log: &mut Log,
    printer: &mut Printer<'_, impl Write>,
    is_lost: &mut bool,
) -> Result<(), Stop> {
    let mut messages = client.stream(query)?;
    let mut live = Live::default();
    while let Some(message) = messages.next().map_err(|error| lost(&error))? {
        if std::mem::take(is_lost) {
            eprintln!("connected again");
        }
        let data: Map<String, Value> = serde_json::from_str(&message.data).map_err(|error| lost(&error))?;
        if let Some(instance) = data.get("instance").and_then(Value::as_str) {
            log.is_of(instance);
        }
        let mut events = match &*message.event {
            "overview" => log.changed(client, &mut live, data)?,
            "breaker" if data.contains_key("events") => log.of_one(client, query, &data)?,
            _ => Vec::new(),
        };
        events.sort_by_key(|event| event.event.number);
        for event in events {
            printer.print(&event)?;
        }
        printer.out.flush()?;
    }
    Ok(())
}

/// What was printed so far.
#[derive(Default)]
struct Log {
    instance: String,
    /// Events before this time are old.
    began: u64,
    /// The newest event of each breaker, and the sequence number of its last transition.
    seen: HashMap<u64, (u64, Option<u64>)>,
    /// What a change of shows that there are events.
    marks: HashMap<u64, Mark>,
}

type Mark = (String, u64, Option<String>);

/// An event and where it happened.
struct Placed {
    event: Event,
    raw: Value,
    breaker: Breaker,
}

impl Log {
    fn begin(&mut self, overview: &Overview) {
        self.instance.clone_from(&overview.instance);
        self.marks = overview.breakers.iter().map(|breaker| (breaker.id, mark(breaker))).collect();
    }

    /// After a restart, ids and numbers begin anew.
    fn is_of(&mut self, instance: &str) {
        if self.instance != instance {
            instance.clone_into(&mut self.instance);
            self.seen.clear();
            self.marks.clear();
        }
    }

    fn read(&mut self, client: &Client, breaker: &Breaker) -> Result<Vec<Placed>, Failure> {
        match client.detail(&breaker.name, breaker.registry.as_deref()) {
            Ok(detail) => Ok(self.news(&detail)),
            // Its registry evicted it.
            Err(failure) if failure.is_unknown() => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }

    /// The events that were not printed yet.
    fn news(&mut self, detail: &Detail) -> Vec<Placed> {
        let seen = self.seen.entry(detail.breaker.id).or_default();
        let mut news = Vec::new();
        for raw in &detail.events {
            let Ok(event) = Event::deserialize(raw) else { continue };
            if event.number <= seen.0 || event.at < self.began {
                continue;
            }
            seen.0 = event.number;
            // A transition whose cause came later has a new number.
            if let What::Transition { sequence, .. } = event.what {
                if seen.1.is_some_and(|printed| sequence <= printed) {
                    continue;
                }
                seen.1 = Some(sequence);
            }
            news.push(Placed { event, raw: raw.clone(), breaker: detail.breaker.clone() });
        }
        news
    }

    /// The news of the breakers that a message of the overview changed.
    fn changed(&mut self, client: &Client, live: &mut Live, data: Map<String, Value>) -> Result<Vec<Placed>, Failure> {
        let changed: HashSet<_> = live.apply(data).into_iter().collect();
        let overview: Overview = live.overview().map_err(|error| lost(&error))?;
        let mut news = Vec::new();
        for breaker in overview.breakers.iter().filter(|breaker| changed.contains(&breaker.id)) {
            let mark = mark(breaker);
            // One that was not listed before and is closed is a new key; its events begin with its first transition.
            let is_new = match self.marks.get(&breaker.id) {
                Some(former) => *former != mark,
                None => true,
            };
            if is_new {
                news.extend(self.read(client, breaker)?);
                self.marks.insert(breaker.id, mark);
            }
        }
        let listed: HashSet<_> = overview.breakers.iter().map(|breaker| breaker.id).collect();
        self.marks.retain(|id, _| listed.contains(id));
        if self.seen.len() > MOST_REMEMBERED {
            self.seen.retain(|id, _| listed.contains(id));
            self.began = overview.at;
        }
        Ok(news)
    }

    /// The news in a message about one breaker, which may have only what has changed.
    fn of_one(&mut self, client: &Client, query: &Query, data: &Map<String, Value>) -> Result<Vec<Placed>, Failure> {
        if data["events"].as_array().is_none_or(Vec::is_empty) {
            return Ok(Vec::new());
        }
        match client.detail(query.name.as_deref().unwrap_or_default(), query.registry.as_deref()) {
            Ok(detail) => Ok(self.news(&detail)),
            Err(failure) if failure.is_unknown() => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }
}

fn mark(breaker: &Breaker) -> Mark {
    (breaker.state.clone(), breaker.since, breaker.cause.clone())
}

struct Printer<'a, W> {
    out: &'a mut W,
    has_json: bool,
}

impl<W: Write> Printer<'_, W> {
    fn print_last(&mut self, events: &[Placed], last: usize) -> Result<(), Stop> {
        let skipped = events.len().saturating_sub(last);
        for event in &events[skipped..] {
            self.print(event)?;
        }
        self.out.flush()?;
        Ok(())
    }

    fn print(&mut self, event: &Placed) -> Result<(), Stop> {
        if self.has_json {
            let mut object = event.raw.clone();
            object["name"] = event.breaker.name.as_str().into();
            if let Some(registry) = &event.breaker.registry {
                object["registry"] = registry.as_str().into();
            }
            writeln!(self.out, "{}", printable_json(&object.to_string()))?;
        } else {
            writeln!(self.out, "{}", line(event))?;
        }
        Ok(())
    }
}

fn line(placed: &Placed) -> String {
    let at = i64::try_from(placed.event.at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    let at = at.map_or_else(|| placed.event.at.to_string(), |at| format!("{at:.3}"));
    format!("{at}  {}  {}", placed.breaker.place(), happening(&placed.event.what))
}

fn happening(what: &What) -> String {
    match what {
        What::Transition { from, to, changes, cause, rejected, window, .. } => {
            let mut because: Vec<_> = cause.iter().map(|cause| words(cause)).collect();
            because.extend((*changes > 1).then(|| format!("{changes} changes")));
            if let Some(Window { calls, errors, slow_calls }) = window.filter(|window| window.calls > 0) {
                because.push(format!("{errors} of {calls} calls failed, {slow_calls} slow"));
            }
            because.extend(rejected.filter(|rejected| *rejected > 0).map(|rejected| format!("{rejected} rejected")));
            let because = if because.is_empty() { String::new() } else { format!(" ({})", because.join("; ")) };
            format!("{} -> {}{because}", words(from), words(to))
        }
        What::Act { action, actor, reason, scope, for_ms } => {
            let whole = if scope.as_deref() == Some("fleet") { ", for the fleet" } else { "" };
            let lasts = for_ms.map_or_else(String::new, |ms| format!(", for {}", span(Duration::from_millis(ms))));
            format!("{} by {}{whole}{lasts}: {}", printable(action), printable(actor), printable(reason))
        }
        What::Fleet { text } => printable(text).into_owned(),
        What::Unknown => "an event that this version does not know".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn detail(events: &Value) -> Detail {
        serde_json::from_value(json!({
            "breaker": {"id": 1, "name": "pay\u{1b}[2J", "registry": "hosts", "state": "open"}, "events": events
        }))
        .unwrap()
    }

    fn lines(log: &mut Log, events: &Value) -> Vec<String> {
        log.news(&detail(events)).iter().map(line).collect()
    }

    #[test]
    fn each_event_is_printed_once_and_nothing_acts_on_the_terminal() {
        let at = 1_767_225_600_250_u64;
        let mut log = Log::default();
        let opened = json!({"number": 7, "at": at, "kind": "transition", "from": "closed", "to": "open", "sequence": 1,
            "changes": 1, "cause": "error_rate", "rejected": 3, "window": {"calls": 20, "errors": 12, "slow_calls": 1}});
        let acted = json!({"number": 9, "at": at, "kind": "act", "action": "reset", "actor": "a\u{202e}na", "reason": "x\r\ny"});
        let expected = [
            "2026-01-01T00:00:00.250Z  pay\\u{1b}[2J (registry hosts)  closed -> open (error rate; 12 of 20 calls failed, 1 slow; 3 rejected)",
            "2026-01-01T00:00:00.250Z  pay\\u{1b}[2J (registry hosts)  reset by a\\u{202e}na: x\\r\\ny",
        ];
        assert_eq!(lines(&mut log, &json!([opened, acted])), expected);
        assert!(lines(&mut log, &json!([opened, acted])).is_empty());
        // The same transition with a new number, something of a newer console, and nonsense.
        let corrected =
            json!({"number": 12, "at": at, "kind": "transition", "from": "closed", "to": "open", "sequence": 1});
        let newer = json!({"number": 13, "at": at, "kind": "eclipse"});
        assert_eq!(
            lines(&mut log, &json!([corrected, newer, {"number": "x"}])),
            ["2026-01-01T00:00:00.250Z  pay\\u{1b}[2J (registry hosts)  an event that this version does not know"]
        );
    }

    #[test]
    fn numbers_begin_anew_with_another_console() {
        let mut log = Log { instance: "one".into(), began: 5, ..Log::default() };
        let event =
            |at: u64| json!([{"number": 3, "at": at, "kind": "act", "action": "reset", "actor": "a", "reason": "r"}]);
        assert!(lines(&mut log, &event(4)).is_empty(), "it is older than the command");
        assert_eq!(lines(&mut log, &event(5)).len(), 1);
        log.is_of("one");
        assert!(lines(&mut log, &event(5)).is_empty());
        log.is_of("two");
        assert_eq!(lines(&mut log, &event(6)).len(), 1);
    }
}
