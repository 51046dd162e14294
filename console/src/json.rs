//! What is seen, as JSON. `docs/console.md` lists the names.

use serde_json::{Map, Value, json};
use tripcoil::State;

use crate::access::Access;
use crate::audit::Scope;
use crate::fleet::{FleetSeen, StandingOrder};
use crate::record::{Change, Event, Group, Rates, Recorder, Rule, SECONDS, Series, Sparkline, Tracked, What, rules};

pub(crate) type Object = Map<String, Value>;

/// The longest message of an error that is sent, in bytes.
const LONGEST_MESSAGE: usize = 2_000;

pub(crate) const STATES: [State; 5] =
    [State::Closed, State::Open, State::HalfOpen, State::ForcedOpen, State::ForcedClosed];

/// The facts of one breaker that change from second to second, and its name.
pub(crate) fn breaker(recorder: &Recorder, registry: Option<&str>, tracked: &Tracked) -> Object {
    let metrics = &tracked.metrics;
    let mut object = Object::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.into(), value));
    put("id", tracked.id.into());
    put("name", (*metrics.name).into());
    if let Some(registry) = registry {
        put("registry", registry.into());
    }
    put("state", metrics.state.as_str().into());
    put("since", tracked.since_ms.into());
    put("since_is_known", tracked.since_is_known.into());
    if let Some(cause) = tracked.cause {
        put("cause", cause.as_str().into());
    }
    if let Some(retry_at) = tracked.retry_at_ms {
        put("retry_at", retry_at.into());
    }
    if let Some(ends_at) = tracked.hold_ends_ms {
        put("hold_ends_at", ends_at.into());
    }
    for (name, rate) in per_second(&tracked.rates) {
        put(name, rate);
    }
    put("active_calls", metrics.active_calls.into());
    put("consecutive_errors", metrics.consecutive_error_count.into());
    put("consecutive_successes", metrics.consecutive_success_count.into());
    if let Some(window) = metrics.window {
        let [calls, errors] = [window.calls, window.errors];
        let [slow, hanging] = [window.slow_calls, window.hanging_calls];
        let counts = json!({"calls": calls, "errors": errors, "slow_calls": slow, "hanging_calls": hanging,
            "dropped_calls": window.dropped_calls});
        put("window", counts);
    }
    let rules = rules(metrics, &tracked.thresholds);
    if !rules.is_empty() {
        put("rules", rules.iter().map(rule).collect());
    }
    if let Some(error) = &metrics.last_error {
        let mut last = Object::new();
        last.insert("type".into(), error.type_name.into());
        if let Some(message) = &error.message {
            last.insert("message".into(), shortened(message, LONGEST_MESSAGE).into());
        }
        if let Some(seen) = tracked.error_seen_ms {
            last.insert("seen_at".into(), seen.into());
        }
        put("last_error", last.into());
    }
    if let Some(fleet) = in_fleet(recorder, registry, &metrics.name) {
        put("fleet", fleet);
    }
    object
}

/// A breaker in the fleet that it has joined.
fn in_fleet(recorder: &Recorder, registry: Option<&str>, name: &str) -> Option<Value> {
    let (fleet, (standing, order)) =
        recorder.fleets.iter().find_map(|fleet| Some((fleet, fleet.of(registry, name)?)))?;
    let mut object = Object::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.into(), value));
    put("name", fleet.source.name().into());
    put("standing", standing.map_or("local", |standing| standing.kind).into());
    put("votes", standing.map_or(0, |standing| standing.votes).into());
    put("votes_needed", fleet.look.votes_needed.into());
    if let Some(standing) = standing {
        put("generation", standing.generation.into());
        if let Some(prober) = &standing.prober {
            put("prober", prober.as_str().into());
        }
        if standing.fleets_hold_ms > 0 && standing.fleets_hold_ms != standing.own_hold_ms {
            put("fleets_hold_ms", standing.fleets_hold_ms.into());
            put("own_hold_ms", standing.own_hold_ms.into());
        }
    }
    if let Some(of) = order {
        put("order", Value::from(self::order(of)));
    }
    Some(object.into())
}

fn order(order: &StandingOrder) -> Object {
    let mut object = Object::new();
    object.insert("action".into(), if order.is_open { "force_open" } else { "force_closed" }.into());
    object.insert("by".into(), order.by.as_str().into());
    object.insert("because".into(), order.because.as_str().into());
    object.insert("at".into(), order.at_ms.into());
    if let Some(ends) = order.ends_ms {
        object.insert("ends_at".into(), ends.into());
    }
    object
}

/// How many orders of a fleet are listed.
const ORDERS: usize = 20;

