//! The output of the store: views of breakers, replies to operations, and published messages.

use std::time::Duration;

use super::text::{Fields, NONE, escape, is_member, millis};

/// Why a text from the store was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) &'static str);

/// The longest message that is read.
pub const LONGEST_MESSAGE: usize = 1 << 20;
const LONGEST_LINE: usize = 8 << 10;

/// The automatic state that the fleet has agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No breaker is held open.
    Closed,
    /// No breaker is held open, and each breaker has to reset.
    Reset,
    /// All breakers are held open. A member may probe after this time.
    Open(Duration),
    /// One member probes, and no other member may probe for this time.
    Probing(Duration, String),
}

/// An operator's order for the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingOrder {
    /// Whether the breakers are forced open. Otherwise they are forced closed.
    pub is_open: bool,
    /// The author of the order.
    pub by: String,
    /// The reason.
    pub because: String,
    /// The remaining time. `None` means until the order is released.
    pub remaining: Option<Duration>,
}

/// The state of one breaker in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The breaker's name, escaped.
    pub name: String,
    /// The version of this state, which grows with each published change.
    pub version: u64,
    /// The automatic state.
    pub phase: Phase,
    /// The number of re-openings since the last close.
    pub generation: u64,
    /// The fencing token of the newest lease.
    pub token: u64,
    /// The number of votes that have not expired. It includes votes of dead members, which do not count towards the
    /// quorum.
    pub votes: u64,
    /// The duration of the first opening, by the settings of the deciding voter.
    pub hold: Duration,
    /// When an order was last given or released, in milliseconds by the store's clock. 0 means never.
    pub ordered_at: u64,
    /// The operator's order, if one is in force.
    pub order: Option<StandingOrder>,
}

impl View {
    /// A breaker that the store knows nothing of.
    pub(crate) fn unknown(name: &str, version: u64) -> Self {
        View {
            name: name.to_owned(),
            version,
            phase: Phase::Closed,
            generation: 0,
            token: 0,
            votes: 0,
            hold: Duration::ZERO,
            ordered_at: 0,
            order: None,
        }
    }

    /// Whether this member probes.
    pub(crate) fn is_probed_by(&self, member: &str) -> bool {
        matches!(&self.phase, Phase::Probing(_, prober) if prober == member)
    }

    pub(crate) fn encode(&self) -> String {
        let (phase, remaining, prober) = match &self.phase {
            Phase::Closed => ("c", Duration::ZERO, NONE),
            Phase::Reset => ("r", Duration::ZERO, NONE),
            Phase::Open(remaining) => ("o", *remaining, NONE),
            Phase::Probing(remaining, prober) => ("p", *remaining, prober.as_str()),
        };
        let order = match &self.order {
            None => format!("{NONE} {NONE} {NONE} {NONE}"),
            Some(order) => {
                let kind = if order.is_open { "o" } else { "c" };
                let remaining = order.remaining.map_or_else(|| NONE.to_owned(), |left| millis(left).to_string());
                format!("{kind} {remaining} {} {}", prose(&order.by), prose(&order.because))
            }
        };
        format!(
            "{} {} {phase} {} {} {} {prober} {} {} {} {order}",
            self.name,
            self.version,
            millis(remaining),
            self.generation,
            self.token,
            self.votes,
            millis(self.hold),
            self.ordered_at,
        )
    }

    /// Reads one line.
    ///
    /// # Errors
    ///
    /// Returns [`Malformed`] if there is a missing or an extra field, or if a field is out of range or not escaped
    /// correctly.
    pub fn decode(line: &str) -> Result<Self, Malformed> {
        if line.len() > LONGEST_LINE {
            return Err(Malformed("a line is too long"));
        }
        let mut fields = Fields::of(line);
        let (name, version) = (fields.name()?.to_owned(), fields.number()?);
        let (phase, remaining) = (fields.text()?, fields.duration()?);
        let (generation, token, prober) = (fields.number()?, fields.number()?, fields.member()?);
        let phase = match (phase, prober) {
            ("c", None) => Phase::Closed,
            ("r", None) => Phase::Reset,
            ("o", None) => Phase::Open(remaining),
            ("p", Some(prober)) => Phase::Probing(remaining, prober),
            _ => return Err(Malformed("there is no such phase")),
        };
        let (votes, hold, ordered_at) = (fields.number()?, fields.duration()?, fields.number()?);
        let order = decode_order(&mut fields)?;
        fields.end()?;
        Ok(View { name, version, phase, generation, token, votes, hold, ordered_at, order })
    }
}

fn decode_order(fields: &mut Fields<'_>) -> Result<Option<StandingOrder>, Malformed> {
    let kind = fields.optional()?;
    let (remaining, by, because) = (fields.optional_duration()?, fields.prose()?, fields.prose()?);
    let is_open = match kind {
        None => return Ok(None),
        Some("o") => true,
        Some("c") => false,
        Some(_) => return Err(Malformed("there is no such order")),
    };
    Ok(Some(StandingOrder { is_open, by, because, remaining }))
}

