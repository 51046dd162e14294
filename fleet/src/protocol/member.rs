//! One breaker of one member: what it does when something happens.
//!
//! A pure state machine: events in, actions out, no I/O. The time is handed in, by a clock of the member's own that has
//! nothing to do with anybody else's.

use std::time::Duration;

use tripcoil::State;

use super::message::{Phase, StandingOrder, View};
use super::op::{Backoff, Op, Quorum};
use super::random::Random;

/// What a member is told for one breaker.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The member's incarnation.
    pub(crate) member: String,
    pub(crate) quorum: Quorum,
    pub(crate) backoff: Backoff,
    /// How long the right to probe lasts.
    pub(crate) lease: Duration,
    /// What a member holds for longer than the fleet is open. So a worker that is dead frees its breakers.
    pub(crate) slack: Duration,
    /// How much earlier than the store a member takes its lease for ended.
    pub(crate) margin: Duration,
    /// What a vote outlives the reset timeout by: two beats.
    pub(crate) vote_tail: Duration,
}

/// What the breaker shows at the moment of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Within the steps of a slow close or a recovery, it counts as closed.
    pub(crate) state: State,
    /// Calls that it has rejected, ever.
    pub(crate) rejected: u64,
    /// Calls in flight.
    pub(crate) active: u64,
}

/// What the breaker did without being told to by the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    /// It opened by its own rules, for that long.
    Tripped(Duration),
    /// Its probes failed, and it opened for that long.
    ProbeFailed(Duration),
    /// Its probes succeeded.
    Recovered,
    /// Its deadline was over, and a call became a probe.
    SelfProbe,
    /// An operator forced it here.
    Forced,
    /// An operator moved it here, out of a forced state or not.
    Moved,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Local(Local),
    /// The store's state, of whatever age.
    View(View),
    /// The store's answer to a lease or a renewal that was sent at that time.
    LeaseReply {
        is_granted: bool,
        view: View,
        sent: Duration,
    },
    /// The connection stands, and this is where the store is; `has_forgotten`: it knows less than it knew.
    Joined {
        view: View,
        has_forgotten: bool,
    },
    /// A snapshot that was complete at this version does not name the breaker.
    Absent {
        version: u64,
    },
    /// The store cannot be reached.
    Lost,
    /// Time has gone by.
    Tick,
    /// The member has beaten, and looks after orders.
    Beat,
    /// The breaker moved before an action reached it.
    Overtaken,
}

/// What is to be done with the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Open for this long.
    Hold(Duration),
    /// Open for this long from now, if it is open.
    Extend(Duration),
    /// Half-open.
    Probe,
    /// Let a growing share of the calls through, up to the close.
    SlowClose,
    /// Forced open, or forced closed.
    Force {
        is_open: bool,
    },
    /// Let go of what was forced, if nobody has touched it since.
    Release,
    Reset,
}

/// What is worth telling people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Voted,
    Opened { remaining: Duration, generation: u64 },
    Closed,
    Elected { token: u64 },
    Verdict { token: u64, is_ok: bool },
    OrderTaken(StandingOrder),
    OrderEnded,
    OrderOverridden,
}

/// All that one event leads to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) actions: Vec<Action>,
    pub(crate) ops: Vec<Op>,
    pub(crate) notices: Vec<Notice>,
}

/// By whose rules the breaker lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Its own.
    Local,
    /// The fleet's: open. From `due` on a member may probe.
    Held {
        due: Duration,
        /// Until when the breaker is held; `None` if it is closed, and only asks for the lease.
        deadline: Option<Duration>,
        /// Whether the lease has been asked for.
        has_asked: bool,
        /// Rejections before that: more of them mean that a probe is wanted. `None`: it is wanted already.
        rejected: Option<u64>,
    },
    /// The fleet's: this member probes.
    Probing { token: u64, until: Duration, is_renewing: bool },
    /// An operator's.
    Ordered { is_open: bool, end: Option<Duration> },
}

