//! Gathers the sources of the protocol into one file of modules, and breaks them if `FLEET_MUTANT` names a mutant.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

include!("mutants.rs");

/// Without `random.rs`: nothing is random in a search.
const MODULES: [&str; 6] = ["text", "message", "op", "model", "member", "node"];

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../fleet/src/protocol");
    println!("cargo::rerun-if-env-changed=FLEET_MUTANT");
    println!("cargo::rerun-if-changed=mutants.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mutant = env::var("FLEET_MUTANT").ok();
    let mutant = mutant.map(|name| {
        MUTANTS.into_iter().find(|mutant| mutant.0 == name).unwrap_or_else(|| panic!("no mutant `{name}`"))
    });
    let mut all = String::new();
    for module in MODULES {
        let file = format!("{module}.rs");
        let mut source = fs::read_to_string(folder.join(&file)).unwrap();
        if let Some((name, _, original, broken)) = mutant.filter(|mutant| mutant.1 == file) {
            assert_eq!(source.matches(original).count(), 1, "{name}: {file} has changed");
            source = source.replace(original, broken);
        }
        writeln!(all, "pub(crate) mod {module} {{\n{source}\n}}").unwrap();
    }
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("protocol.rs"), all).unwrap();
}
