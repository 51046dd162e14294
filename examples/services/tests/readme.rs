//! The samples of the README that need more than the library are taken from what is compiled here.

use std::path::Path;
use std::{fs, iter};

#[test]
fn every_sample_that_the_library_cannot_compile_is_part_of_an_example() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples: Vec<String> = fs::read_dir(here.join("src/bin"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let readme = fs::read_to_string(here.join("../../README.md")).unwrap();
    let mut rest = readme.as_str();
    let samples: Vec<&str> = iter::from_fn(|| {
        let (_, after) = rest.split_once("```rust,ignore\n")?;
        let (sample, after) = after.split_once("```\n")?;
        rest = after;
        Some(sample)
    })
    .collect();
    assert!(!samples.is_empty());
    for sample in samples {
        // What else an example imports does not matter.
        let has = |example: &str, part: &str| {
            if part.starts_with("use ") {
                part.lines().all(|line| example.contains(line))
            } else {
                example.contains(part.trim_end())
            }
        };
        let is_compiled = examples.iter().any(|example| sample.split("\n\n").all(|part| has(example, part)));
        assert!(is_compiled, "no example has this:\n{sample}");
    }
}
