//! A console over breakers that have a bad day.
//!
//! ```text
//! cargo run -p tripcoil-console --example demo [--features fleet] [-- [--port N] [--keys N] [--read-only] [--empty]]
//! ```
//!
//! It prints an address to open, and runs until it is stopped. Nothing is called in truth: threads make up the outcomes.

use std::process::ExitCode;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use tripcoil::{CircuitBreaker, ConfigError, Outcome, Registry, Window};
use tripcoil_console::{Access, Console, Journal};

static JOURNAL: LazyLock<Journal> = LazyLock::new(Journal::new);
static MAIL: CircuitBreaker = CircuitBreaker::new("mail");

struct Options {
    port: u16,
    keys: usize,
    is_read_only: bool,
    is_empty: bool,
}

fn main() -> ExitCode {
    let options = match read_options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\nusage: demo [--port N] [--keys N] [--read-only] [--empty]");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read_options() -> Result<Options, String> {
    let mut options = Options { port: 9000, keys: 40, is_read_only: false, is_empty: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number =
            || arguments.next().and_then(|text| text.parse().ok()).ok_or(format!("{argument} needs a number"));
        match argument.as_str() {
            "--port" => options.port = u16::try_from(number()?).map_err(|_| "a port is at most 65535")?,
            "--keys" => options.keys = number()?,
            "--read-only" => options.is_read_only = true,
            "--empty" => options.is_empty = true,
            unknown => return Err(format!("unknown option {unknown}")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let mut console = Console::new().on_audit(|audit| println!("{audit}"));
    if !options.is_read_only {
        console = console.access(|_| Access::Full { actor: "demo".into() });
    }
    if !options.is_empty {
        let breakers = breakers()?;
        for breaker in &breakers {
            console = console.breaker(breaker.clone());
        }
        let hosts = hosts(options.keys)?;
        console = console.breaker(&MAIL).registry(hosts.clone()).journal(&JOURNAL);
        #[cfg(feature = "fleet")]
        {
            let fleet = fleet::members(&breakers)?;
            console = console.fleet(&fleet[0]);
            // They stay for as long as the process.
            std::mem::forget(fleet);
        }
        thread::spawn(move || call_services(&breakers));
        thread::spawn(move || call_hosts(&hosts));
    }
    let serving = console.serve(("127.0.0.1", options.port))?;
    println!("open {}", serving.url());
    loop {
        thread::park();
    }
}

fn breakers() -> Result<Vec<Arc<CircuitBreaker>>, ConfigError> {
    let builder = |name: &'static str| CircuitBreaker::builder(name).on_transition(JOURNAL.observer());
    Ok(vec![
        Arc::new(
            builder("payments")
                .error_rate(0.5)
                .window(Window::time(Duration::from_secs(20)))
                .reset_timeout(Duration::from_secs(25))
                .build()?,
        ),
        Arc::new(builder("search").error_threshold(20).reset_timeout(Duration::from_secs(8)).build()?),
        Arc::new(builder("inventory").error_rate(0.4).minimum_calls(50).build()?),
        Arc::new(builder("recommendations").reset_timeout(Duration::from_secs(15)).build()?),
    ])
}

fn hosts(keys: usize) -> Result<Arc<Registry<String>>, ConfigError> {
    let template = CircuitBreaker::builder("hosts")
        .error_threshold(4)
        .reset_timeout(Duration::from_secs(12))
        .on_transition(JOURNAL.observer_of("hosts"));
    let hosts: Registry<String> = Registry::builder(template).capacity(keys.max(16)).build()?;
    for key in 0..keys {
        hosts.get(&host(key));
    }
    Ok(Arc::new(hosts))
}

fn host(key: usize) -> String {
    format!("node-{key:05}.example")
}

/// What goes wrong at a second of the day, which has 300: the share of the calls that fail.
fn failing(service: u32, second: u64) -> f64 {
    match (service, second % 300) {
        (0, 20..80) => 0.93,
        (0, _) => 0.04,
        (1, 0..30) => 0.35,
        (2, _) => 0.22,
        (3, 100..130) => 1.0,
        _ => 0.01,
    }
}

fn call_services(breakers: &[Arc<CircuitBreaker>]) {
    let (begun, mut random) = (Instant::now(), Random(7));
    loop {
        let second = begun.elapsed().as_secs();
        for ((service, breaker), calls) in (0_u32..).zip(breakers).zip([21, 9, 13, 4]) {
            let wave = (begun.elapsed().as_secs_f64() / (5.0 + f64::from(service))).sin();
            for _ in 0..calls {
                if random.share() > 0.7 + wave * 0.3 {
                    continue;
                }
                let Ok(permit) = breaker.try_acquire() else { continue };
                match random.share() {
                    share if share < failing(service, second) => {
                        permit.failure_because("connection refused: 10.0.3.17:443 did not answer");
                    }
                    share if share > 0.99 => permit.ignore(),
                    _ => permit.success(),
                }
            }
        }
        if random.share() < 0.3 {
            let _ = MAIL.call_sync_with(|| Ok::<_, std::io::Error>(()), |_| Outcome::Success);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn call_hosts(hosts: &Registry<String>) {
    let mut random = Random(11);
    loop {
        let keys = hosts.len();
        for _ in 0..keys.clamp(20, 400) {
            let key = random.below(keys.max(1));
            // Every seventeenth is down half of the time.
            let is_down = key % 17 == 3 && random.share() < 0.5;
            let result = if is_down || random.share() < 0.01 { Err("the host did not answer") } else { Ok(()) };
            let _ = hosts.call_sync(&host(key), || result);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A fleet of three processes, of which two are made up.
#[cfg(feature = "fleet")]
mod fleet {
    use std::error::Error;
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use tripcoil::{CircuitBreaker, Window};
    use tripcoil_fleet::{By, Fleet, FleetBuilder, Memory};

    /// The first is this process.
    pub(super) fn members(breakers: &[Arc<CircuitBreaker>]) -> Result<Vec<Fleet>, Box<dyn Error>> {
        let store = Memory::new();
        let member = |pod: &str| -> FleetBuilder { Fleet::builder("shop").store(store.clone()).instance(pod) };
        let here = member("pod-1").build()?;
        for breaker in breakers {
            here.join(breaker);
        }
        let mut fleet = vec![here];
        for (number, pod) in (1_u8..).zip(["pod-2", "pod-3"]) {
            let payments = CircuitBreaker::builder("payments")
                .error_rate(0.5)
                .window(Window::time(Duration::from_secs(20)))
                .reset_timeout(Duration::from_secs(25));
            let payments = Arc::new(payments.build()?);
            let other = member(pod).build()?;
            other.join(&payments);
            fleet.push(other);
            thread::spawn(move || call(&payments, number));
        }
        while !fleet[0].status().is_connected {
            thread::sleep(Duration::from_millis(10));
        }
        let by = By::new("ana").because("the provider counts its stock").for_(Duration::from_secs(7200));
        fleet[0].force_closed("inventory", by)?;
        Ok(fleet)
    }

    fn call(payments: &CircuitBreaker, number: u8) {
        let (begun, mut random) = (Instant::now(), super::Random(u64::from(number)));
        loop {
            let second = begun.elapsed().as_secs();
            for _ in 0..10 {
                let Ok(permit) = payments.try_acquire() else { continue };
                if random.share() < super::failing(0, second) { permit.failure() } else { permit.success() }
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() % 10_000).unwrap_or_default()) / 10_000.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or_default()
    }
}
