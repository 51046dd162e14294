//! The samples of the README and the guide that need more than the library are excerpts of the examples.

use std::path::{Path, PathBuf};
use std::{fs, iter};

const FOLDERS: [&str; 3] =
    ["examples/clients/src/bin", "examples/services/src/bin", "examples/services/src/bin/operated"];

/// `benches` compiles the samples of this page.
const COMPILED_ELSEWHERE: &str = "compare.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &str) -> Vec<PathBuf> {
    fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn samples(page: &str) -> Vec<&str> {
    let mut rest = page;
    iter::from_fn(|| {
        let (_, after) = rest.split_once("```rust,ignore\n")?;
        let (sample, after) = after.split_once("```\n")?;
        rest = after;
        Some(sample)
    })
    .collect()
}

/// An example may import more than a sample shows.
fn has(example: &str, part: &str) -> bool {
    if part.starts_with("use ") {
        part.lines().all(|line| example.contains(line))
    } else {
        example.contains(part.trim_end())
    }
}

#[test]
fn every_sample_that_the_library_cannot_compile_is_part_of_an_example() {
    let examples: Vec<String> = FOLDERS
        .into_iter()
        .flat_map(files)
        .filter(|file| file.is_file())
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let pages = files("docs").into_iter().chain([root().join("README.md")]).filter(|file| {
        file.extension().is_some_and(|extension| extension == "md") && !file.ends_with(COMPILED_ELSEWHERE)
    });
    let mut compared = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for sample in samples(&text) {
            let is_compiled = examples.iter().any(|example| sample.split("\n\n").all(|part| has(example, part)));
            assert!(is_compiled, "{}: no example has this:\n{sample}", page.display());
            compared += 1;
        }
    }
    assert!(compared >= 3, "{compared} samples were found");
}
