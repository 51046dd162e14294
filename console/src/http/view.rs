//! What is shown of the breakers to one reader.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ::http::StatusCode;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::query::Query;
use crate::access::Access;
use crate::core::Core;
use crate::json::{self, Object};
use crate::record::{BUCKET_MS, Group, Recorder, Tracked};
use crate::settings;
use crate::source::NotFound;

/// Some rows of the overview.
pub(super) struct Rows<'a> {
    /// How many breakers match.
    pub(super) matched: usize,
    pub(super) rows: Vec<(&'a Group, &'a Tracked)>,
}

pub(super) fn rows<'a>(recorder: &'a Recorder, query: &Query) -> Rows<'a> {
    let is_wanted = |group: &Group, tracked: &Tracked| {
        (query.states.is_empty() || query.states.contains(&tracked.metrics.state))
            && query.registry.as_ref().is_none_or(|registry| group.registry.as_deref() == Some(registry))
            && (query.text.is_empty() || tracked.metrics.name.to_lowercase().contains(&query.text))
    };
    let (mut matched, mut rows) = (0, Vec::new());
    for (group, address) in &recorder.order {
        let group = &recorder.groups[*group];
        let Some(tracked) = group.tracked.get(address).filter(|tracked| is_wanted(group, tracked)) else { continue };
        if matched >= query.offset && rows.len() < query.limit {
            rows.push((group, tracked));
        }
        matched += 1;
    }
    Rows { matched, rows }
}

/// What every answer begins with.
pub(super) fn head(core: &Core, recorder: &Recorder, access: &Access) -> Object {
    let mut head = Object::new();
    head.insert("at".into(), recorder.now_ms.into());
    head.insert("tick".into(), recorder.tick.into());
    head.insert("instance".into(), core.instance.as_str().into());
    head.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    head.insert("access".into(), json::access(access, !core.sources.fleets.is_empty()));
    head
}

pub(super) fn overview(core: &Core, access: &Access, query: &Query) -> Value {
    let recorder = core.recorder();
    let mut object = head(core, &recorder, access);
    object.extend(json::summary(&recorder));
    let Rows { matched, rows } = rows(&recorder, query);
    object.insert("matched".into(), matched.into());
    object.insert("offset".into(), query.offset.into());
    object.insert(
        "breakers".into(),
        rows.iter().map(|(group, tracked)| Value::from(row(&recorder, group, tracked))).collect(),
    );
    object.into()
}

/// A breaker with the sparklines of its last minute.
fn row(recorder: &Recorder, group: &Group, tracked: &Tracked) -> Object {
    let mut row = json::breaker(recorder, group.registry.as_deref(), tracked);
    row.extend(sparkline(tracked).map(|sparkline| ("sparkline".to_owned(), sparkline)));
    row
}

pub(super) fn sparkline(tracked: &Tracked) -> Option<Value> {
    tracked.series.as_ref().map(|series| json::sparkline(&series.sparkline))
}

/// The breaker of the query. If several have its name, any of them, and how many they are.
pub(super) fn one<'a>(recorder: &'a Recorder, query: &'a Query) -> Option<(&'a Group, &'a Tracked, usize)> {
    let group = recorder.group(query.registry.as_deref())?;
    let mut named = recorder.named(group, query.name.as_deref()?);
    let first = named.next()?;
    Some((&recorder.groups[group], first, 1 + named.count()))
}

/// A breaker with all that is known of it, but for its history.
pub(super) fn facts(recorder: &Recorder, group: &Group, tracked: &Tracked, namesakes: usize) -> Object {
    let mut object = json::breaker(recorder, group.registry.as_deref(), tracked);
    object.insert("totals".into(), json::totals(tracked));
    object.extend(json::shadow(tracked).map(|shadow| ("shadow".to_owned(), shadow)));
    object.insert("namesakes".into(), (namesakes - 1).into());
    object
}

pub(super) fn detail(core: &Core, access: &Access, query: &Query) -> Result<Value, Refusal> {
    if query.name.is_none() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "`name` is missing"));
    }
    let recorder = core.recorder();
    let (group, tracked, namesakes) = one(&recorder, query).ok_or(NotFound::None)?;
    Ok(whole(core, &recorder, access, group, tracked, namesakes).into())
}

/// The settings of a registry's breakers to come.
pub(super) fn settings(core: &Core, query: &Query) -> Result<Value, Refusal> {
    let registry =
        query.registry.as_deref().ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "`registry` is missing"))?;
    let registry = core.sources.registry(registry)?;
    let config = catch_unwind(AssertUnwindSafe(|| registry.config())).map_err(|_| NotFound::Panicked)?;
    Ok(settings::list(&config))
}

/// All that is known of a breaker.
pub(super) fn whole(
    core: &Core,
    recorder: &Recorder,
    access: &Access,
    group: &Group,
    tracked: &Tracked,
    namesakes: usize,
) -> Object {
    let mut object = head(core, recorder, access);
    let mut facts = facts(recorder, group, tracked, namesakes);
    facts.extend(sparkline(tracked).map(|sparkline| ("sparkline".to_owned(), sparkline)));
    object.insert("breaker".into(), facts.into());
    if let Some(series) = &tracked.series {
        let history = json!({
            "since": series.since_ms,
            "first_state": series.first_state.as_str(),
            "bucket_ms": BUCKET_MS,
            "buckets": json::buckets(series, 0),
        });
        object.insert("history".into(), history);
        object.insert("events".into(), json::events(series, 0).collect());
    }
    object.insert("settings".into(), settings::list(&tracked.config));
    object
}
