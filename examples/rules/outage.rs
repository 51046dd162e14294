use std::time::Duration;

use tripcoil::Outcome;

/// How a dependency goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    Dead,
    HalfDead,
    Slow,
    Hung,
}

/// How long a call takes, and what its end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) takes: Duration,
    pub(crate) outcome: Outcome,
}

impl Course {
    pub(crate) const HEALTHY: Course = Course { takes: Duration::ZERO, outcome: Outcome::Success };
    const FAILS: Course = Course { takes: Duration::ZERO, outcome: Outcome::Failure };
    const SLOW: Course = Course { takes: Duration::from_secs(5), outcome: Outcome::Success };
    const TIMES_OUT: Course = Course { takes: Duration::from_secs(30), outcome: Outcome::Failure };
}

impl Outage {
    pub(crate) const ALL: [Outage; 4] = [Outage::Dead, Outage::HalfDead, Outage::Slow, Outage::Hung];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Outage::Dead => "Dead: every call fails at once",
            Outage::HalfDead => "Half dead: every other call fails at once",
            Outage::Slow => "Slow: every call succeeds after 5 s",
            Outage::Hung => "Hung: no call is answered, a time-out fails each after 30 s",
        }
    }

    /// What comes of the `number`th call of the outage, counting from 0.
    pub(crate) const fn course(self, number: u64) -> Course {
        match self {
            Outage::HalfDead if number % 2 == 1 => Course::HEALTHY,
            Outage::Dead | Outage::HalfDead => Course::FAILS,
            Outage::Slow => Course::SLOW,
            Outage::Hung => Course::TIMES_OUT,
        }
    }
}
