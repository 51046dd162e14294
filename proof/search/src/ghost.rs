//! What a breaker is meant to do with one event, written down without words, fields or epochs that wrap.

use crate::machine::word::Word;
use crate::settings::Settings;
use crate::state::State;

/// Milliseconds.
pub(crate) type Time = u8;

/// What the breaker is, if all is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ghost {
    pub(crate) mode: Mode,
    pub(crate) epoch: u8,
    pub(crate) reopenings: u8,
    pub(crate) changes: u8,
    /// The epoch of the first round of probes, while half-open.
    pub(crate) first_round: u8,
    /// The newest reading of the clock by which a probe of this epoch was admitted.
    pub(crate) newest: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Closed { errors: u8 },
    Open { until: Time },
    HalfOpen { in_flight: u8, successes: u8, errors: u8, raise: u8 },
    ForcedOpen,
    ForcedClosed,
}

/// Something that happens. `epoch`: that of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Happening {
    /// `is_silent`: the newest probe has been silent for too long.
    Admit {
        now: Time,
        is_silent: bool,
    },
    Success {
        epoch: u8,
    },
    Failure {
        epoch: u8,
        now: Time,
    },
    Trip {
        epoch: u8,
        until: Time,
    },
    Release {
        epoch: u8,
    },
    Enter {
        state: State,
        now: Time,
    },
}

/// What a thread is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Admitted,
    Refused,
    /// So many slots more are free.
    Settled {
        freed: u8,
    },
    Moved,
}

pub(crate) const START: Ghost =
    Ghost { mode: Mode::Closed { errors: 0 }, epoch: 0, reopenings: 0, changes: 0, first_round: 0, newest: 0 };

fn small(number: u32) -> u8 {
    u8::try_from(number).expect("the settings of a scenario are small")
}

impl Mode {
    pub(crate) fn state(self) -> State {
        match self {
            Mode::Closed { .. } => State::Closed,
            Mode::Open { .. } => State::Open,
            Mode::HalfOpen { .. } => State::HalfOpen,
            Mode::ForcedOpen => State::ForcedOpen,
            Mode::ForcedClosed => State::ForcedClosed,
        }
    }

    /// What `word` says.
    pub(crate) fn of(word: Word) -> Self {
        let field = |value: u64| u8::try_from(value).expect("the counts of a scenario are small");
        match word.state() {
            State::Closed => Mode::Closed { errors: field(word.errors()) },
            State::Open => Mode::Open { until: field(word.deadline().bits()) },
            State::HalfOpen => Mode::HalfOpen {
                in_flight: field(word.in_flight()),
                successes: field(word.successes()),
                errors: field(word.probe_errors()),
                raise: field(word.raise()),
            },
            State::ForcedOpen => Mode::ForcedOpen,
            State::ForcedClosed => Mode::ForcedClosed,
        }
    }

    fn free(self, settings: &Settings) -> u8 {
        match self {
            Mode::HalfOpen { in_flight, raise, .. } => {
                (small(settings.half_open_capacity) + raise).saturating_sub(in_flight)
            }
            _ => 0,
        }
    }
}

impl Ghost {
    fn enter(self, mode: Mode) -> Self {
        let (from, to) = (self.mode.state(), mode.state());
        Ghost {
            mode,
            epoch: self.epoch + 1,
            reopenings: match (from, to) {
                (_, State::Closed | State::ForcedClosed) => 0,
                (State::HalfOpen, State::Open) => self.reopenings + 1,
                _ => self.reopenings,
            },
            changes: self.changes + u8::from(from != to),
            first_round: self.epoch + 1,
            newest: 0,
        }
    }

    /// Open for the rules' time: twice as long for each opening out of half-open.
    fn open(self, now: Time, settings: &Settings) -> Self {
        let reopenings = self.reopenings + u8::from(self.mode.state() == State::HalfOpen);
        let millis = |duration: std::time::Duration| u8::try_from(duration.as_millis()).expect("short");
        let wait = millis(settings.reset_timeout) << reopenings;
        self.enter(Mode::Open { until: now + wait.min(millis(settings.backoff_max)) })
    }

