//! What a member asks of the store.

use std::fmt;
use std::time::Duration;

use super::message::{StandingOrder, prose};
use super::text::{NONE, millis};

/// How many votes open the fleet.
///
/// A share is of the live members that use the breaker; a count is one number for fleets of any size, and for those
/// with uneven traffic.
///
/// ```
/// use tripcoil_fleet::Quorum;
///
/// assert_eq!(Quorum::share(0.5).at_least(2).votes_of(32), 16);
/// assert_eq!(Quorum::share(0.5).at_least(2).votes_of(1), 2);
/// assert_eq!(Quorum::count(3).votes_of(32), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quorum {
    pub(crate) share: Option<f64>,
    pub(crate) floor: u32,
}

impl Quorum {
    /// A share of the live members that use the breaker: above 0, up to 1. At least two votes are needed, however few
    /// members there are.
    #[must_use]
    pub const fn share(share: f64) -> Self {
        Quorum { share: Some(share), floor: 2 }
    }

    /// That many votes, however many members there are; at least 1. With `count(1)` any member opens the fleet.
    #[must_use]
    pub const fn count(votes: u32) -> Self {
        Quorum { share: None, floor: votes }
    }

    /// With a share: never fewer votes than these, of which there have to be at least 2.
    #[must_use]
    pub const fn at_least(self, votes: u32) -> Self {
        Quorum { floor: votes, ..self }
    }

    /// The votes that are needed where so many live members use the breaker.
    #[must_use]
    pub fn votes_of(self, members: u64) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "a fleet has fewer members than 2⁵²")]
        let share = (self.share.unwrap_or(0.0) * members as f64).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is at least 0")]
        let share = share.max(0.0) as u64;
        share.max(self.floor.into())
    }
}

impl Default for Quorum {
    /// Half of the members, and at least two.
    fn default() -> Self {
        Quorum::share(0.5)
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.share {
            Some(share) => write!(f, "share({share}).at_least({})", self.floor),
            None => write!(f, "count({})", self.floor),
        }
    }
}

/// For how long the fleet stays open: `hold`, then `factor` times as long for each re-opening, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first opening.
    pub hold: Duration,
    /// By how much each re-opening is longer; at least 1.
    pub factor: f64,
    /// The longest opening.
    pub max: Duration,
}

impl Backoff {
    /// The opening after so many re-openings. The multiplications are those of the Lua script, one by one, so that both
    /// round alike.
    pub(crate) fn after(self, generation: u64) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "ten years of milliseconds are below 2⁵³")]
        let (mut wait, max) = (millis(self.hold) as f64, millis(self.max.max(self.hold)) as f64);
        for _ in 0..generation {
            wait *= self.factor;
            if wait >= max || self.factor <= 1.0 {
                break;
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is at least 0 and at most `max`"
        )]
        let whole = wait.min(max).floor() as u64;
        whole
    }
}

/// One operation. A store carries out a batch of them at once, by its own clock.
///
/// `name` is a breaker's, `member` a member's incarnation, both escaped.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are told of above and below")]
pub enum Op {
    /// Keeps the member alive for `ttl`.
    Beat { member: String, ttl: Duration },
    /// Takes the member out.
    Leave { member: String },
    /// The member calls this breaker, so a quorum counts it.
    Use { name: String, member: String },
    /// It does so no more.
    Unuse { name: String, member: String },
    /// The member's breaker has opened by its own rules.
    Vote { name: String, member: String, ttl: Duration, backoff: Backoff, quorum: Quorum },
    /// It has recovered by itself.
    Retract { name: String, member: String },
    /// Asks for the right to probe, for `ttl`.
    Lease { name: String, member: String, ttl: Duration },
    /// Asks to go on probing, for `ttl` from now on.
    Renew { name: String, member: String, token: u64, ttl: Duration },
    /// What the probes of that lease have found.
    Verdict { name: String, member: String, token: u64, is_ok: bool },
    /// An operator's order for all.
    Order { name: String, order: StandingOrder },
    /// Ends it.
    Release { name: String },
    /// Closes the fleet, and has every breaker begin anew.
    Reset { name: String },
    /// What a survivor knows of the last order, for a store that has forgotten it.
    Seed { name: String, ordered_at: u64, order: Option<StandingOrder> },
    /// The breaker as it stands.
    Show { name: String },
    /// A page of the breakers that are not closed, and have changed after this version.
    Snapshot { after: u64 },
}

/// How many breakers a page of a snapshot holds.
pub const PAGE: usize = 256;

impl Op {
    /// The breaker that this is about.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Op::Beat { .. } | Op::Leave { .. } | Op::Snapshot { .. } => None,
            Op::Use { name, .. }
            | Op::Unuse { name, .. }
            | Op::Vote { name, .. }
            | Op::Retract { name, .. }
            | Op::Lease { name, .. }
            | Op::Renew { name, .. }
            | Op::Verdict { name, .. }
            | Op::Order { name, .. }
            | Op::Release { name }
            | Op::Reset { name }
            | Op::Seed { name, .. }
            | Op::Show { name } => Some(name),
        }
    }

    /// The line that a script reads.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Op::Beat { member, ttl } => format!("beat {member} {}", millis(*ttl)),
            Op::Leave { member } => format!("leave {member}"),
            Op::Use { name, member } => format!("use {name} {member}"),
            Op::Unuse { name, member } => format!("unuse {name} {member}"),
            Op::Vote { name, member, ttl, backoff, quorum } => format!(
                "vote {name} {member} {} {} {} {} {} {}",
                millis(*ttl),
                millis(backoff.hold),
                backoff.factor,
                millis(backoff.max.max(backoff.hold)),
                quorum.share.unwrap_or(0.0),
                quorum.floor,
            ),
            Op::Retract { name, member } => format!("retract {name} {member}"),
            Op::Lease { name, member, ttl } => format!("lease {name} {member} {}", millis(*ttl)),
            Op::Renew { name, member, token, ttl } => format!("renew {name} {member} {token} {}", millis(*ttl)),
            Op::Verdict { name, member, token, is_ok } => {
                format!("verdict {name} {member} {token} {}", u8::from(*is_ok))
            }
            Op::Order { name, order } => format!("order {name} {}", encode_order(Some(order))),
            Op::Release { name } => format!("release {name}"),
            Op::Reset { name } => format!("reset {name}"),
            Op::Seed { name, ordered_at, order } => {
                format!("seed {name} {} {ordered_at}", encode_order(order.as_ref()))
            }
            Op::Show { name } => format!("show {name}"),
            Op::Snapshot { after } => format!("snapshot {after}"),
        }
    }
}

fn encode_order(order: Option<&StandingOrder>) -> String {
    let Some(order) = order else { return format!("{NONE} {NONE} {NONE} {NONE}") };
    let kind = if order.is_open { "o" } else { "c" };
    let remaining = order.remaining.map_or_else(|| NONE.to_owned(), |left| millis(left).to_string());
    format!("{kind} {remaining} {} {}", prose(&order.by), prose(&order.because))
}
