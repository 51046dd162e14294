//! The page on what is verified names tests, models and mutants that exist, and leaves out no model and no mutant.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../docs/proof.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a line sets in backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The path of a source file, and the name of the test in it if there is one.
fn source(quoted: &str) -> Option<(&str, Option<&str>)> {
    match quoted.split_once(".rs::") {
        Some((path, name)) => Some((&quoted[..path.len() + 3], Some(name))),
        None => (quoted.contains('/') && quoted.rsplit_once('.')?.1 == "rs").then_some((quoted, None)),
    }
}

/// The rows of the generated table: the file and the name of each model, and the mutants that turn it red.
fn models(page: &str) -> Vec<(String, Vec<&str>)> {
    let mut file = "";
    let mut models = Vec::new();
    for row in page.split("<!-- models").nth(1).unwrap_or_default().lines() {
        if row.starts_with("| **") {
            file = quoted(row).last().expect("the row of a file names it");
        } else if row.starts_with("| ") && !file.is_empty() {
            let columns: Vec<_> = row.split('|').collect();
            models.push((format!("{file}::{}", columns[1].trim().replace(' ', "_")), quoted(columns[3]).collect()));
        }
    }
    models
}

/// A package contains the library and its tests only.
fn is_a_package() -> bool {
    !root().join(".ci").exists()
}

fn has_test(source: &str, name: &str) -> bool {
    source.contains(&format!("\nfn {name}()")) || source.contains(&format!("    fn {name}()"))
}

#[test]
fn every_source_and_test_that_the_page_names_exists() {
    let mut named = 0;
    for (path, test) in PAGE.lines().flat_map(quoted).filter_map(source) {
        let is_packed = path.starts_with("src/") || path.starts_with("tests/");
        if is_packed || !is_a_package() {
            let source = read(path);
            assert!(test.is_none_or(|name| has_test(&source, name)), "{path} has no {test:?}");
            named += 1;
        }
    }
    assert!(named > 60, "the page names {named} sources, which is not what it was written for");
}

#[test]
fn the_table_has_every_model_and_every_mutant() {
    let table = models(PAGE);
    assert!(table.len() > 60, "the table has {} models", table.len());
    for (model, mutants) in &table {
        assert!(!mutants.is_empty(), "no mutant turns {model} red");
    }
    if is_a_package() {
        return;
    }
    let mut there_are = BTreeSet::new();
    for entry in fs::read_dir(root().join("loom-tests/tests")).unwrap() {
        let path = format!("loom-tests/tests/{}", entry.unwrap().file_name().to_str().unwrap());
        let source = read(&path);
        let names = source.split("#[test]\nfn ").skip(1).map(|test| test.split('(').next().unwrap());
        there_are.extend(names.map(|name| format!("{path}::{name}")));
    }
    assert_eq!(table.iter().map(|(model, _)| model.clone()).collect::<BTreeSet<_>>(), there_are);
    let defined = read("loom-tests/mutants/mutants.toml");
    let headings = defined.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    let defined: BTreeSet<_> = headings.filter(|name| !name.starts_with('[')).collect();
    assert_eq!(table.iter().flat_map(|(_, mutants)| mutants.iter().copied()).collect::<BTreeSet<_>>(), defined);
}

#[test]
fn the_page_is_read_as_it_is_meant() {
    let page = "\
| One. | `tests/a.rs::b`, `src/c.rs`, soak |
<!-- models -->
| model | executions | mutants |
| --- | --- | --- |
| **Two of `Three`.** `loom-tests/tests/d.rs` | | |
| no failure is lost | plain 7 | `blind-store`, `no-raise` |
";
    let sources: Vec<_> = page.lines().flat_map(quoted).filter_map(source).collect();
    assert_eq!(sources, [("tests/a.rs", Some("b")), ("src/c.rs", None), ("loom-tests/tests/d.rs", None)]);
    assert_eq!(
        models(page),
        [("loom-tests/tests/d.rs::no_failure_is_lost".to_owned(), vec!["blind-store", "no-raise"])]
    );
}
