//! Settings from a file, overridden by the environment.
//!
//! ```sh
//! PAYMENTS_BREAKER_RESET_TIMEOUT=1m cargo run --features serde --example config
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;

use tripcoil::{CircuitBreaker, Config};

const FILE: &str = r#"
[payments]
error_threshold = 3
reset_timeout = "10s"
reset_backoff = "2.0 up to 5m"

[quotes]
error_rate = 0.5
window = "30s"
"#;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let file: BTreeMap<String, Config> = toml::from_str(FILE)?;
    for (name, config) in file {
        let prefix = format!("{}_BREAKER_", name.to_uppercase());
        let config = Config::from_env(&prefix)?.or(config);
        println!("[{name}]\n{}", toml::to_string(&config)?);

        let breaker = CircuitBreaker::builder(name).config(config).build()?;
        assert!(breaker.try_acquire().is_ok());
    }
    Ok(())
}
