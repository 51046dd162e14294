//! The search: every world once, breadth first, so that what it finds is a shortest way there.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};

use crate::scenario::Scenario;
use crate::threads::{Sight, World};

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// States in which every thread is done.
    pub(crate) ends: usize,
    pub(crate) seen: BTreeSet<Sight>,
}

/// A world is known by two hashes with random keys, together 128 bits.
struct Fingerprints(RandomState, RandomState);

impl Fingerprints {
    fn of(&self, world: &World) -> u128 {
        u128::from(self.0.hash_one(world)) << 64 | u128::from(self.1.hash_one(world))
    }
}

/// Where a world came from: the number of the world before, and of the successor of that.
#[derive(Clone, Copy)]
struct Origin {
    parent: u32,
    successor: u32,
}

/// Explores every world of `scenario`, checks each, and that every way through them ends.
///
/// The error tells the shortest way to a world that is not as it should be.
pub(crate) fn explore(scenario: &Scenario) -> Result<Found, String> {
    let fingerprints = Fingerprints(RandomState::new(), RandomState::new());
    let mut numbers = HashMap::from([(fingerprints.of(&scenario.start), 0_u32)]);
    let mut origins = vec![Origin { parent: 0, successor: 0 }];
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut found = Found::default();
    let mut queue = VecDeque::from([(0_u32, scenario.start)]);
    while let Some((number, world)) = queue.pop_front() {
        let told = |what: String, last: Option<usize>| tell(scenario, &origins, number, last, &what);
        scenario.nature.check(&world).map_err(|what| told(what, None))?;
        if scenario.nature.is_over(&world) {
            found.ends += 1;
            scenario.nature.check_end(&world).map_err(|what| told(what, None))?;
        }
        let successors = scenario.nature.successors(&world, &mut |sight| {
            found.seen.insert(sight);
        });
        for (successor, next) in successors.into_iter().enumerate() {
            let next = next.map_err(|what| tell(scenario, &origins, number, Some(successor), &what))?;
            let fresh = u32::try_from(origins.len()).expect("fewer than 2^32 states");
            let known = *numbers.entry(fingerprints.of(&next)).or_insert(fresh);
            if known == fresh {
                let successor = u32::try_from(successor).expect("few successors");
                origins.push(Origin { parent: number, successor });
                queue.push_back((fresh, next));
            }
            edges.push((number, known));
        }
    }
    (found.states, found.steps) = (origins.len(), edges.len());
    ends_always(origins.len(), &edges)?;
    Ok(found)
}

/// Whether no way leads in a circle: then every way ends, and it can only where every thread is done.
fn ends_always(states: usize, edges: &[(u32, u32)]) -> Result<(), String> {
    let mut ways_in = vec![0_u32; states];
    let mut ways_out = vec![0_usize; states + 1];
    for (from, to) in edges {
        ways_in[*to as usize] += 1;
        ways_out[*from as usize + 1] += 1;
    }
    for state in 0..states {
        ways_out[state + 1] += ways_out[state];
    }
    // The edges are in the order of where they come from.
    let mut open = vec![0_usize];
    let mut left = states;
    while let Some(state) = open.pop() {
        left -= 1;
        for (_, to) in &edges[ways_out[state]..ways_out[state + 1]] {
            ways_in[*to as usize] -= 1;
            if ways_in[*to as usize] == 0 {
                open.push(*to as usize);
            }
        }
    }
    if left == 0 { Ok(()) } else { Err(format!("{left} states lie on a circle or behind one: threads may never end")) }
}

/// The way to the world of this number, and from there to its successor `last`.
fn tell(scenario: &Scenario, origins: &[Origin], number: u32, last: Option<usize>, what: &str) -> String {
    let mut way = Vec::new();
    let mut at = number;
    while at != 0 {
        way.push(origins[at as usize].successor as usize);
        at = origins[at as usize].parent;
    }
    let mut text = format!("{what}\n  {:?}\n", scenario.start);
    let mut world = scenario.start;
    for successor in way.into_iter().rev() {
        let all = scenario.nature.successors(&world, &mut |_| {});
        world = *all[successor].as_ref().expect("it was gone before");
        let _ = writeln!(text, "  {world:?}");
    }
    if let Some(last) = last {
        let _ = writeln!(text, "  and from there to successor {last}");
    }
    text
}
