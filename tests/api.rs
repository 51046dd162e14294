//! Every public item once, so that a change of the surface shows in a review.
//!
//! The items are named below, for the compiler. Their methods and fields are listed in `tests/api.txt`; if that list is
//! outdated, the test prints the new one.
#![cfg(all(
    feature = "coarse-clock",
    feature = "http",
    feature = "macros",
    feature = "metrics",
    feature = "opentelemetry",
    feature = "registry",
    feature = "serde",
    feature = "tokio",
    feature = "tower",
    feature = "tracing"
))]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

#[allow(unused_imports, reason = "that they can be named is the test")]
mod items {
    pub(super) use tripcoil::clock::{self, CoarseClock, ManualClock, MonotonicClock, TokioClock};
    pub(super) use tripcoil::http::{self, ByGrpcStatus, ByHead, ByStatus, unavailable};
    pub(super) use tripcoil::tower::{
        self, Answering, AtBodyEnd, AtHead, Boxing, BreakerFuture, BreakerLayer, BreakerService, GuardedBody, MapProbe,
        OnProbe, OnRejection, Refusing, RegistryLayer, RegistryService, SettleAt, Unmapped,
    };
    pub(super) use tripcoil::trace::{self, observer, shadow_observer};
    pub(super) use tripcoil::{
        Admitted, BreakerHandle, Builder, ByResult, Call, Cause, Changed, CircuitBreaker, Clock, Config, ConfigError,
        DefaultHashBuilder, Dropped, Error, Exporter, FleetMetrics, Guarded, GuardedBy, GuardedRegistry, Ignoring,
        Judge, KeyHasher, KeyedCall, KeyedPermit, LastError, Metrics, Name, Observing, ObservingRegistry, Order,
        Outcome, OwnedGuarded, OwnedPermit, Permit, Preset, Recovery, RecoveryStep, RecoverySteps, Registry,
        RegistryBuilder, RegistryChange, RegistryMetrics, Rejected, Revision, ShadowMetrics, ShadowRejections, State,
        SuppressedOpening, Transition, Window, WindowMetrics, WithMessages, Within, guarded,
    };
}

/// The wings whose items are all internal.
const INTERNAL: [&str; 5] = ["macros.rs", "machine/", "panics.rs", "sync/", "waiters.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else {
            let name = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(text.len());
    &text[..end]
}

/// The type that an `impl` line is about.
fn implemented(line: &str) -> Option<&str> {
    let mut rest = line.strip_prefix("impl")?;
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.find(|c| {
            depth += i32::from(c == '<') - i32::from(c == '>');
            depth == 0
        })?;
        rest = &rest[end + 1..];
    }
    Some(word(rest.trim_start())).filter(|name| !name.is_empty())
}

/// The public methods and fields of a source, each with its type.
fn public(source: &str, found: &mut BTreeSet<String>) {
    let mut owner = "";
    for line in source.lines() {
        let line = line.trim();
        if let Some(name) = implemented(line) {
            owner = name;
        } else if let Some(rest) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) {
            owner = word(rest);
        }
        let Some(rest) = line.strip_prefix("pub ") else { continue };
        let rest = rest.trim_start_matches("const ").trim_start_matches("async ");
        match rest.strip_prefix("fn ") {
            Some(name) if owner.is_empty() => drop(found.insert(format!("{}()", word(name)))),
            Some(name) => drop(found.insert(format!("{owner}::{}()", word(name)))),
            None if rest.split_once(": ").is_some_and(|(name, _)| name == word(name)) => {
                found.insert(format!("{owner}.{}", word(rest)));
            }
            None => {}
        }
    }
}

/// The settings, each of which is a field of `Config`, a setter of it, and one of `Builder`.
fn settings(table: &str, found: &mut BTreeSet<String>) {
    for line in table.lines().filter(|line| line.starts_with("            ") && line.ends_with(';')) {
        let name = word(line.trim());
        if !name.is_empty() && line.contains('(') {
            found.extend([format!("Config.{name}"), format!("Config::{name}()"), format!("Builder::{name}()")]);
        }
    }
}

/// What a macro's item stands for.
fn expand(item: &str) -> Vec<String> {
    let types: &[&str] = match item.split("::").next() {
        Some("$permit") => &["KeyedPermit", "OwnedPermit", "Permit"],
        Some("$guarded") => &["Guarded", "OwnedGuarded"],
        _ => return vec![item.to_owned()],
    };
    types.iter().map(|name| item.replace(word(item), name)).collect()
}

#[test]
fn the_list_of_public_methods_and_fields_is_up_to_date() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut found = BTreeSet::new();
    for (name, source) in &files {
        if INTERNAL.iter().any(|internal| name.starts_with(internal)) {
            continue;
        }
        if name == "config/table.rs" {
            settings(source, &mut found);
        } else {
            public(source, &mut found);
        }
    }
    let mut list = String::new();
    for item in
        found.iter().filter(|item| !item.contains("$setting")).flat_map(|item| expand(item)).collect::<BTreeSet<_>>()
    {
        writeln!(list, "{item}").unwrap();
    }
    let listed = fs::read_to_string(root().join("tests/api.txt")).unwrap_or_default();
    assert!(listed == list, "tests/api.txt should be\n{list}");
}

#[test]
fn what_is_exported_at_the_top_is_named_here() {
    let (lib, here) = (fs::read_to_string(root().join("src/lib.rs")).unwrap(), include_str!("api.rs"));
    let mut exports = lib.lines().skip_while(|line| !line.starts_with("pub use ")).collect::<Vec<_>>().join(" ");
    exports.truncate(exports.find("mod __macros").expect("it comes last"));
    let names = exports.split([' ', ',', '{', '}', ';', ':']).filter(|name| name.starts_with(char::is_uppercase));
    let names: Vec<_> = names.collect();
    assert!(names.len() > 30);
    for name in names {
        assert!(here.contains(name), "{name} is not in tests/api.rs");
    }
}
