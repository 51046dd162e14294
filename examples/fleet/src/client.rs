//! One client: it calls the server through a breaker, and says what happens to it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tripcoil::{CircuitBreaker, State};
use tripcoil_fleet::{Fleet, FleetBuilder, FleetEvent, Memory, Redis, StoreError};

/// Where a client says what happens: one line for each thing.
pub(crate) type Says = Arc<dyn Fn(&str) + Send + Sync>;

/// What one client is told.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Between two calls.
    pub(crate) pause: Duration,
    pub(crate) is_broken: bool,
}

/// How a client joins its fleet.
pub(crate) enum Joins {
    Alone,
    Memory(String, Memory),
    Redis(String, String),
}

/// For how long the breakers stay open.
pub(crate) const RESET: Duration = Duration::from_secs(1);

pub(crate) fn run(orders: &Orders, joins: &Joins, says: &Says, has_ended: &AtomicBool) -> Result<(), StoreError> {
    let told = says.clone();
    let builder = CircuitBreaker::builder("server").error_threshold(5).success_threshold(2).reset_timeout(RESET);
    let builder = builder.on_transition(move |transition| told(&format!("state {}", transition.to)));
    let breaker = Arc::new(builder.build().expect("the settings are in their ranges"));
    let fleet = match joins {
        Joins::Alone => None,
        Joins::Memory(fleet, store) => Some(Fleet::builder(fleet).store(store.clone())),
        Joins::Redis(fleet, url) => Some(Fleet::builder(fleet).store(Redis::new(url)?.command_timeout(SHORT))),
    };
    // The run is short, and what it compares is who opens and who probes.
    let fleet = fleet.map(|fleet| join(fleet.slow_close(Duration::ZERO), orders, says));
    if let Some(fleet) = &fleet {
        fleet.join(&breaker);
    }
    while !has_ended.load(Ordering::Relaxed) {
        let mut probes = false;
        let _ = breaker.call_sync(|| {
            probes = breaker.state() == State::HalfOpen;
            if orders.is_broken { Err(std::io::Error::other("no network")) } else { get(orders.port) }
        });
        if probes {
            says("probe");
        }
        thread::sleep(orders.pause);
    }
    if let Some(fleet) = fleet {
        let counts = fleet.status().counts;
        says(&format!("sent {} {} {}", counts.batches, counts.messages, counts.message_bytes));
    }
    says("end");
    Ok(())
}

const SHORT: Duration = Duration::from_millis(200);

fn join(fleet: FleetBuilder, orders: &Orders, says: &Says) -> Fleet {
    let says = says.clone();
    fleet
        .instance(&orders.name)
        .beat(Duration::from_millis(500))
        .lease(Duration::from_secs(1))
        .command_timeout(SHORT)
        .on_event(move |event| match event {
            FleetEvent::Voted { .. } => says("vote"),
            FleetEvent::Elected { .. } => says("lease"),
            FleetEvent::StoreLost { .. } => says("lost"),
            FleetEvent::StoreBack { .. } => says("back"),
            _ => {}
        })
        .build()
        .expect("the settings are in their ranges")
}

fn get(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    if status.contains(" 200 ") { Ok(()) } else { Err(std::io::Error::other(status)) }
}

const NAME: &str = "FLEET_DEMO_CLIENT";

/// Whether this process was started as a client.
pub(crate) fn is_one() -> bool {
    std::env::var_os(NAME).is_some()
}

/// The environment of a client's process.
pub(crate) fn environment(orders: &Orders, joins: &Joins) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        (NAME, orders.name.clone()),
        ("FLEET_DEMO_PORT", orders.port.to_string()),
        ("FLEET_DEMO_PAUSE", orders.pause.as_millis().to_string()),
        ("FLEET_DEMO_BROKEN", u8::from(orders.is_broken).to_string()),
    ];
    if let Joins::Redis(fleet, url) = joins {
        variables.push(("FLEET_DEMO_FLEET", fleet.clone()));
        variables.push(("FLEET_DEMO_REDIS", url.clone()));
    }
    variables
}

/// The main function of a client's process, which ends when its input does.
pub(crate) fn be_a_process() {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let orders = Orders {
        name: variable(NAME),
        port: variable("FLEET_DEMO_PORT").parse().unwrap_or_default(),
        pause: Duration::from_millis(variable("FLEET_DEMO_PAUSE").parse().unwrap_or(100)),
        is_broken: variable("FLEET_DEMO_BROKEN") == "1",
    };
    let joins = match variable("FLEET_DEMO_REDIS") {
        url if url.is_empty() => Joins::Alone,
        url => Joins::Redis(variable("FLEET_DEMO_FLEET"), url),
    };
    let has_ended = Arc::new(AtomicBool::new(false));
    let ends = has_ended.clone();
    thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        ends.store(true, Ordering::Relaxed);
    });
    let says: Says = Arc::new(|line| println!("{line}"));
    if let Err(error) = run(&orders, &joins, &says, &has_ended) {
        eprintln!("fleet-demo: client {}: {error}", orders.name);
    }
}