pub(crate) fn prose(text: &str) -> String {
    if text.is_empty() { NONE.to_owned() } else { escape(text) }
}

/// The store's answer to a batch of operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The number of published changes so far.
    pub seq: u64,
    /// A random name that is assigned to an empty store. A store that has lost its state gets another name.
    pub run: String,
    /// The number of live members.
    pub live: u64,
    /// One answer for each operation, in order.
    pub answers: Vec<Answer>,
}

/// The store's answer to one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the operation was executed. The store may refuse a lease, a renewal or a verdict.
    pub is_granted: bool,
    /// The state of the breaker after the operation. For a snapshot, a page of the breakers that are not closed.
    pub views: Vec<View>,
}

impl Reply {
    /// Decodes a reply: a header, then one text for each answer.
    ///
    /// # Errors
    ///
    /// Returns [`Malformed`] if the reply violates the protocol.
    pub fn decode<'a>(head: &str, answers: impl IntoIterator<Item = &'a str>) -> Result<Self, Malformed> {
        let mut fields = Fields::of(head);
        let (seq, run, live) = (fields.number()?, decode_run(&mut fields)?, fields.number()?);
        fields.end()?;
        let answers: Vec<_> = answers.into_iter().map(Answer::decode).collect::<Result<_, _>>()?;
        check_versions(answers.iter().flat_map(|answer| &answer.views), seq)?;
        Ok(Reply { seq, run, live, answers })
    }

    /// The head and the answers, as a store that is not written in Rust gives them.
    #[must_use]
    pub fn encode(&self) -> Vec<String> {
        let head = format!("{} {} {}", self.seq, self.run, self.live);
        std::iter::once(head).chain(self.answers.iter().map(Answer::encode)).collect()
    }
}

impl Answer {
    fn decode(text: &str) -> Result<Self, Malformed> {
        if text.len() > LONGEST_MESSAGE {
            return Err(Malformed("an answer is too long"));
        }
        let mut lines = text.split('\n');
        let is_granted = match lines.next() {
            Some("+") => true,
            Some("-") => false,
            _ => return Err(Malformed("an answer is neither granted nor refused")),
        };
        Ok(Answer { is_granted, views: lines.map(View::decode).collect::<Result<_, _>>()? })
    }

    fn encode(&self) -> String {
        let first = if self.is_granted { "+" } else { "-" };
        let views = self.views.iter().map(|view| format!("\n{}", view.encode()));
        std::iter::once(first.to_owned()).chain(views).collect()
    }
}

/// A published message about breakers that have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// As in [`Reply::run`].
    pub run: String,
    /// The number of published changes before this message.
    pub before: u64,
    /// The number of published changes including this message.
    pub seq: u64,
    /// The breakers that have changed.
    pub views: Vec<View>,
}

impl Message {
    /// Decodes a message.
    ///
    /// # Errors
    ///
    /// Returns [`Malformed`] if the message violates the protocol. A malformed message has no effect.
    ///
    /// ```
    /// use tripcoil_fleet::protocol::Message;
    ///
    /// assert!(Message::decode(b"nonsense").is_err());
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > LONGEST_MESSAGE {
            return Err(Malformed("a message is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("a message is not UTF-8"))?;
        let mut lines = text.split('\n');
        let mut head = Fields::of(lines.next().unwrap_or_default());
        let (run, before, seq) = (decode_run(&mut head)?, head.number()?, head.number()?);
        head.end()?;
        if before > seq {
            return Err(Malformed("a message counts backwards"));
        }
        let views: Vec<_> = lines.map(View::decode).collect::<Result<_, _>>()?;
        check_versions(&views, seq)?;
        Ok(Message { run, before, seq, views })
    }

    /// Encodes the message as text.
    #[must_use]
    pub fn encode(&self) -> String {
        let head = format!("{} {} {}", self.run, self.before, self.seq);
        let views = self.views.iter().map(|view| format!("\n{}", view.encode()));
        std::iter::once(head).chain(views).collect()
    }
}

/// No breaker is ahead of the store. One that were would make members deaf to what comes later.
fn check_versions<'a>(views: impl IntoIterator<Item = &'a View>, seq: u64) -> Result<(), Malformed> {
    if views.into_iter().any(|view| view.version > seq) {
        return Err(Malformed("a breaker is ahead of the store"));
    }
    Ok(())
}

fn decode_run(fields: &mut Fields<'_>) -> Result<String, Malformed> {
    let run = fields.text()?;
    if is_member(run) { Ok(run.to_owned()) } else { Err(Malformed("a run's name is malformed")) }
}