/// What the member has seen with its own eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    None,
    /// To be sent at that time, unless the fleet opens before.
    Waits(Duration),
    Sent,
}

/// One breaker of one member.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Member {
    name: String,
    terms: Terms,
    mode: Mode,
    /// The newest view, and when it came.
    view: View,
    seen: Duration,
    evidence: Evidence,
    /// For how long the breaker last opened by itself: what the fleet is asked to hold for.
    opened_for: Duration,
    /// A verdict of which it is not known whether it arrived.
    verdict: Option<(u64, bool)>,
    /// Whether what keeps the breaker open is the fleet's hold and nothing since.
    hold_stands: bool,
    /// Whether an operator has forced it here.
    is_forced: bool,
    is_connected: bool,
    is_overtaken: bool,
    random: Random,
    /// The most that a vote or the asking for a lease is put off.
    spread: Duration,
}

impl Member {
    pub(crate) fn new(name: &str, terms: Terms, random: Random) -> Self {
        Member {
            name: name.to_owned(),
            opened_for: terms.backoff.hold,
            terms,
            mode: Mode::Local,
            view: View::unknown(name, 0),
            seen: Duration::ZERO,
            evidence: Evidence::None,
            verdict: None,
            hold_stands: false,
            is_forced: false,
            is_connected: false,
            is_overtaken: false,
            random,
            spread: Duration::ZERO,
        }
    }

