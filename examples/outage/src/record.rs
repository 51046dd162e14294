use std::time::Duration;

use tripcoil::{ShadowMetrics, State};

use crate::breaker::Protection;
use crate::health::Chart;
use crate::script::Condition;

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Task,
    Thread,
}

/// How a call ended, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Good,
    /// An error, or no answer in time.
    Failed,
    /// No connection.
    Refused,
    /// Not let through by the breaker.
    Rejected,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) at: Duration,
    pub(crate) latency: Duration,
    pub(crate) ending: Ending,
}

/// Everything that was measured in one run.
#[derive(Debug)]
pub(crate) struct Record {
    /// What stood between the clients and the server.
    pub(crate) protection: Protection,
    pub(crate) length: Duration,
    /// In the order of their beginnings.
    pub(crate) calls: Vec<Call>,
    pub(crate) chart: Chart,
    /// What state the breaker went into and when; `None` if there was no breaker.
    pub(crate) states: Option<Vec<(Duration, State)>>,
    pub(crate) shadow: Option<Shadow>,
}

/// What the shadow of a breaker would have done.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// What state it would have gone into and when.
    pub(crate) states: Vec<(Duration, State)>,
    /// When all calls had ended.
    pub(crate) metrics: ShadowMetrics,
}

impl Record {
    /// When the server first was in such a condition.
    pub(crate) fn first(&self, wanted: impl Fn(Condition) -> bool) -> Option<Duration> {
        self.chart.turns.iter().find(|(_, condition)| wanted(*condition)).map(|(at, _)| *at)
    }
}