fn fleet(seen: &FleetSeen) -> Value {
    let look = &seen.look;
    let mut object = Object::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.into(), value));
    put("name", seen.source.name().into());
    put("is_connected", look.is_connected.into());
    put("since", seen.since_ms.into());
    if let Some(error) = &look.store_error {
        put("store_error", shortened(error, LONGEST_MESSAGE).into());
    }
    put("member", look.member.as_str().into());
    put("members", look.members.into());
    put("behind", look.behind.into());
    put("joined", look.joined.into());
    put("quorum", look.quorum.as_str().into());
    put("votes_needed", look.votes_needed.into());
    let count = |standing: &str| seen.standings.values().filter(|of| of.kind == standing).count();
    put("held", count("held").into());
    put("probing", count("probing").into());
    let mut orders: Vec<_> = seen.orders.iter().collect();
    orders.sort_unstable_by(|(place, order), (other, newer)| (newer.at_ms, place).cmp(&(order.at_ms, other)));
    put("order_count", orders.len().into());
    let listed = orders.into_iter().take(ORDERS).map(|((registry, name), of)| {
        let mut object = order(of);
        object.insert("name".into(), name.as_str().into());
        if let Some(registry) = registry {
            object.insert("registry".into(), registry.as_str().into());
        }
        Value::from(object)
    });
    put("orders", listed.collect());
    object.into()
}

fn rule(rule: &Rule) -> Value {
    json!({
        "rule": rule.name,
        "value": rounded(rule.value, 1_000.0),
        "threshold": rule.threshold,
        "is_judged": rule.is_judged,
        "pressure": rounded(rule.pressure(), 100.0),
    })
}

/// The totals since the breaker was made.
pub(crate) fn totals(tracked: &Tracked) -> Value {
    let metrics = &tracked.metrics;
    json!({
        "success": metrics.total_success_count,
        "error": metrics.total_error_count,
        "ignored": metrics.total_ignored_count,
        "dropped": metrics.total_dropped_count,
        "rejected": metrics.total_rejected_count,
        "slow": metrics.total_slow_count,
        "transitions": metrics.transition_count,
    })
}

/// What other settings on trial would do.
pub(crate) fn shadow(tracked: &Tracked) -> Option<Value> {
    let shadow = tracked.metrics.shadow.as_ref()?;
    let transitions: Object =
        shadow.transitions.iter().map(|(cause, count)| (cause.to_string(), Value::from(*count))).collect();
    let rejections = &shadow.rejections;
    Some(json!({
        "state": shadow.state.as_str(),
        "seen_calls": shadow.seen_calls,
        "unseen_calls": shadow.unseen_calls,
        "coverage": rounded(shadow.coverage(), 1_000.0),
        "transitions": transitions,
        "rejected": shadow.rejected_count,
        "rejections": {
            "success": rejections.success_count,
            "error": rejections.error_count,
            "ignored": rejections.ignored_count,
            "dropped": rejections.dropped_count,
        },
    }))
}

