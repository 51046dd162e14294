//! What changes, as server-sent events.
//!
//! Nothing is queued for a reader: what it is sent next is made when it has taken what came before, from the newest
//! sample. A reader that is slow misses samples in between.

use std::collections::HashMap;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use ::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tripcoil::Config;

use super::answer::Refusal;
use super::body::Body;
use super::query::Query;
use super::view;
use crate::access::Access;
use crate::core::Core;
use crate::json::{self, Object};
use crate::record::{BUCKET_MS, Recorder};

/// How many pages can be live at the same time.
pub(crate) const MOST_STREAMS: usize = 128;
/// After this time the stream ends, so that the browser comes back and access is decided anew.
const LIFE: Duration = Duration::from_secs(600);
/// How long a browser waits before it comes back, in milliseconds.
const RETRY_MS: u32 = 2_000;

pub(super) fn open(core: &Arc<Core>, access: Access, query: Query) -> Result<Response<Body>, Refusal> {
    let refuse = |why: &str| Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
    if core.is_closed() {
        return refuse("the server is stopping");
    }
    let Some(slot) = Slot::take(&core.streams) else {
        return refuse(&format!("{MOST_STREAMS} pages are live already"));
    };
    let mut samples = core.closing.samples.subscribe();
    samples.mark_changed();
    let reader = Reader {
        core: Arc::downgrade(core),
        samples,
        access,
        query,
        ends: Instant::now() + LIFE,
        sent: Sent::default(),
        _slot: slot,
    };
    let mut response = Response::new(Body::stream(Stream(Some(Box::pin(reader.next())))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // nginx would hold the events back otherwise.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.remove(RETRY_AFTER);
    Ok(response)
}

/// One of the places for streams, given back when it is dropped.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Slot> {
        let is_free = |taken: usize| (taken < MOST_STREAMS).then_some(taken + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_free).ok().map(|_| Slot(taken.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Next = Pin<Box<dyn Future<Output = Option<(Reader, Bytes)>> + Send>>;

/// The events of one reader.
pub(super) struct Stream(Option<Next>);

impl Stream {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(next) = &mut self.0 else { return Poll::Ready(None) };
        let Poll::Ready(ready) = next.as_mut().poll(cx) else { return Poll::Pending };
        let (next, bytes) = ready.map_or((None, None), |(reader, bytes)| {
            let next: Next = Box::pin(reader.next());
            (Some(next), Some(bytes))
        });
        self.0 = next;
        Poll::Ready(bytes)
    }
}

struct Reader {
    core: Weak<Core>,
    samples: watch::Receiver<u64>,
    access: Access,
    query: Query,
    ends: Instant,
    sent: Sent,
    _slot: Slot,
}

/// What the reader has.
#[derive(Default)]
struct Sent {
    /// The tick of the last message; 0 before the first.
    tick: u64,
    order: Vec<u64>,
    rows: HashMap<u64, Object>,
    event: u64,
    /// The breaker of the page about one breaker, its settings, and when its history began.
    breaker: Option<(u64, Arc<Config>, Option<u64>)>,
}

impl Reader {
    /// The next message. `None` ends the stream.
    async fn next(mut self) -> Option<(Reader, Bytes)> {
        self.samples.changed().await.ok()?;
        let core = self.core.upgrade()?;
        if core.is_closed() || Instant::now() >= self.ends {
            return None;
        }
        let text = self.message(&core);
        Some((self, text.into()))
    }

    fn message(&mut self, core: &Core) -> String {
        let recorder = core.recorder();
        let is_first = self.sent.tick == 0;
        // Sparklines are continued by the reader, a point for each tick.
        if recorder.tick > self.sent.tick + 1 {
            self.sent = Sent::default();
        }
        let mut object = if is_first { view::head(core, &recorder, &self.access) } else { Object::new() };
        object.insert("at".into(), recorder.now_ms.into());
        object.insert("tick".into(), recorder.tick.into());
        let name = if self.query.name.is_some() {
            self.sent.detail(core, &recorder, &self.access, &self.query, object)
        } else {
            self.sent.overview(&recorder, &self.query, object)
        };
        self.sent.tick = recorder.tick;
        drop(recorder);
        let (name, object) = name;
        let mut text = String::new();
        if is_first {
            let _ = writeln!(text, "retry: {RETRY_MS}");
        }
        let _ = write!(text, "event: {name}\ndata: {}\n\n", Value::from(object));
        text
    }
}

impl Sent {
    fn overview(&mut self, recorder: &Recorder, query: &Query, mut object: Object) -> (&'static str, Object) {
        object.extend(json::summary(recorder));
        let view::Rows { matched, rows } = view::rows(recorder, query);
        object.insert("matched".into(), matched.into());
        object.insert("offset".into(), query.offset.into());
        let order: Vec<_> = rows.iter().map(|(_, tracked)| tracked.id).collect();
        let mut former = std::mem::take(&mut self.rows);
        let mut changed = Vec::new();
        for (group, tracked) in rows {
            let row = json::breaker(recorder, group.registry.as_deref(), tracked);
            let mut difference = if let Some(former) = former.remove(&tracked.id) {
                json::difference(&former, &row)
            } else {
                let sparkline = view::sparkline(tracked).map(|sparkline| ("sparkline".to_owned(), sparkline));
                row.clone().into_iter().chain(sparkline).collect()
            };
            if !difference.is_empty() {
                difference.insert("id".into(), tracked.id.into());
                changed.push(Value::from(difference));
            }
            self.rows.insert(tracked.id, row);
        }
        object.insert("breakers".into(), changed.into());
        if order != self.order || self.tick == 0 {
            object.insert("order".into(), order.clone().into());
            self.order = order;
        }
        ("overview", object)
    }

    fn detail(
        &mut self,
        core: &Core,
        recorder: &Recorder,
        access: &Access,
        query: &Query,
        mut object: Object,
    ) -> (&'static str, Object) {
        let Some((group, tracked, namesakes)) = view::one(recorder, query) else {
            *self = Sent::default();
            return ("gone", object);
        };
        let history = tracked.series.as_ref().map(|series| series.since_ms);
        let breaker = Some((tracked.id, tracked.config.clone(), history));
        if self.breaker != breaker {
            *self = Sent { breaker, ..Sent::default() };
            object = view::whole(core, recorder, access, group, tracked, namesakes);
        }
        let facts = view::facts(recorder, group, tracked, namesakes);
        let former = self.rows.insert(tracked.id, facts.clone());
        if let Some(former) = former {
            object.insert("breaker".into(), json::difference(&former, &facts).into());
            if let Some(series) = &tracked.series {
                let from = recorder.now_ms.saturating_sub(2 * BUCKET_MS);
                object.insert("buckets".into(), json::buckets(series, from));
                object.insert("events".into(), json::events(series, self.event).collect());
            }
        }
        let numbers = tracked.series.iter().flat_map(|series| series.events()).map(|event| event.number);
        self.event = numbers.max().unwrap_or(0).max(self.event);
        ("breaker", object)
    }
}
