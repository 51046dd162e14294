//! The page on what is proven names tests, models and mutants that there are.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/proof.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

/// What the page sets in backticks.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// `path::name` of a test or a model.
fn test(quoted: &str) -> Option<(&str, &str)> {
    let (path, name) = quoted.split_once(".rs::")?;
    Some((&quoted[..path.len() + 3], name))
}

/// The last column of a table whose last heading tells of mistakes or mutants.
fn mutants(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_listed = false;
    for line in page.lines() {
        let Some(last) = line.strip_suffix('|').and_then(|line| line.rsplit('|').next()) else {
            is_listed = false;
            continue;
        };
        is_listed |= last.contains("that is caught") || last.contains("that it catches");
        if is_listed {
            found.extend(quoted(last));
        }
    }
    found
}

/// A package leaves out everything but the library and its tests.
fn is_a_package() -> bool {
    !root().join(".ci").exists()
}

#[test]
fn every_test_and_model_that_the_page_names_is_there() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let mut named = 0;
    for (path, name) in quoted(&page).filter_map(test) {
        let is_packed = path.starts_with("src/") || path.starts_with("tests/");
        if !is_packed && is_a_package() {
            continue;
        }
        let source = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(
            source.contains(&format!("\nfn {name}()")) || source.contains(&format!("    fn {name}()")),
            "{path} has no {name}"
        );
        named += 1;
    }
    assert!(named > 60, "the page names {named} tests, which is not what it was written for");
}

#[test]
fn every_mutant_that_the_page_names_is_there() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let mutants = mutants(&page);
    assert!(mutants.len() > 30, "the page names {} mutants", mutants.len());
    if is_a_package() {
        return;
    }
    for mutant in mutants {
        let path = root().join("loom-tests/mutants").join(mutant).with_extension("mutant");
        assert!(path.exists(), "there is no mutant {mutant}");
    }
}

#[test]
fn the_page_is_read_as_it_is_meant() {
    let page = "\
| promise | held by | a mistake that is caught |
| --- | --- | --- |
| One. | `tests/a.rs::b`, soak | `blind-store`, `no-raise` |
| Two. | `src/c.rs::d` | |

| promise | held by |
| --- | --- |
| Three of `Four`. | `e` |
";
    assert_eq!(quoted(page).filter_map(test).collect::<Vec<_>>(), [("tests/a.rs", "b"), ("src/c.rs", "d")]);
    assert_eq!(mutants(page), ["blind-store", "no-raise"]);
}
