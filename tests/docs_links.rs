//! Links and pictures of the Markdown pages lead somewhere, in the repository and in the documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// rustdoc knows no files of the repository: a page of the guide links to others by references that this file defines.
const GUIDE: &str = "src/guide.rs";
/// Pages of `docs/` that are not part of the guide.
const NOT_IN_THE_GUIDE: [&str; 2] = ["console.md", "releasing.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A package leaves out everything but the library, its tests and its pages.
fn is_a_package() -> bool {
    !root().join(".ci").exists()
}

/// A page that `.ci/embed-pictures` writes.
fn is_embedded(name: &str) -> bool {
    name.ends_with(".svg.md") || name.ends_with(".png.md")
}

/// Every Markdown page but those of built things, by its path below the root.
fn pages() -> Vec<PathBuf> {
    fn walk(folder: &Path, pages: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_hidden = name.starts_with('.') && name != ".github";
            if path.is_dir() && !is_hidden && !name.starts_with("target") {
                walk(&path, pages);
            } else if path.extension().is_some_and(|extension| extension == "md") && !is_embedded(name) {
                pages.push(path);
            }
        }
    }
    let mut pages = Vec::new();
    walk(&root(), &mut pages);
    pages.iter().map(|page| page.strip_prefix(root()).unwrap().into()).collect()
}

fn guide_pages() -> Vec<PathBuf> {
    let is_of_the_guide =
        |page: &PathBuf| page.starts_with("docs") && !NOT_IN_THE_GUIDE.iter().any(|name| page.ends_with(name));
    pages().into_iter().filter(is_of_the_guide).collect()
}

/// The lines of a page that are not code, without inline code.
fn prose(page: &str) -> Vec<String> {
    let mut is_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    };
    page.lines().filter(is_prose).map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("``")).collect()
}

/// `[label]: target`.
fn definition(line: &str) -> Option<(&str, &str)> {
    let (label, target) = line.trim_start_matches("/// ").trim().strip_prefix('[')?.split_once("]: ")?;
    (!label.contains(']')).then_some((label, target))
}

/// The targets of `[text](target)`.
fn inline_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

fn targets(page: &str) -> Vec<String> {
    let lines = prose(page);
    let definitions = lines.iter().filter_map(|line| definition(line)).map(|(_, target)| target);
    let inline = lines.iter().flat_map(|line| inline_targets(line));
    definitions.chain(inline).map(String::from).collect()
}

fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.contains("::") && !target.starts_with("data:")
}

/// What GitHub and rustdoc make of a heading.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn anchors(page: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut found = BTreeSet::new();
    for line in page.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if let Some((_, heading)) = line.split_once("# ").filter(|(marks, _)| marks.chars().all(|mark| mark == '#')) {
            if !is_code {
                found.insert(anchor(heading));
            }
        }
    }
    found
}

#[test]
fn every_relative_link_and_image_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let text = read(&page);
        for target in targets(&text).iter().filter(|target| is_relative(target)) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            if !root().join(&path).exists() {
                // The rest of the repository is not in a package.
                if !is_a_package() {
                    broken.push(format!("{}: no file {target}", page.display()));
                }
            } else if !heading.is_empty() && !anchors(&read(&path)).contains(heading) {
                broken.push(format!("{}: no heading {target}", page.display()));
            }
            followed += 1;
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 60, "{followed} links were found");
}

#[test]
fn links_between_pages_of_the_guide_lead_somewhere_in_the_documentation_too() {
    let guide = read(GUIDE);
    let mut defined: BTreeSet<String> =
        guide.lines().filter_map(|line| definition(line.trim())).map(|(label, _)| label.to_lowercase()).collect();
    assert!(defined.len() > 20, "{defined:?}");
    for page in guide_pages() {
        let text = read(&page);
        let name = page.file_name().unwrap().to_str().unwrap();
        let entry = guide.lines().find(|line| line.contains(&format!("\"{name}\"")));
        let entry = entry.unwrap_or_else(|| panic!("{name} is not in {GUIDE}"));
        defined.extend(pictures(entry).map(String::from));

        for line in prose(&text) {
            for target in inline_targets(&line) {
                let is_broken = is_relative(target) && !target.starts_with('#');
                assert!(!is_broken, "{name}: write ({target}) as a reference that {GUIDE} defines");
            }
        }
        for (label, target) in text.lines().filter_map(definition) {
            assert!(
                defined.contains(&label.to_lowercase()),
                "{name}: {GUIDE} has no definition of [{label}] ({target})"
            );
        }
    }
}