    pub(crate) fn after(self, happening: Happening, settings: &Settings) -> (Self, Answer) {
        match happening {
            Happening::Admit { now, is_silent } => self.admit(now, is_silent, settings),
            Happening::Enter { state, now } => {
                let next = match state {
                    State::Closed => self.enter(Mode::Closed { errors: 0 }),
                    State::Open => self.open(now, settings),
                    State::HalfOpen => self.enter(Mode::HalfOpen { in_flight: 0, successes: 0, errors: 0, raise: 0 }),
                    State::ForcedOpen => self.enter(Mode::ForcedOpen),
                    State::ForcedClosed => self.enter(Mode::ForcedClosed),
                };
                (next, Answer::Moved)
            }
            Happening::Success { epoch }
            | Happening::Failure { epoch, .. }
            | Happening::Trip { epoch, .. }
            | Happening::Release { epoch } => {
                let is_evidence =
                    self.mode.state() == State::HalfOpen && (self.first_round..self.epoch).contains(&epoch);
                let next = match epoch == self.epoch {
                    true => self.settle(happening, settings),
                    false if is_evidence => self.hear(happening, settings),
                    false => self,
                };
                if next.epoch != self.epoch {
                    return (next, Answer::Moved);
                }
                (next, Answer::Settled { freed: next.mode.free(settings).saturating_sub(self.mode.free(settings)) })
            }
        }
    }

    fn admit(self, now: Time, is_silent: bool, settings: &Settings) -> (Self, Answer) {
        match self.mode {
            Mode::Closed { .. } | Mode::ForcedClosed => (self, Answer::Admitted),
            Mode::Open { until } if now < until => (self, Answer::Refused),
            Mode::Open { .. } => {
                let probing = Mode::HalfOpen { in_flight: 1, successes: 0, errors: 0, raise: 0 };
                (Ghost { newest: now, ..self.enter(probing) }, Answer::Admitted)
            }
            Mode::HalfOpen { in_flight, successes, errors, raise } if self.mode.free(settings) > 0 => {
                let mode = Mode::HalfOpen { in_flight: in_flight + 1, successes, errors, raise };
                (Ghost { mode, newest: self.newest.max(now), ..self }, Answer::Admitted)
            }
            Mode::HalfOpen { successes, errors, .. } if is_silent => {
                let mode = Mode::HalfOpen { in_flight: 1, successes, errors, raise: 0 };
                (Ghost { mode, epoch: self.epoch + 1, newest: now, ..self }, Answer::Admitted)
            }
            Mode::HalfOpen { .. } | Mode::ForcedOpen => (self, Answer::Refused),
        }
    }

    /// What a probe of an earlier round says: as much as any other, but it has no place to give back.
    fn hear(self, happening: Happening, settings: &Settings) -> Self {
        let Mode::HalfOpen { in_flight, raise, .. } = self.mode else { return self };
        if matches!(happening, Happening::Release { .. }) {
            return self;
        }
        let settled = self.settle(happening, settings);
        match settled.mode {
            Mode::HalfOpen { successes, errors, .. } => {
                Ghost { mode: Mode::HalfOpen { in_flight, successes, errors, raise }, ..settled }
            }
            _ => settled,
        }
    }

    fn settle(self, happening: Happening, settings: &Settings) -> Self {
        match (self.mode, happening) {
            (_, Happening::Trip { until, .. }) if self.mode.state() != State::ForcedClosed => {
                self.enter(Mode::Open { until })
            }
            (Mode::Closed { errors }, Happening::Failure { now, .. }) => {
                if settings.error_threshold.is_some_and(|most| errors + 1 >= small(most)) {
                    return self.open(now, settings);
                }
                Ghost { mode: Mode::Closed { errors: errors + 1 }, ..self }
            }
            (Mode::Closed { .. }, Happening::Success { .. }) => Ghost { mode: Mode::Closed { errors: 0 }, ..self },
            (Mode::HalfOpen { in_flight, errors, raise, .. }, Happening::Failure { now, .. }) => {
                if errors + 1 >= small(settings.half_open_error_threshold) {
                    return self.open(now, settings);
                }
                let mode = Mode::HalfOpen { in_flight: in_flight - 1, successes: 0, errors: errors + 1, raise };
                Ghost { mode, ..self }
            }
            (Mode::HalfOpen { in_flight, successes, errors, raise }, Happening::Success { .. }) => {
                if successes + 1 >= small(settings.success_threshold) {
                    return self.enter(Mode::Closed { errors: 0 });
                }
                let most = small(settings.half_open_max_capacity - settings.half_open_capacity);
                let (in_flight, successes) = (in_flight - 1, successes + 1);
                Ghost { mode: Mode::HalfOpen { in_flight, successes, errors, raise: most.min(raise + 1) }, ..self }
            }
            (Mode::HalfOpen { in_flight, successes, errors, raise }, Happening::Release { .. }) => {
                Ghost { mode: Mode::HalfOpen { in_flight: in_flight - 1, successes, errors, raise }, ..self }
            }
            _ => self,
        }
    }
}
