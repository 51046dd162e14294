//! The thread that looks at the breakers.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crate::core::Core;

/// How often every breaker is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// The sampler waits for this many times as long as a sample took: it uses 5 % of one core at most, until samples take so long
/// that it would wait for longer than `LONGEST`.
const REST: u32 = 20;
const LONGEST: Duration = Duration::from_secs(5);

/// Ends the thread when it is dropped.
pub(crate) struct Sampler {
    _stop: Sender<()>,
}

pub(crate) fn start(core: &Arc<Core>) -> io::Result<Sampler> {
    let (stop, stopped) = channel();
    let core = Arc::downgrade(core);
    thread::Builder::new().name("tripcoil-console".into()).spawn(move || run(&core, &stopped))?;
    Ok(Sampler { _stop: stop })
}

fn run(core: &Weak<Core>, stopped: &Receiver<()>) {
    let mut wait = INTERVAL;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
        let Some(core) = core.upgrade() else { return };
        let took = core.sample(true);
        wait = INTERVAL.saturating_sub(took).max((took * REST).min(LONGEST));
    }
}
