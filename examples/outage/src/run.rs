use std::error::Error;
use std::io::Write;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tripcoil::Transition;

use crate::args::Settings;
use crate::breaker::{Protection, Subject, breaker};
use crate::client::{AsyncClient, ThreadClient};
use crate::health::Health;
use crate::load::Load;
use crate::record::{Call, Record, Shadow};
use crate::screen::{Glance, Screen};
use crate::script;
use crate::server::Server;

/// The server listens for so long before the first call.
const HEAD_START: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(20);

/// Plays the outage once.
pub(crate) fn run<W: Write>(
    settings: &Settings,
    protection: Protection,
    screen: &mut Screen<W>,
) -> Result<Record, Box<dyn Error>> {
    let &Settings { length, seed, preset, has_shadow, .. } = settings;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _inside = runtime.enter();
    let start = Instant::now() + HEAD_START;

    let health = Arc::new(Health::new(start, seed));
    let server = Server::reserve()?;
    let address = server.address();
    let outage = runtime.spawn(server.play(script::stages(length), start, Arc::clone(&health)));

    let (observer, transitions) = mpsc::channel();
    // It fails only when the run is over and nobody listens any more.
    let observer = move |subject, transition: &Transition| drop(observer.send((subject, transition.clone())));
    let breaker = breaker(protection, has_shadow.then_some(preset), start, observer)?.map(Arc::new);

    let (sender, calls) = mpsc::channel();
    let load = Arc::new(Load { start, length, seed, breaker: breaker.clone(), calls: sender });
    load.threads(&ThreadClient::new(address));
    runtime.spawn(load.tasks(AsyncClient::new(address)));

    screen.begin(protection.title())?;
    let (mut states, mut shadow_states) = (Vec::new(), Vec::new());
    let mut told = 0;
    while !outage.is_finished() {
        thread::sleep(PAUSE);
        let turns = health.chart().turns;
        for &(at, condition) in &turns[told..] {
            screen.turn(at, condition)?;
        }
        told = turns.len();
        for (subject, transition) in transitions.try_iter() {
            screen.transition(subject, &transition)?;
            let states = if subject == Subject::Breaker { &mut states } else { &mut shadow_states };
            states.push((transition.at, transition.to));
        }
        screen.draw(|| Glance {
            left: length.saturating_sub(start.elapsed()),
            condition: turns[told - 1].1,
            metrics: breaker.as_ref().map(|breaker| breaker.metrics()),
        })?;
    }
    runtime.block_on(outage)??;
    screen.end()?;

    // Ends with the last caller.
    let mut calls: Vec<Call> = calls.iter().collect();
    calls.sort_by_key(|call| call.at);
    let shadow = breaker.as_ref().and_then(|breaker| breaker.metrics().shadow);
    let shadow = shadow.map(|metrics| Shadow { states: shadow_states, metrics: *metrics });
    Ok(Record { protection, length, calls, chart: health.chart(), states: breaker.map(|_| states), shadow })
}
