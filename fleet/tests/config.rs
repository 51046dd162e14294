//! Settings from the environment.

use std::time::Duration;

use tripcoil_fleet::{BuildError, Fleet, FleetConfig, Memory, Quorum};

fn read(vars: &[(&str, &str)]) -> Result<FleetConfig, BuildError> {
    FleetConfig::from_vars("FLEET_", vars.iter().copied())
}

fn build(vars: &[(&str, &str)]) -> Result<Fleet, BuildError> {
    Fleet::builder("checkout").store(Memory::new()).config(read(vars)?).build()
}

#[test]
fn every_setting_is_read_and_other_variables_are_skipped() {
    let config = read(&[
        ("FLEET_INSTANCE", "pod-7"),
        ("FLEET_QUORUM", "share(0.25).at_least(3)"),
        ("FLEET_BEAT", "2s"),
        ("FLEET_MEMBER_TTL", "1m 30s"),
        ("FLEET_LEASE", "1.5s"),
        ("FLEET_COMMAND_TIMEOUT", "250ms"),
        ("FLEET_SLOW_CLOSE", "0s"),
        ("PATH", "/bin"),
    ])
    .unwrap();
    assert_eq!(config.instance.as_deref(), Some("pod-7"));
    assert_eq!(config.quorum, Some(Quorum::share(0.25).at_least(3)));
    let durations = [config.beat, config.member_ttl, config.lease, config.command_timeout, config.slow_close];
    assert_eq!(durations, [2000, 90_000, 1500, 250, 0].map(|millis| Some(Duration::from_millis(millis))));
    assert!(Fleet::builder("checkout").store(Memory::new()).config(config).build().is_ok());
}

#[test]
fn what_the_environment_gets_wrong_is_named_with_variable_value_and_range() {
    let wrong = [
        (
            &[("FLEET_QUORUM", "half")][..],
            "`FLEET_QUORUM` is \"half\", allowed is share(0.5).at_least(2), share(0.5) or count(3)",
        ),
        (&[("FLEET_QUORUM", "count(0)")], "`FLEET_QUORUM` is 0, allowed is at least 1 votes"),
        (&[("FLEET_BEAT", "5")], "`FLEET_BEAT` is \"5\", allowed is 100ms to 10m, such as 5s"),
        (&[("FLEET_BEAT", "1h")], "`FLEET_BEAT` is 3600s, allowed is 100ms to 600s"),
        (&[("FLEET_MEMBER_TTL", "9s")], "`FLEET_MEMBER_TTL` is 9s, allowed is 10s to 86400s"),
        (&[("FLEET_SLOW_CLOSE", "199ms")], "`FLEET_SLOW_CLOSE` is 199ms, allowed is 0ns, or 200ms to 3600s"),
        (&[("FLEET_INSTANCE", "")], "`FLEET_INSTANCE` is \"\", allowed is 1 to 100 bytes"),
        (&[("FLEET_TTL", "9s")], "unknown setting `FLEET_TTL`; did you mean `FLEET_MEMBER_TTL`?"),
        (&[("FLEET_PASSWORD", "hunter2")], "unknown setting `FLEET_PASSWORD`"),
    ];
    for (vars, told) in wrong {
        assert_eq!(build(vars).unwrap_err().to_string(), told);
    }
}

#[test]
fn a_later_call_overrides_the_environment_and_is_what_an_error_names() {
    let config = read(&[("FLEET_BEAT", "1h")]).unwrap();
    let builder = || Fleet::builder("checkout").store(Memory::new()).beat(Duration::ZERO).config(config.clone());
    assert_eq!(builder().build().unwrap_err().to_string(), "`FLEET_BEAT` is 3600s, allowed is 100ms to 600s");
    let error = builder().beat(Duration::ZERO).build().unwrap_err();
    assert_eq!(error.to_string(), "`beat` is 0ns, allowed is 100ms to 600s");
    assert!(builder().beat(Duration::from_secs(1)).build().is_ok());
}

#[cfg(feature = "redis")]
#[test]
fn an_address_is_read_and_no_secret_of_it_is_shown() {
    let config = read(&[("FLEET_REDIS", "redis://ana:hunter2@127.0.0.1:1/0")]).unwrap();
    let builder = Fleet::builder("checkout").config(config.clone());
    for shown in [format!("{config:?}"), format!("{builder:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("ana"), "{shown}");
    }
    let fleet = builder.build().unwrap();
    assert!(!format!("{fleet:?}").contains("hunter2"));
    for url in ["http://ana:hunter2@example", "hunter2", "redis://ana:hunter2@:x"] {
        let error = read(&[("FLEET_REDIS", url)]).unwrap_err();
        assert!(error.to_string().starts_with("`FLEET_REDIS` is malformed, allowed is "), "{error}");
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
}
