use std::time::Duration;

use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::peers::{self, Contender};
use crate::registry::Keyed;
use crate::scale::Growth;
use crate::storm::{self, Weather};
use crate::timing::{self, Cost, Rounds, Runner};
use crate::yardsticks::Yardstick;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: Rounds,
    pub(crate) scale: Rounds,
    pub(crate) storm: Duration,
}

impl Effort {
    pub(crate) const FULL: Effort = Effort {
        rounds: Rounds { most: 201, time: Duration::from_mins(1) },
        scale: Rounds { most: 101, time: Duration::from_secs(20) },
        storm: Duration::from_secs(10),
    };
    pub(crate) const QUICK: Effort = Effort {
        rounds: Rounds { most: 11, time: Duration::from_secs(10) },
        scale: Rounds { most: 11, time: Duration::from_secs(4) },
        storm: Duration::from_millis(500),
    };
}

/// What one contender took on one path.
pub(crate) struct Entry {
    pub(crate) contender: &'static str,
    pub(crate) path: Path,
    pub(crate) threads: u32,
    pub(crate) cost: Cost,
}

/// Everything that was measured in one run.
pub(crate) struct Results {
    pub(crate) rounds: u32,
    pub(crate) warning: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) yardsticks: Vec<(Yardstick, u32, Cost)>,
    pub(crate) allocations: Vec<(&'static str, Path, f64)>,
    pub(crate) footprints: Vec<(&'static str, Footprint)>,
    pub(crate) keyed: Keyed,
    pub(crate) weather: Vec<Weather>,
    pub(crate) growth: Growth,
}

impl Results {
    pub(crate) fn measure(effort: Effort) -> Self {
        let footprints = peers::ALL.iter().map(|contender| (contender.name, (contender.footprint)())).collect();
        let keyed = Keyed::measure();
        let allocations = lanes(1).map(|(contender, path, lane)| (contender, path, memory::allocations(&lane)));
        let allocations = allocations.collect();

        let mut labels = Vec::new();
        let mut runners = Vec::new();
        for threads in [1, 2] {
            for yardstick in Yardstick::ALL {
                labels.push((Label::Yardstick(yardstick), threads));
                runners.push(Runner::new(yardstick.lane(), threads));
            }
            for (contender, path, lane) in lanes(threads) {
                labels.push((Label::Contender(contender, path), threads));
                runners.push(Runner::new(lane, threads));
            }
        }
        let rounds = timing::rounds(&mut runners, effort.rounds);

        let (mut entries, mut yardsticks) = (Vec::new(), Vec::new());
        for ((label, threads), runner) in labels.into_iter().zip(&runners) {
            let cost = runner.cost();
            match label {
                Label::Yardstick(yardstick) => yardsticks.push((yardstick, threads, cost)),
                Label::Contender(contender, path) => entries.push(Entry { contender, path, threads, cost }),
            }
        }
        let warning = timing::warning(&runners);
        drop(runners);
        let weather = storm::storm(peers::OURS, effort.storm);
        let growth = Growth::measure(effort.scale);
        Results { rounds, warning, entries, yardsticks, allocations, footprints, keyed, weather, growth }
    }

    pub(crate) fn cost(&self, contender: &str, path: Path, threads: u32) -> Option<Cost> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| (entry.contender, entry.path, entry.threads) == (contender, path, threads));
        entry.map(|entry| entry.cost)
    }

    pub(crate) fn ours(&self, path: Path, threads: u32) -> Cost {
        self.cost(peers::OURS.name, path, threads).expect("we have every path")
    }

    /// The fastest of the others.
    pub(crate) fn best_peer(&self, path: Path, threads: u32) -> Option<&Entry> {
        let here = |entry: &&Entry| (entry.path, entry.threads) == (path, threads);
        let peers = self.entries.iter().filter(here).filter(|entry| entry.contender != peers::OURS.name);
        peers.min_by(|a, b| a.cost.figure(threads).total_cmp(&b.cost.figure(threads)))
    }

    pub(crate) fn yardstick(&self, yardstick: Yardstick, threads: u32) -> Cost {
        let mut all = self.yardsticks.iter();
        all.find(|one| (one.0, one.1) == (yardstick, threads)).expect("every yardstick is measured").2
    }
}

enum Label {
    Yardstick(Yardstick),
    Contender(&'static str, Path),
}

fn lanes(threads: u32) -> impl Iterator<Item = (&'static str, Path, crate::work::Lane)> {
    let paths = Path::all().filter(move |path| threads == 1 || path.is_shared());
    paths.flat_map(move |path| {
        let with_lane = move |contender: &Contender| {
            // Two threads would wait 1 ms for each other, asleep: that is no cost of a call.
            let sleeps = contender.name.starts_with("tower-resilience") && path == Path::Rejected && threads == 2;
            if sleeps { None } else { (contender.lane)(path).map(|lane| (contender.name, path, lane)) }
        };
        peers::ALL.iter().filter_map(with_lane).collect::<Vec<_>>()
    })
}
