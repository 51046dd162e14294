//! The files of `src` stand on floors, and each imports only from floors below its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The modules of each floor, the lowest first. A folder is one module.
const FLOORS: [&[&str]; 13] = [
    &["cause", "guide", "name", "panics", "state", "sync"],
    &["metrics", "outcome", "recovery", "waiters"],
    &["error", "settings"],
    &["transition"],
    &["machine"],
    &["clock", "window"],
    &["config"],
    &["engine"],
    &["breaker"],
    &["macros", "registry"],
    &["export"],
    &["http"],
    &["tower"],
];

/// The files that own atomics, and so may name an ordering.
const ATOMIC: [&str; 17] = [
    "clock/mod.rs",
    "engine/cold.rs",
    "engine/last_failure.rs",
    "engine/membership.rs",
    "engine/observers.rs",
    "engine/settings_version.rs",
    "engine/shadow.rs",
    "engine/totals.rs",
    "engine/totals/shared.rs",
    "machine/cell.rs",
    "machine/coarse_deadline.rs",
    "machine/epoch_cell.rs",
    "machine/probe_stamp.rs",
    "window/in_flight.rs",
    "window/ring.rs",
    "window/steps.rs",
    "window/timeline.rs",
];

/// Every file below `src` but `lib.rs`, by its path there.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, prefix: &str, sources: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                walk(&path, &format!("{name}/"), sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut sources = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    assert!(sources.remove("lib.rs").is_some());
    sources
}

fn module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The code of a source, without comments.
fn code(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules of the crate that `source` names; `None` for a path that does not say which.
fn imports(source: &str) -> Vec<Option<String>> {
    let code = code(source);
    code.match_indices("crate::")
        // A link in docs that a macro writes.
        .filter(|(at, _)| !code[..*at].ends_with("]("))
        .map(|(at, crate_)| {
            let rest = &code[at + crate_.len()..];
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            (end > 0).then(|| rest[..end].to_owned())
        })
        .collect()
}

#[test]
fn every_file_has_its_floor() {
    let homeless: Vec<_> = sources().into_keys().filter(|file| floor(module(file)).is_none()).collect();
    assert!(homeless.is_empty(), "give these a floor in the table: {homeless:?}");
}

#[test]
fn every_module_of_the_table_has_its_file() {
    let sources = sources();
    for name in FLOORS.into_iter().flatten() {
        assert!(sources.keys().any(|file| module(file) == *name), "`{name}` is in the table and not in src");
    }
}

#[test]
fn no_file_imports_from_its_own_floor_or_above() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let own = module(&file);
        for import in imports(&source) {
            let name = import.unwrap_or_else(|| panic!("{file}: one path for each module, `use crate::module::...`"));
            let is_below = floor(&name).zip(floor(own)).is_some_and(|(theirs, ours)| theirs < ours);
            if name != own && !is_below {
                wrong.push(format!("{file} (floor {:?}) imports {name} (floor {:?})", floor(own), floor(&name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_goes_round_the_floors_through_super() {
    for (file, source) in sources().into_iter().filter(|(file, _)| !file.contains('/')) {
        let goes_round = code(&source).lines().any(|line| line.starts_with("use super::"));
        assert!(!goes_round, "{file} imports through `super`");
    }
}

#[test]
fn only_the_files_that_own_atomics_name_an_ordering() {
    for (file, source) in sources() {
        let names_one = code(&source).contains("Ordering");
        let may = ATOMIC.contains(&file.as_str()) || module(&file) == "sync" || file.ends_with("/tests.rs");
        assert!(!names_one || may, "{file} names an ordering");
    }
}

#[test]
fn only_the_facade_and_the_clock_take_atomics_and_locks_from_elsewhere() {
    for (file, source) in sources() {
        let code = code(&source);
        let takes = ["std::sync::atomic", "std::sync::Mutex", "std::sync::RwLock", "parking_lot", "loom::"]
            .into_iter()
            .find(|path| code.contains(path));
        assert!(takes.is_none() || module(&file) == "sync", "{file} takes {takes:?} from outside of `sync`");
    }
}

#[test]
fn an_import_is_found_wherever_it_stands() {
    let source = "use crate::machine::word::Word;\n// crate::no\nfn f() { crate::sync::go!(crate::window::X) } /// crate::no\npub(crate) fn g() {}\n#[doc = concat!(\"[`\", \"`](crate::X)\")]\nuse crate::{a, b};";
    let found = imports(source);
    assert_eq!(found, [Some("machine".into()), Some("sync".into()), Some("window".into()), None]);
}
