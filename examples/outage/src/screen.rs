use std::io::{self, IsTerminal, StdoutLock, Write};
use std::time::{Duration, Instant};

use tripcoil::{Metrics, State, Transition};

use crate::breaker::Subject;
use crate::script::Condition;

const REFRESH: Duration = Duration::from_millis(100);
const CLEAR_LINE: &str = "\r\x1b[2K";

/// Tells how a run goes: in one live line on a terminal, elsewhere in one line for each event.
#[derive(Debug)]
pub(crate) struct Screen<W> {
    out: W,
    live: bool,
    title: String,
    drawn: Option<Instant>,
}

/// What the live line shows.
#[derive(Debug)]
pub(crate) struct Glance {
    pub(crate) left: Duration,
    pub(crate) condition: Condition,
    pub(crate) metrics: Option<Metrics>,
}

impl Screen<StdoutLock<'static>> {
    pub(crate) fn stdout() -> Self {
        let out = io::stdout().lock();
        let live = out.is_terminal();
        Screen::new(out, live)
    }
}

impl<W: Write> Screen<W> {
    fn new(out: W, live: bool) -> Self {
        Screen { out, live, title: String::new(), drawn: None }
    }

    pub(crate) fn out(&mut self) -> &mut W {
        &mut self.out
    }

    pub(crate) fn begin(&mut self, title: String) -> io::Result<()> {
        self.title = title;
        if self.live { Ok(()) } else { writeln!(self.out, "{}", self.title) }
    }

    pub(crate) fn turn(&mut self, at: Duration, condition: Condition) -> io::Result<()> {
        if self.live { Ok(()) } else { writeln!(self.out, "{:>8.2} s  server:  {condition}", at.as_secs_f64()) }
    }

    pub(crate) fn transition(&mut self, subject: Subject, transition: &Transition) -> io::Result<()> {
        if self.live {
            return Ok(());
        }
        let Transition { at, from, to, cause, open_for, .. } = transition;
        let subject = match subject {
            Subject::Breaker => "breaker",
            Subject::Shadow => "shadow",
        };
        write!(self.out, "{:>8.2} s  {subject}: {from} -> {to} ({cause})", at.as_secs_f64())?;
        if let Some(time) = open_for {
            write!(self.out, " for {:.2} s", time.as_secs_f64())?;
        }
        writeln!(self.out)
    }

    /// Draws the live line, if it is time to.
    pub(crate) fn draw(&mut self, glance: impl FnOnce() -> Glance) -> io::Result<()> {
        if !self.live || self.drawn.is_some_and(|drawn| drawn.elapsed() < REFRESH) {
            return Ok(());
        }
        self.drawn = Some(Instant::now());
        let Glance { left, condition, metrics } = glance();
        let breaker = metrics.map(|metrics| status(&metrics)).unwrap_or_default();
        write!(self.out, "{CLEAR_LINE}{}: {:.1} s left | {condition}{breaker}", self.title, left.as_secs_f64())?;
        self.out.flush()
    }

    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.live { writeln!(self.out, "{CLEAR_LINE}{}: done", self.title) } else { writeln!(self.out) }
    }
}

fn status(metrics: &Metrics) -> String {
    let state = match (metrics.state, metrics.retry_after) {
        (State::Open, Some(wait)) => format!("open, {:.2} s", wait.as_secs_f64()),
        (state, _) => state.to_string(),
    };
    format!(" | {state} | {} rejected", metrics.total_rejected_count)
}

#[cfg(test)]
mod tests {
    use tripcoil::CircuitBreaker;

    use super::*;

    fn shown(live: bool) -> String {
        let breaker = CircuitBreaker::new("payments");
        breaker.open_for(Duration::from_secs(9));
        assert!(breaker.try_acquire().is_err());
        let mut screen = Screen::new(Vec::new(), live);
        screen.begin("with a breaker".into()).unwrap();
        screen.turn(Duration::from_millis(1230), Condition::Down).unwrap();
        let glance =
            || Glance { left: Duration::from_secs(60), condition: Condition::Down, metrics: Some(breaker.metrics()) };
        screen.draw(glance).unwrap();
        screen.draw(glance).unwrap();
        screen.end().unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn a_terminal_gets_one_line_that_fits() {
        let shown = shown(true);
        let drawn: Vec<_> = shown.split(CLEAR_LINE).collect();
        assert_eq!(drawn.len(), 3, "{shown:?}");
        assert!(drawn[1].starts_with("with a breaker: 60.0 s left | refusing connections | open, "), "{shown:?}");
        assert!(drawn[1].ends_with(" s | 1 rejected") && drawn[1].len() < 80, "{shown:?}");
        assert_eq!(drawn[2], "with a breaker: done\n");
    }

    #[test]
    fn elsewhere_there_are_plain_lines_only() {
        assert_eq!(shown(false), "with a breaker\n    1.23 s  server:  refusing connections\n\n");
    }
}
