//! What the figures have to be.

mod counts;
pub(crate) mod growth;

use crate::path::Path;
use crate::peers::OURS;
use crate::results::Results;
use crate::yardsticks::Yardstick;

/// One demand.
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) bound: String,
    pub(crate) measured: String,
    pub(crate) is_met: bool,
}

/// Two threads may take this many times what one takes.
const FLAT: f64 = 1.3;

/// Compares the minima with the demands.
pub(crate) fn checks(results: &Results) -> Vec<Check> {
    let nanos = |what: String, most: f64, why: &str, measured: f64| Check {
        what,
        bound: format!("{most:.2} ns: {why}"),
        measured: format!("{measured:.2} ns"),
        is_met: measured <= most,
    };
    let ours = |path| results.ours(path, 1).minimum;
    let yardstick = |yardstick| results.yardstick(yardstick, 1).minimum;
    let closure = yardstick(Yardstick::Closure);
    let half = yardstick(Yardstick::FetchAdd) / 2.0;

    let mut checks = Vec::new();
    for path in [Path::Closed, Path::Last100, Path::Last10000] {
        let over = ours(path) - closure;
        checks.push(nanos(format!("{path}, over the bare closure"), 2.0, "2 ns", over));
        checks.push(nanos(format!("{path}, over the bare closure"), half, "half a `fetch_add`", over));
    }
    for path in [Path::Closed, Path::Last100, Path::Last10000, Path::Last10Seconds] {
        let ratio = results.ours(path, 2).minimum / ours(path);
        checks.push(Check {
            what: format!("{path}, 2 threads against 1"),
            bound: format!("{FLAT} times"),
            measured: format!("{ratio:.2} times"),
            is_met: ratio <= FLAT,
        });
    }
    let over = ours(Path::Async) - yardstick(Yardstick::Future);
    checks.push(nanos(format!("{}, over polling the bare future", Path::Async), 3.0, "3 ns", over));
    checks.push(nanos(Path::ALTERNATING.to_string(), 10.0, "10 ns", ours(Path::ALTERNATING)));
    let readings = [
        (Yardstick::Clock, Path::Last10Seconds, Path::Rejected),
        (Yardstick::Elapsed, Path::Last10Seconds, Path::Rejected),
        (Yardstick::CoarseClock, Path::Last10SecondsCoarse, Path::RejectedCoarse),
    ];
    for (clock, window, rejection) in readings {
        for (path, more) in [(window, 4.0), (rejection, 3.0)] {
            let why = format!("{} + {more} ns", clock.name());
            checks.push(nanos(path.to_string(), yardstick(clock) + more, &why, ours(path)));
        }
    }

    let allocations = results.allocations.iter().filter(|one| one.0 == OURS.name).map(|one| one.2).sum::<f64>();
    checks.push(Check {
        what: "allocations, all paths together".to_owned(),
        bound: "0".to_owned(),
        measured: format!("{allocations}"),
        is_met: allocations == 0.0,
    });
    let (_, footprint) = results.footprints.iter().find(|one| one.0 == OURS.name).expect("we are measured");
    let bytes = footprint.total(footprint.after_one_thread);
    checks.push(Check {
        what: "memory, after use by one thread".to_owned(),
        bound: "1024 B".to_owned(),
        measured: format!("{bytes} B"),
        is_met: bytes <= 1_024,
    });
    let bytes = results.keyed.after_one_thread;
    checks.push(Check {
        what: "memory in a registry, with a key of 8 bytes".to_owned(),
        bound: "400 B + the key".to_owned(),
        measured: format!("{bytes:.0} B"),
        is_met: bytes <= 400.0 + 8.0,
    });
    checks
}