    pub(crate) fn mode(&self) -> &Mode {
        &self.mode
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(crate) fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    pub(crate) fn is_forced(&self) -> bool {
        self.is_forced
    }

    /// Whether the store has this member's vote, by the last answer.
    pub(crate) fn is_voting(&self) -> bool {
        self.evidence == Evidence::Sent
    }

    /// Takes the fleet's size into account: the larger it is, the longer its members wait for each other.
    pub(crate) fn set_live(&mut self, live: u64) {
        self.spread = Duration::from_micros(live.saturating_sub(2).min(10_000) * 100);
    }

    /// Whether time may change something, so that ticks have to come often.
    pub(crate) fn is_busy(&self) -> bool {
        self.mode != Mode::Local || matches!(self.evidence, Evidence::Waits(_)) || self.is_overtaken
    }

    /// What to do as `event` happens at the time `now`.
    pub(crate) fn on(&mut self, now: Duration, event: Event, sight: Sight) -> Outcome {
        let mut out = Outcome::default();
        let ordered = matches!(self.mode, Mode::Ordered { .. });
        if is_forced(sight.state) && !ordered && !self.is_forced {
            self.be_forced(&mut out);
        }
        match event {
            Event::Local(local) => self.follow(now, local, sight, &mut out),
            Event::View(view) => self.hear(now, view, sight, &mut out),
            Event::LeaseReply { is_granted, view, sent } => {
                self.take_lease(now, is_granted, view, sent, sight, &mut out);
            }
            Event::Joined { view, has_forgotten } => self.join(now, view, has_forgotten, sight, &mut out),
            Event::Absent { version } => self.hear_nothing(now, version, sight, &mut out),
            Event::Lost => self.lose(),
            Event::Tick => self.tick(now, sight, &mut out),
            Event::Beat => self.look_after_order(sight, &mut out),
            Event::Overtaken => self.is_overtaken = true,
        }
        out
    }

    /// The breaker has done something by itself.
    fn follow(&mut self, now: Duration, local: Local, sight: Sight, out: &mut Outcome) {
        if matches!(self.mode, Mode::Ordered { .. }) && !matches!(local, Local::Forced | Local::Moved) {
            return;
        }
        self.hold_stands = false;
        match local {
            Local::Tripped(open_for) | Local::ProbeFailed(open_for) => self.fail(now, open_for, sight, out),
            Local::Recovered => self.recover(now, sight, out),
            Local::SelfProbe => {
                if let Mode::Held { has_asked, .. } = &mut self.mode {
                    let asks = self.is_connected && !*has_asked;
                    *has_asked |= asks;
                    if asks {
                        out.ops.push(self.lease());
                    }
                }
            }
            Local::Forced => self.be_forced(out),
            Local::Moved if self.is_forced => {
                self.is_forced = false;
                self.settle(now, sight, out);
            }
            // An order is an operator's too, and looked after at the next beat. Anything else of the fleet ends here.
            Local::Moved if matches!(self.mode, Mode::Ordered { .. }) => {}
            Local::Moved => {
                self.retract(out);
                self.mode = Mode::Local;
            }
        }
    }

    fn fail(&mut self, now: Duration, open_for: Duration, sight: Sight, out: &mut Outcome) {
        match self.mode {
            Mode::Local => {
                self.opened_for = open_for;
                self.evidence = Evidence::Waits(now + self.random.up_to(self.spread));
            }
            Mode::Probing { token, .. } => {
                self.conclude(token, false, out);
                self.mode = held(now + open_for, Some(now + open_for), sight);
            }
            Mode::Held { due, .. } => self.mode = held(due, Some(now + open_for), sight),
            Mode::Ordered { .. } => {}
        }
    }

    fn recover(&mut self, now: Duration, sight: Sight, out: &mut Outcome) {
        match self.mode {
            Mode::Local => self.retract(out),
            Mode::Probing { token, .. } => {
                self.conclude(token, true, out);
                self.mode = Mode::Local;
            }
            // It had no right to find that out, and now asks for it.
            Mode::Held { .. } => self.mode = held(now, None, sight),
            Mode::Ordered { .. } => {}
        }
    }

    fn conclude(&mut self, token: u64, is_ok: bool, out: &mut Outcome) {
        self.verdict = Some((token, is_ok));
        out.ops.push(self.verdict_op(token, is_ok));
        out.notices.push(Notice::Verdict { token, is_ok });
    }

    fn verdict_op(&self, token: u64, is_ok: bool) -> Op {
        Op::Verdict { name: self.name.clone(), member: self.terms.member.clone(), token, is_ok }
    }

    fn retract(&mut self, out: &mut Outcome) {
        if self.evidence == Evidence::Sent {
            out.ops.push(Op::Retract { name: self.name.clone(), member: self.terms.member.clone() });
        }
        self.evidence = Evidence::None;
    }

    fn be_forced(&mut self, out: &mut Outcome) {
        self.retract(out);
        self.is_forced = true;
        self.mode = Mode::Local;
    }

    /// The store has told something.
    fn hear(&mut self, now: Duration, view: View, sight: Sight, out: &mut Outcome) {
        if view.version > self.view.version {
            self.know(now, view);
            self.settle(now, sight, out);
        } else if view.version == self.view.version {
            // A vote below the quorum changes nothing else; the status shows it.
            self.view.votes = view.votes;
        }
    }

    fn hear_nothing(&mut self, now: Duration, version: u64, sight: Sight, out: &mut Outcome) {
        let is_closed = matches!(self.view.phase, Phase::Closed | Phase::Reset) && self.view.order.is_none();
        if self.view.version <= version && !is_closed {
            let ordered_at = self.view.ordered_at;
            self.know(now, View { ordered_at, ..View::unknown(&self.name, version) });
            self.settle(now, sight, out);
        }
    }

    fn know(&mut self, now: Duration, view: View) {
        let verdict_counts = self.verdict.is_some_and(|(token, _)| view.token != token || !is_probing(&view));
        if verdict_counts {
            self.verdict = None;
        }
        self.view = view;
        self.seen = now;
    }

    fn take_lease(
        &mut self,
        now: Duration,
        is_granted: bool,
        view: View,
        sent: Duration,
        sight: Sight,
        out: &mut Outcome,
    ) {
        // From the sending: the store counts from a moment after that.
        let until = (sent + self.terms.lease).saturating_sub(self.terms.margin);
        let token = view.token;
        let is_mine = is_granted && view.is_probed_by(&self.terms.member) && view.version >= self.view.version;
        match &mut self.mode {
            Mode::Probing { until: end, is_renewing, .. } if is_mine => (*end, *is_renewing) = (until, false),
            Mode::Held { .. } if is_mine && now < until => {
                self.know(now, view);
                self.mode = Mode::Probing { token, until, is_renewing: false };
                out.notices.push(Notice::Elected { token });
                if sight.state != State::HalfOpen {
                    out.actions.push(Action::Probe);
                }
            }
            Mode::Held { .. } | Mode::Probing { .. } if !is_granted => {
                if view.version >= self.view.version {
                    self.know(now, view);
                    self.mode = held(now, None, sight);
                    self.settle(now, sight, out);
                    self.put_off(now);
                } else if let Mode::Held { has_asked, .. } = &mut self.mode {
                    *has_asked = false;
                }
            }
            Mode::Held { has_asked, .. } => *has_asked = false,
            Mode::Local | Mode::Probing { .. } | Mode::Ordered { .. } => {}
        }
    }

    /// After a refusal: asks again in a while, and needs no further rejection for it.
    fn put_off(&mut self, now: Duration) {
        let pause = self.terms.lease / 4;
        if let Mode::Held { due, rejected, .. } = &mut self.mode {
            *due = (*due).max(now + pause + self.random.up_to(pause));
            *rejected = None;
        }
    }

    /// The connection stands.
    fn join(&mut self, now: Duration, view: View, has_forgotten: bool, sight: Sight, out: &mut Outcome) {
        self.is_connected = true;
        if self.evidence != Evidence::None {
            let is_open = matches!(sight.state, State::Open | State::HalfOpen);
            let next = Evidence::Waits(now + self.random.up_to(self.spread));
            self.evidence = if is_open { next } else { Evidence::None };
        }
        if has_forgotten && view.ordered_at < self.view.ordered_at {
            let order = self.order_left(now);
            let ordered_at = self.view.ordered_at;
            out.ops.push(Op::Seed { name: self.name.clone(), ordered_at, order: order.clone() });
            self.know(now, View { version: view.version, ordered_at, order, ..view });
            return;
        }
        if let Some((token, is_ok)) = self.verdict
            && view.is_probed_by(&self.terms.member)
            && view.token == token
        {
            out.ops.push(self.verdict_op(token, is_ok));
        }
        let is_let_go = !has_forgotten && self.hold_stands && self.mode == Mode::Local && !self.is_forced;
        if is_let_go && view.phase == Phase::Closed && sight.state == State::Open {
            self.hold_stands = false;
            out.actions.push(Action::SlowClose);
        }
        if has_forgotten || view.version >= self.view.version {
            let ordered_at = view.ordered_at.max(self.view.ordered_at);
            self.know(now, View { ordered_at, ..view });
        }
        self.settle(now, sight, out);
    }

    /// The order as it stands now, if its end has not come.
    pub(crate) fn order_left(&self, now: Duration) -> Option<StandingOrder> {
        let order = self.view.order.clone()?;
        let gone = now.saturating_sub(self.seen);
        match order.remaining {
            Some(remaining) if remaining <= gone => None,
            remaining => Some(StandingOrder { remaining: remaining.map(|left| left - gone), ..order }),
        }
    }

    /// Everything goes on as if there were no fleet. What holds the breaker open ends by itself; an order stays.
    fn lose(&mut self) {
        self.is_connected = false;
        if matches!(self.mode, Mode::Held { .. } | Mode::Probing { .. }) {
            self.mode = Mode::Local;
        }
    }

    /// Brings the breaker and the mode in line with the view.
    fn settle(&mut self, now: Duration, sight: Sight, out: &mut Outcome) {
        if self.is_forced {
            return;
        }
        if let Some(order) = self.order_left(now) {
            return self.take_order(now, order, out);
        }
        if matches!(self.mode, Mode::Ordered { .. }) {
            self.leave_order(out);
        }
        match self.view.phase.clone() {
            Phase::Closed => self.let_go(sight, out),
            Phase::Reset => {
                self.mode = Mode::Local;
                // The vote may reach the store after the reset.
                self.retract(out);
                out.actions.push(Action::Reset);
            }
            Phase::Open(remaining) => self.hold(now, remaining, sight, out),
            Phase::Probing(remaining, _) => {
                if !self.is_probing_now() {
                    self.hold(now, remaining, sight, out);
                }
            }
        }
    }

    /// Whether the lease that the view names is the one that this member probes under.
    fn is_probing_now(&self) -> bool {
        let is_mine = self.view.is_probed_by(&self.terms.member);
        is_mine && matches!(self.mode, Mode::Probing { token, .. } if token == self.view.token)
    }

    fn take_order(&mut self, now: Duration, order: StandingOrder, out: &mut Outcome) {
        let is_open = order.is_open;
        let end = order.remaining.map(|remaining| now + remaining);
        let is_new = !matches!(self.mode, Mode::Ordered { is_open: before, .. } if before == is_open);
        self.mode = Mode::Ordered { is_open, end };
        self.evidence = Evidence::None;
        if is_new {
            out.actions.push(Action::Force { is_open });
            out.notices.push(Notice::OrderTaken(order));
        }
    }

    fn leave_order(&mut self, out: &mut Outcome) {
        self.mode = Mode::Local;
        self.view.order = None;
        out.actions.push(Action::Release);
        out.notices.push(Notice::OrderEnded);
    }

    fn let_go(&mut self, sight: Sight, out: &mut Outcome) {
        if matches!(self.mode, Mode::Held { .. } | Mode::Probing { .. }) {
            if matches!(sight.state, State::Open | State::HalfOpen) {
                out.actions.push(Action::SlowClose);
            }
            self.mode = Mode::Local;
            self.hold_stands = false;
            out.notices.push(Notice::Closed);
        }
    }

    fn hold(&mut self, now: Duration, remaining: Duration, sight: Sight, out: &mut Outcome) {
        // What others have seen must not become a vote of one's own.
        self.evidence = Evidence::None;
        if !matches!(self.mode, Mode::Held { .. } | Mode::Probing { .. }) {
            out.notices.push(Notice::Opened { remaining, generation: self.view.generation });
        }
        let due = now + remaining + self.random.up_to(self.spread);
        // It may have recovered long ago, and nobody has looked.
        if remaining.is_zero() && sight.state == State::Closed {
            self.mode = held(due, None, sight);
            return;
        }
        let hold = remaining + self.terms.slack;
        self.mode = held(due, Some(now + hold), sight);
        self.hold_stands = true;
        out.actions.push(Action::Hold(hold));
    }

    fn tick(&mut self, now: Duration, sight: Sight, out: &mut Outcome) {
        let is_overtaken = std::mem::take(&mut self.is_overtaken);
        if is_overtaken {
            self.catch_up(now, sight, out);
        }
        match self.mode.clone() {
            Mode::Local => self.vote_if_due(now, sight, out),
            Mode::Held { due, deadline, has_asked, rejected } => {
                self.extend(now, deadline, sight, out);
                let is_wanted = deadline.is_none() || rejected.is_none_or(|before| sight.rejected > before);
                if self.is_connected && !has_asked && now >= due && is_wanted {
                    out.ops.push(self.lease());
                    if let Mode::Held { has_asked, .. } = &mut self.mode {
                        *has_asked = true;
                    }
                }
            }
            // Its probes have succeeded. The others need not wait until its own recovery is complete.
            Mode::Probing { .. } if sight.state == State::Closed && !is_overtaken => self.recover(now, sight, out),
            Mode::Probing { until, .. } if now >= until => {
                // Somebody else may probe from now on.
                self.mode = held(now + self.terms.lease, Some(now + self.terms.slack), sight);
                out.actions.push(Action::Hold(self.terms.slack));
            }
            Mode::Probing { token, until, is_renewing } => {
                if sight.active > 0 && !is_renewing && until - now < self.terms.lease / 2 {
                    self.mode = Mode::Probing { token, until, is_renewing: true };
                    let (name, member) = (self.name.clone(), self.terms.member.clone());
                    out.ops.push(Op::Renew { name, member, token, ttl: self.terms.lease });
                }
            }
            Mode::Ordered { end, .. } => {
                if end.is_some_and(|end| now >= end) {
                    self.leave_order(out);
                }
            }
        }
    }

    /// Does again what did not reach the breaker.
    fn catch_up(&mut self, now: Duration, sight: Sight, out: &mut Outcome) {
        match self.mode {
            Mode::Held { due, deadline: Some(_), .. } if !is_forced(sight.state) => {
                let hold = due.saturating_sub(now) + self.terms.slack;
                out.actions.push(Action::Hold(hold));
            }
            Mode::Probing { .. } if matches!(sight.state, State::Open | State::Closed) => {
                out.actions.push(Action::Probe);
            }
            Mode::Ordered { is_open, .. } => out.actions.push(Action::Force { is_open }),
            _ => {}
        }
    }

    fn vote_if_due(&mut self, now: Duration, sight: Sight, out: &mut Outcome) {
        if !matches!(self.evidence, Evidence::Waits(at) if now >= at) || !self.is_connected || self.is_forced {
            return;
        }
        if !matches!(sight.state, State::Open | State::HalfOpen) {
            self.evidence = Evidence::None;
            return;
        }
        self.evidence = Evidence::Sent;
        let hold = self.opened_for;
        out.ops.push(Op::Vote {
            name: self.name.clone(),
            member: self.terms.member.clone(),
            ttl: hold + self.terms.vote_tail,
            backoff: Backoff { hold, max: self.terms.backoff.max.max(hold), ..self.terms.backoff },
            quorum: self.terms.quorum,
        });
        out.notices.push(Notice::Voted);
    }

    /// While the worker lives and the store is there, a hold does not end by itself.
    fn extend(&mut self, now: Duration, deadline: Option<Duration>, sight: Sight, out: &mut Outcome) {
        let slack = self.terms.slack;
        let is_near = deadline.is_some_and(|deadline| deadline.saturating_sub(now) < slack / 2);
        if is_near && self.is_connected && sight.state == State::Open {
            if let Mode::Held { deadline, .. } = &mut self.mode {
                *deadline = Some(now + slack);
            }
            out.actions.push(Action::Extend(slack));
        }
    }

    fn lease(&self) -> Op {
        Op::Lease { name: self.name.clone(), member: self.terms.member.clone(), ttl: self.terms.lease }
    }

    fn look_after_order(&mut self, sight: Sight, out: &mut Outcome) {
        let Mode::Ordered { is_open, .. } = self.mode else { return };
        let ordered = if is_open { State::ForcedOpen } else { State::ForcedClosed };
        if sight.state != ordered {
            out.actions.push(Action::Force { is_open });
            out.notices.push(Notice::OrderOverridden);
        }
    }
}

fn held(due: Duration, deadline: Option<Duration>, sight: Sight) -> Mode {
    Mode::Held { due, deadline, has_asked: false, rejected: Some(sight.rejected) }
}

fn is_forced(state: State) -> bool {
    matches!(state, State::ForcedOpen | State::ForcedClosed)
}

fn is_probing(view: &View) -> bool {
    matches!(view.phase, Phase::Probing(..))
}
