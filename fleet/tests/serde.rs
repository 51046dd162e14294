//! Settings from files.

use std::time::Duration;

use tripcoil_fleet::{Fleet, FleetConfig, Memory, Quorum};

#[test]
fn settings_are_read_from_toml_and_json_alike_and_written_without_secrets() {
    let toml = "redis = 'redis://ana:hunter2@127.0.0.1'\ninstance = 7\nquorum = 'count(3)'\nbeat = '2s'";
    let from_toml: FleetConfig = toml::from_str(toml).unwrap();
    let json = r#"{"redis": "redis://127.0.0.1", "instance": "7", "quorum": "count(3)", "beat": "2s", "lease": null}"#;
    let from_json: FleetConfig = serde_json::from_str(json).unwrap();
    for config in [from_toml, from_json] {
        assert!(config.redis.is_some() && config.lease.is_none());
        assert_eq!((config.instance.as_deref(), config.quorum), (Some("7"), Some(Quorum::count(3))));
        assert_eq!(config.beat, Some(Duration::from_secs(2)));
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(written, r#"{"instance":"7","quorum":"count(3)","beat":"2s"}"#);
        let again: FleetConfig = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), written);
    }
}

#[test]
fn what_a_file_gets_wrong_is_named() {
    let wrong = [
        (r#"{"qourum": "count(3)"}"#, "unknown setting `qourum`; did you mean `quorum`?"),
        (r#"{"beat": 5}"#, "`beat` is \"5\", allowed is 100ms to 10m, such as 5s"),
        (r#"{"beat": "5s", "beat": "6s"}"#, "duplicate field `beat`"),
        (r#"{"quorum": true}"#, "invalid type: boolean `true`, expected a text"),
        (r#"{"redis": "http://ana:hunter2@x"}"#, "`redis` is malformed, allowed is "),
    ];
    for (json, told) in wrong {
        let error = serde_json::from_str::<FleetConfig>(json).unwrap_err().to_string();
        assert!(error.starts_with(told) && !error.contains("hunter2"), "{error}");
    }
    let config: FleetConfig = toml::from_str("lease = '2h'").unwrap();
    let error = Fleet::builder("checkout").store(Memory::new()).config(config).build().unwrap_err();
    assert_eq!(error.to_string(), "`lease` is 7200s, allowed is 100ms to 3600s");
}
