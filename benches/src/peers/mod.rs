//! Who is measured, each set up as its own documentation has it.

mod breaker;
mod circuitbreaker_rs;
mod failsafe;
mod nobreak;
mod recloser;
mod seatbelt;
mod tower_resilience;
mod tripcoil;

use std::time::Duration;

use crate::memory::Footprint;
use crate::path::Path;
use crate::work::Lane;

/// Longer than a run.
const AN_HOUR: Duration = Duration::from_hours(1);

/// One of the libraries that are measured.
#[derive(Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// Whether it protects nothing but futures; then each path is taken by polling one.
    pub(crate) only_async: bool,
    /// A breaker of its own for each lane; none where it has no such thing.
    pub(crate) lane: fn(Path) -> Option<Lane>,
    pub(crate) footprint: fn() -> Footprint,
}

impl Contender {
    /// The version that Cargo's lock file has.
    pub(crate) fn version(&self) -> &'static str {
        const LOCK: &str = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"{}\"\nversion = \"", self.name);
        LOCK.split_once(&entry).and_then(|(_, rest)| rest.split('"').next()).expect("a dependency is in the lock file")
    }
}

pub(crate) const OURS: Contender = tripcoil::CONTENDER;

/// We first.
pub(crate) const ALL: [Contender; 8] = [
    OURS,
    recloser::CONTENDER,
    failsafe::CONTENDER,
    breaker::CONTENDER,
    tower_resilience::CONTENDER,
    circuitbreaker_rs::CONTENDER,
    nobreak::CONTENDER,
    seatbelt::CONTENDER,
];