#[test]
fn a_reference_in_a_page_is_defined_in_it() {
    for page in pages() {
        let text = read(&page);
        let defined: Vec<_> = text.lines().filter_map(definition).map(|(label, _)| label.to_lowercase()).collect();
        let without_code = text.split("```").step_by(2);
        let labels = without_code.flat_map(|part| part.split("][").skip(1)).filter_map(|rest| rest.split_once(']'));
        for (label, _) in labels {
            assert!(defined.contains(&label.to_lowercase()), "{}: [{label}] is not defined", page.display());
        }
        let items = text.lines().filter(|line| definition(line).is_none()).flat_map(|line| line.split("[`").skip(1));
        for (item, rest) in items.filter_map(|rest| rest.split_once("`]")) {
            let is_defined = rest.starts_with('(') || defined.contains(&format!("`{item}`").to_lowercase());
            assert!(is_defined, "{}: [`{item}`] is not defined", page.display());
        }
    }
}

#[test]
fn the_documentation_embeds_the_pictures_as_they_are() {
    let guide = read(GUIDE);
    let pictures: Vec<_> = pictures(&guide).collect();
    assert!(pictures.len() >= 2, "{pictures:?}");
    for name in pictures {
        let embedded = read(format!("src/guide/{name}.md"));
        let picture = base64(&fs::read(root().join(format!("docs/{name}"))).unwrap());
        let media_type = if name.ends_with("svg") { "image/svg+xml" } else { "image/png" };
        let expected = format!("[{name}]: data:{media_type};base64,{picture}\n");
        assert!(embedded == expected, "docs/{name} has changed: run .ci/embed-pictures");
    }
}

/// The names of pictures in a source.
fn pictures(source: &str) -> impl Iterator<Item = &str> {
    let is_picture = |part: &&str| Path::new(part).extension().is_some_and(|kind| kind == "svg" || kind == "png");
    source.split('"').filter(is_picture)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let is_padding = digit > chunk.len();
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if is_padding { '=' } else { DIGITS[index as usize].into() });
        }
    }
    text
}

#[test]
fn base64_is_that_of_the_standard() {
    let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
    assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
}

#[test]
fn the_readme_is_short() {
    let bytes = read("README.md").len();
    assert!(bytes <= 12_000, "README.md has {bytes} bytes: the guide is the place for more");
}

#[test]
fn the_workflow_runs_every_step() {
    if is_a_package() {
        return;
    }
    let script = read(".ci/run");
    let steps = script.lines().find_map(|line| line.strip_prefix("steps=(")?.strip_suffix(')')).unwrap();
    let workflow = read(".github/workflows/ci.yml");
    let (_, matrix) = workflow.split_once("        step:\n").unwrap();
    let run: Vec<_> = matrix.lines().map_while(|line| line.strip_prefix("          - ")).collect();
    assert_eq!(run, steps.split(' ').collect::<Vec<_>>());
}

#[test]
fn every_published_manifest_says_what_registries_show() {
    if is_a_package() {
        return;
    }
    let workspace = read("Cargo.toml");
    let members = workspace.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let mut published = 0;
    for member in members.split('"').skip(1).step_by(2) {
        let manifest = read(Path::new(member).join("Cargo.toml"));
        if manifest.contains("\npublish = false\n") {
            continue;
        }
        for key in [
            "description",
            "documentation",
            "keywords",
            "categories",
            "readme",
            "license.workspace",
            "repository.workspace",
        ] {
            assert!(manifest.contains(&format!("\n{key} = ")), "{member}: no {key}");
        }
        published += 1;
    }
    assert!(published >= 2, "{published} packages are published");
}

#[test]
fn links_are_found_where_they_are() {
    let page = "# A `b`, c\n[x](y.md) ![z](z.svg#w)\n```\n[no](no.md)\n```\n`[no](no.md)`\n[d]: e.md\n";
    assert_eq!(targets(page), ["e.md", "y.md", "z.svg#w"]);
    assert_eq!(anchors(page).into_iter().collect::<Vec<_>>(), ["a-b-c"]);
}