fn per_second(rates: &Rates) -> [(&'static str, Value); 3] {
    [
        ("calls_per_second", rate(rates.calls)),
        ("errors_per_second", rate(rates.errors)),
        ("rejected_per_second", rate(rates.rejected)),
    ]
}

fn rate(rate: f32) -> Value {
    rounded(f64::from(rate), 10.0)
}

fn rounded(value: f64, steps: f64) -> Value {
    ((value * steps).round() / steps).into()
}

pub(crate) fn sparkline(sparkline: &Sparkline) -> Value {
    let (mut calls, mut rejected) = (Vec::with_capacity(SECONDS), Vec::with_capacity(SECONDS));
    for (called, refused) in sparkline.points() {
        calls.push(rate(called));
        rejected.push(rate(refused));
    }
    json!({"calls": calls, "rejected": rejected})
}

fn states(counts: [usize; 5]) -> Value {
    STATES
        .into_iter()
        .map(|state| (state.as_str().to_owned(), Value::from(counts[state as usize])))
        .collect::<Object>()
        .into()
}

/// Everything that is no single breaker: how many are in each state, and the registries.
pub(crate) fn summary(recorder: &Recorder) -> Object {
    let mut sums = [0; 5];
    let mut rates = Rates::default();
    for group in &recorder.groups {
        for (sum, count) in sums.iter_mut().zip(group.states()) {
            *sum += count;
        }
        rates.calls += group.rates.calls;
        rates.errors += group.rates.errors;
        rates.rejected += group.rates.rejected;
    }
    let mut object: Object = per_second(&rates).into_iter().map(|(name, rate)| (name.to_owned(), rate)).collect();
    object.insert("states".into(), states(sums));
    let registries = recorder.groups.iter().enumerate().skip(1);
    object.insert("registries".into(), registries.map(|(index, group)| registry(recorder, index, group)).collect());
    if !recorder.fleets.is_empty() {
        object.insert("fleets".into(), recorder.fleets.iter().map(fleet).collect());
    }
    object
}

/// How many of a registry's breakers are named.
const WORST: usize = 3;

fn registry(recorder: &Recorder, index: usize, group: &Group) -> Value {
    let mut object: Object = per_second(&group.rates).into_iter().map(|(name, rate)| (name.to_owned(), rate)).collect();
    object.insert("name".into(), group.registry.as_deref().unwrap_or_default().into());
    object.insert("breakers".into(), group.tracked.len().into());
    object.insert("states".into(), states(group.states()));
    object.insert("sparkline".into(), sparkline(&group.sparkline));
    object.insert("is_readable".into(), group.is_readable.into());
    if let Some(metrics) = &group.metrics {
        for (name, count) in [
            ("evicted_closed", metrics.evicted_closed),
            ("evicted_open", metrics.evicted_open),
            ("unlisted", metrics.unlisted),
            ("suppressed_openings", metrics.suppressed_open_count),
        ] {
            object.insert(name.into(), count.into());
        }
    }
    let ordered = recorder.order.iter().filter(|(of, _)| *of == index);
    let tracked = ordered.filter_map(|(_, address)| group.tracked.get(address));
    let worst = tracked.take(WORST).filter(|tracked| is_bad(tracked));
    let worst = worst.map(|tracked| json!({"name": &*tracked.metrics.name, "state": tracked.metrics.state.as_str()}));
    object.insert("worst".into(), worst.collect());
    object.into()
}

fn is_bad(tracked: &Tracked) -> bool {
    tracked.metrics.state != State::Closed || tracked.rates.errors > 0.0
}

pub(crate) fn access(access: &Access, has_fleets: bool) -> Value {
    let actions: Vec<_> = access.actions().iter().map(|action| action.as_str()).collect();
    let is_for_fleets = has_fleets && access.allows_for_fleets();
    let scopes = [Scope::Process, Scope::Fleet].into_iter().filter(|scope| *scope == Scope::Process || is_for_fleets);
    let scopes: Vec<_> = scopes.filter(|_| !actions.is_empty()).map(Scope::as_str).collect();
    json!({"actor": access.actor(), "actions": actions, "scopes": scopes})
}

pub(crate) fn events(series: &Series, after: u64) -> impl Iterator<Item = Value> {
    series.events().filter(move |event| event.number > after).map(event)
}

fn event(event: &Event) -> Value {
    let mut object = match &event.what {
        What::Changed(change) => changed(change),
        What::Acted(act) => {
            let mut object = Object::new();
            object.insert("kind".into(), "act".into());
            object.insert("action".into(), act.action.as_str().into());
            object.insert("actor".into(), act.actor.as_str().into());
            object.insert("reason".into(), act.reason.as_str().into());
            object.insert("scope".into(), act.scope.as_str().into());
            if let Some(lasts) = act.lasts {
                object.insert("for_ms".into(), u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).into());
            }
            object
        }
        What::Fleet(note) => {
            let mut object = Object::new();
            object.insert("kind".into(), "fleet".into());
            object.insert("event".into(), note.kind.into());
            object.insert("text".into(), note.text.as_str().into());
            object
        }
    };
    object.insert("number".into(), event.number.into());
    object.insert("at".into(), event.at_ms.into());
    object.into()
}

fn changed(change: &Change) -> Object {
    let mut object = Object::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.into(), value));
    put("kind", "transition".into());
    put("from", change.from.as_str().into());
    put("to", change.to.as_str().into());
    put("sequence", change.sequence.into());
    put("changes", change.changes.into());
    if let Some(cause) = change.cause {
        put("cause", cause.as_str().into());
    }
    if let Some(counts) = &change.counts {
        put("consecutive_errors", counts.errors.into());
        put("consecutive_successes", counts.successes.into());
        put("rejected", counts.rejected.into());
        if let Some((calls, errors, slow)) = counts.window {
            put("window", json!({"calls": calls, "errors": errors, "slow_calls": slow}));
        }
    }
    object
}

/// The calls of the last hour, in buckets of `[at, success, error, neutral, rejected]`.
pub(crate) fn buckets(series: &Series, from_ms: u64) -> Value {
    let buckets = series.buckets().filter(|(at, _)| *at >= from_ms);
    buckets.map(|(at, of)| json!([at, of.successes, of.errors, of.neutral, of.rejected])).collect()
}

/// At most `longest` bytes of `text`.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.into();
    }
    let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// What has changed: the new values, and null for what is gone. The id is always there.
pub(crate) fn difference(former: &Object, new: &Object) -> Object {
    let mut changed: Object = new
        .iter()
        .filter(|(name, value)| former.get(*name) != Some(value))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    for name in former.keys().filter(|name| !new.contains_key(*name)) {
        changed.insert(name.clone(), Value::Null);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_difference_is_what_has_changed_and_null_for_what_is_gone() {
        let former = object(json!({"id": 1, "state": "open", "retry_at": 5}));
        let new = object(json!({"id": 1, "state": "closed", "cause": "reset"}));
        let expected = object(json!({"state": "closed", "cause": "reset", "retry_at": null}));
        assert_eq!(difference(&former, &new), expected);
        assert!(difference(&new, &new).is_empty());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("ä", 2), "ä");
        assert_eq!(shortened("aä", 2), "a…");
    }
}
