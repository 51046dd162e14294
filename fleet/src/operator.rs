use std::fmt;
use std::sync::Arc;

use crate::event::{By, OrderError};
use crate::fleet::BreakerName;
use crate::protocol::{Message, Op, Reply, StandingOrder, View, escape, shown};
use crate::store::{Connection, Listener, Store, StoreError};
use crate::worker::unique;

/// Reads and operates a fleet without being a member, for a command line or an admin tool.
///
/// An operator has no thread. Each method blocks until the store answers, at most for the store's command timeout.
///
/// ```
/// use tripcoil_fleet::{By, Memory, Operator};
///
/// let mut operator = Operator::connect("checkout", Memory::new())?;
/// operator.force_open("payments", By::new("ana").because("migration"))?;
/// let overview = operator.overview()?;
/// assert_eq!((overview.members, overview.breakers.len()), (0, 1));
/// assert_eq!(overview.breakers[0].order.as_ref().unwrap().by, "ana");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Operator {
    fleet: String,
    caller: String,
    store: Arc<dyn Store>,
    connection: Box<dyn Connection>,
}

/// What the store knows of a fleet, as [`Operator::overview`] returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overview {
    /// The number of live members.
    pub members: u64,
    /// The number of published changes so far.
    pub changes: u64,
    /// The random name of the store's state. A store that has lost its state gets another one.
    pub run: String,
    /// The breakers that are not closed or have an order, by name.
    pub breakers: Vec<View>,
}

/// A listing that takes more pages than this changes faster than it is read.
const MOST_PAGES: usize = 10_000;

impl Operator {
    /// Connects to the store.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the store cannot be reached.
    pub fn connect(fleet: impl Into<String>, store: impl Store) -> Result<Self, StoreError> {
        let connection = store.connect()?;
        let caller = format!("operator+{:016x}", unique());
        Ok(Operator { fleet: fleet.into(), caller, store: Arc::new(store), connection })
    }

    /// Returns the name of the fleet.
    #[must_use]
    pub fn fleet(&self) -> &str {
        &self.fleet
    }

    /// Reads everything that the store knows, page by page.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the store does not answer, or if the fleet changes faster than it can be read.
    pub fn overview(&mut self) -> Result<Overview, StoreError> {
        let mut breakers: std::collections::BTreeMap<String, View> = std::collections::BTreeMap::new();
        let mut after = 0;
        for _ in 0..MOST_PAGES {
            let mut reply = self.run(&[Op::Snapshot { after }])?;
            let views = reply.answers.pop().map(|answer| answer.views).unwrap_or_default();
            let Some(last) = views.iter().map(|view| view.version).max() else {
                let Reply { seq, run, live, .. } = reply;
                let breakers = breakers.into_values().collect();
                return Ok(Overview { members: live, changes: seq, run, breakers });
            };
            after = last;
            breakers.extend(views.into_iter().map(|view| (view.name.clone(), view)));
        }
        Err(StoreError::new("the fleet changes faster than it can be read"))
    }

    /// Reads the state of one breaker. A breaker that the store does not know is closed, with version 0.
    ///
    /// # Errors
    ///
    /// Returns an [`OrderError`] if the store does not answer, or if the name is out of range.
    pub fn show(&mut self, breaker: impl Into<BreakerName>) -> Result<View, OrderError> {
        let name = breaker.into().checked()?;
        Ok(self.order(Op::Show { name })?.1)
    }

    /// Forces a breaker open in all members. See [`Fleet::force_open`](crate::Fleet::force_open).
    ///
    /// # Errors
    ///
    /// Returns an [`OrderError`] if the store does not answer, or if a text or a time is out of range.
    pub fn force_open(&mut self, breaker: impl Into<BreakerName>, by: By) -> Result<(), OrderError> {
        self.force(breaker.into(), true, by)
    }

    /// Forces a breaker closed in all members.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`force_open`](Self::force_open).
    pub fn force_closed(&mut self, breaker: impl Into<BreakerName>, by: By) -> Result<(), OrderError> {
        self.force(breaker.into(), false, by)
    }

    /// Ends an order. See [`Fleet::release`](crate::Fleet::release).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`force_open`](Self::force_open), and [`OrderError::NoOrder`] if the breaker has no
    /// order.
    pub fn release(&mut self, breaker: impl Into<BreakerName>) -> Result<(), OrderError> {
        let name = breaker.into().checked()?;
        let (is_released, _) = self.order(Op::Release { name: name.clone() })?;
        if is_released { Ok(()) } else { Err(OrderError::NoOrder(shown(&name))) }
    }

    /// Closes a breaker in all connected members, clears its counts there, and ends its order.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`force_open`](Self::force_open).
    pub fn reset(&mut self, breaker: impl Into<BreakerName>) -> Result<(), OrderError> {
        let name = breaker.into().checked()?;
        self.order(Op::Reset { name }).map(drop)
    }

    /// Calls `heard` for each change of a breaker, until `heard` returns false or the connection is lost. `subscribed` is
    /// called once: from then on, no change is missed.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the connection is lost.
    pub fn follow(&self, subscribed: impl FnMut(), heard: impl FnMut(View) -> bool) -> Result<(), StoreError> {
        self.store.listen(&self.fleet, &mut Follower { subscribed, heard, is_over: false })
    }

    fn force(&mut self, breaker: BreakerName, is_open: bool, by: By) -> Result<(), OrderError> {
        let order = StandingOrder::checked(is_open, by)?;
        self.order(Op::Order { name: breaker.checked()?, order }).map(drop)
    }

    fn order(&mut self, op: Op) -> Result<(bool, View), OrderError> {
        let reply = self.run(&[op]).map_err(|error| OrderError::NoAnswer(error.to_string()))?;
        let answer = reply.answers.into_iter().next();
        let missing = || OrderError::NoAnswer("its answer is malformed".to_owned());
        answer.and_then(|mut answer| Some((answer.is_granted, answer.views.pop()?))).ok_or_else(missing)
    }

    fn run(&mut self, ops: &[Op]) -> Result<Reply, StoreError> {
        self.connection.run(&self.fleet, &self.caller, ops)
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("fleet", &escape(&self.fleet)).finish_non_exhaustive()
    }
}

struct Follower<S, H> {
    subscribed: S,
    heard: H,
    is_over: bool,
}

impl<S: FnMut(), H: FnMut(View) -> bool> Listener for Follower<S, H> {
    fn subscribed(&mut self) {
        (self.subscribed)();
    }

    fn message(&mut self, bytes: &[u8]) {
        // Malformed messages are ignored, as members do.
        for view in Message::decode(bytes).into_iter().flat_map(|message| message.views) {
            self.is_over |= !(self.heard)(view);
        }
    }

    fn goes_on(&self) -> bool {
        !self.is_over
    }
}
