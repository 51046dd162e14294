//! How well the server is, and what it makes of a request.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::script::Condition;

/// How many requests at once a server that has just come back can bear.
const FRAIL: f64 = 2.0;
/// How many it has to bear to count as healthy again.
const STRONG: f64 = 14.0;
/// What each request that it answered while recovering adds: its caches fill.
const GAIN: f64 = 0.13;

/// The service behind the server: how it is, and what that does to a request.
///
/// Recovering, it bears a few requests at once. More than that slow each other down, with the square
/// of the overload, until their callers give up on them; and only an answered request makes it
/// stronger. So a crowd that keeps asking keeps it weak.
#[derive(Debug)]
pub struct Health {
    start: Instant,
    vitals: Mutex<Vitals>,
    porter: Porter,
}

/// Is told of every request that comes and goes, by its path.
struct Porter(Box<Told>);

type Told = dyn Fn(&str, Passage) + Send + Sync;

impl fmt::Debug for Porter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Porter")
    }
}

/// What a request has just done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It came in.
    Came,
    /// It is about to be answered.
    Answered,
    /// It was dropped unanswered: its caller went away.
    Left,
}

#[derive(Debug)]
struct Vitals {
    condition: Condition,
    strength: f64,
    in_flight: u32,
    rng: Rng,
    chart: Chart,
}

/// What was observed of the service in one run.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What it turned into, and when.
    pub turns: Vec<(Duration, Condition)>,
    /// The requests that reached it while it was sick.
    pub sick_requests: u32,
}

impl Health {
    /// A healthy service.
    #[must_use]
    pub fn new(start: Instant, seed: u64) -> Self {
        let vitals = Vitals {
            condition: Condition::Healthy,
            strength: STRONG,
            in_flight: 0,
            rng: Rng::with_seed(seed),
            chart: Chart { turns: vec![(Duration::ZERO, Condition::Healthy)], sick_requests: 0 },
        };
        Health { start, vitals: Mutex::new(vitals), porter: Porter(Box::new(|_, _| {})) }
    }

    /// Tells `porter` of every request, by its path.
    #[must_use]
    pub fn with_porter(mut self, porter: impl Fn(&str, Passage) + Send + Sync + 'static) -> Self {
        self.porter = Porter(Box::new(porter));
        self
    }

    /// Turns into something else.
    pub fn turn(&self, condition: Condition) {
        let at = self.start.elapsed();
        let mut vitals = self.vitals();
        if condition == Condition::Recovering {
            vitals.strength = FRAIL;
        }
        vitals.turn(condition, at);
    }

    /// A request comes in.
    #[must_use]
    pub fn visit(self: &Arc<Self>, path: &str) -> Visit {
        (self.porter.0)(path, Passage::Came);
        let mut vitals = self.vitals();
        vitals.in_flight += 1;
        vitals.chart.sick_requests += u32::from(vitals.condition.is_sick());
        let (millis, good) = match vitals.condition {
            Condition::Healthy | Condition::Helped => (vitals.rng.u64(6..=14), true),
            Condition::Failing => (vitals.rng.u64(200..=300), false),
            Condition::Down => (0, false),
            Condition::Recovering => (vitals.rng.u64(24..=36), true),
        };
        let overload = match vitals.condition {
            Condition::Recovering => (f64::from(vitals.in_flight) / vitals.strength).max(1.0),
            _ => 1.0,
        };
        let delay = Duration::from_millis(millis).mul_f64(overload * overload);
        Visit { health: Arc::clone(self), path: path.into(), delay, good, answered: false }
    }

    /// What was observed so far.
    #[must_use]
    pub fn chart(&self) -> Chart {
        self.vitals().chart.clone()
    }

    fn vitals(&self) -> MutexGuard<'_, Vitals> {
        self.vitals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vitals {
    fn turn(&mut self, condition: Condition, at: Duration) {
        let needless = condition == Condition::Helped && !self.condition.is_sick();
        if self.condition != condition && !needless {
            self.condition = condition;
            self.chart.turns.push((at, condition));
        }
    }
}

/// A request that is being served; dropped unanswered if its caller goes away.
#[derive(Debug)]
pub struct Visit {
    health: Arc<Health>,
    path: Box<str>,
    delay: Duration,
    good: bool,
    answered: bool,
}

impl Visit {
    /// How long it takes.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Answers it: whether that is a good answer.
    #[must_use]
    pub fn answer(mut self) -> bool {
        let at = self.health.start.elapsed();
        let mut vitals = self.health.vitals();
        if vitals.condition == Condition::Recovering {
            vitals.strength += GAIN;
            if vitals.strength >= STRONG {
                vitals.turn(Condition::Healthy, at);
            }
        }
        drop(vitals);
        self.answered = true;
        self.good
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.health.vitals().in_flight -= 1;
        let passage = if self.answered { Passage::Answered } else { Passage::Left };
        (self.health.porter.0)(&self.path, passage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(condition: Condition) -> Arc<Health> {
        let health = Arc::new(Health::new(Instant::now(), 1));
        health.turn(condition);
        health
    }

    #[test]
    fn recovering_a_few_are_served_soon_and_a_crowd_is_not() {
        let health = health(Condition::Recovering);
        let visits: Vec<_> = (0..40).map(|_| health.visit("/pay")).collect();
        assert!(visits[1].delay() < Duration::from_millis(50));
        assert!(visits[39].delay() > Duration::from_secs(5));
        drop(visits);
        assert!(health.visit("/pay").delay() < Duration::from_millis(50));
    }

    #[test]
    fn answered_requests_make_it_healthy_and_abandoned_ones_do_not() {
        let health = health(Condition::Recovering);
        for _ in 0..100 {
            drop(health.visit("/pay"));
        }
        assert_eq!(health.chart().turns.last().unwrap().1, Condition::Recovering);
        for _ in 0..100 {
            assert!(health.visit("/pay").answer());
        }
        assert_eq!(health.chart().turns.last().unwrap().1, Condition::Healthy);
    }

    #[test]
    fn only_a_sick_service_is_helped() {
        let health = health(Condition::Recovering);
        health.turn(Condition::Healthy);
        health.turn(Condition::Helped);
        assert_eq!(health.chart().turns.last().unwrap().1, Condition::Healthy);
        health.turn(Condition::Failing);
        health.turn(Condition::Helped);
        assert_eq!(health.chart().turns.last().unwrap().1, Condition::Helped);
    }

    #[test]
    fn only_requests_of_a_sick_service_are_counted() {
        let health = health(Condition::Failing);
        assert!(!health.visit("/pay").answer());
        health.turn(Condition::Healthy);
        assert!(health.visit("/pay").answer());
        assert_eq!(health.chart().sick_requests, 1);
    }
}
