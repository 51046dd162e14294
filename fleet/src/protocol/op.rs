//! The operations that a member sends to the store.

use std::fmt;
use std::time::Duration;

use super::message::{StandingOrder, prose};
use super::text::{NONE, millis};

/// How many votes open the fleet.
///
/// A share is relative to the live members that use the breaker. A count is the same number for fleets of any size, and
/// suits fleets with uneven traffic.
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
    /// Requires a share of the live members that use the breaker: above 0, up to 1. The quorum is at least two votes,
    /// regardless of the number of members.
    #[must_use]
    pub const fn share(share: f64) -> Self {
        Quorum { share: Some(share), floor: 2 }
    }

    /// Requires this number of votes, at least 1, regardless of the number of members. With `count(1)`, any member
    /// can open the fleet.
    #[must_use]
    pub const fn count(votes: u32) -> Self {
        Quorum { share: None, floor: votes }
    }

    /// Sets the minimum number of votes for a share. It must be at least 2.
    #[must_use]
    pub const fn at_least(self, votes: u32) -> Self {
        Quorum { floor: votes, ..self }
    }

    /// Returns the number of votes that are required if this many live members use the breaker.
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

/// How long the fleet stays open: `hold` at first, then `factor` times as long for each re-opening, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The duration of the first opening.
    pub hold: Duration,
    /// The factor by which each re-opening is longer. At least 1.
    pub factor: f64,
    /// The maximum duration of an opening.
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

/// An operation. A store executes a batch of operations atomically, by its own clock.
///
/// `name` is the name of a breaker and `member` is the incarnation of a member. Both are escaped.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are told of above and below")]
pub enum Op {
    /// Keeps the member alive for `ttl`.
    Beat { member: String, ttl: Duration },
    /// Removes the member.
    Leave { member: String },
    /// Adds the member to the users of this breaker, which count towards a quorum.
    Use { name: String, member: String },
    /// Removes the member from the users of this breaker.
    Unuse { name: String, member: String },
    /// Votes: the member's breaker has opened by its own rules.
    Vote { name: String, member: String, ttl: Duration, backoff: Backoff, quorum: Quorum },
    /// Withdraws the vote: the member's breaker has recovered by itself.
    Retract { name: String, member: String },
    /// Requests the right to probe, for `ttl`.
    Lease { name: String, member: String, ttl: Duration },
    /// Renews the right to probe, for `ttl` from now.
    Renew { name: String, member: String, token: u64, ttl: Duration },
    /// Reports the verdict of the probes under this lease.
    Verdict { name: String, member: String, token: u64, is_ok: bool },
    /// Gives an operator's order to all members.
    Order { name: String, order: StandingOrder },
    /// Ends the order.
    Release { name: String },
    /// Closes the fleet and resets every breaker.
    Reset { name: String },
    /// Restores the last order in a store that has lost it.
    Seed { name: String, ordered_at: u64, order: Option<StandingOrder> },
    /// Reads the current state of the breaker.
    Show { name: String },
    /// Reads a page of the breakers that are not closed and have changed after this version.
    Snapshot { after: u64 },
}

/// The number of breakers in a page of a snapshot.
pub const PAGE: usize = 256;

impl Op {
    /// Returns the name of the breaker, if the operation has one.
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

    /// Returns the encoded line that a script reads.
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
