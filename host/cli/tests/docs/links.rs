//! Every relative link of the documents leads to a file, and every anchor to a heading.

use std::path::{Component, Path, PathBuf};

use crate::support::{files, read, repository};

/// Documents outside `docs` and `examples`.
const PAGES: [&str; 6] =
    ["README.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md"];
const BOOK: &str = "docs";

fn pages() -> Vec<String> {
    let others = PAGES.into_iter().map(str::to_owned);
    others.chain(files(BOOK, "md")).chain(files("examples", "md")).collect()
}

/// The text without code blocks and code spans: what looks like a link in them is none.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            for (index, part) in line.split('`').enumerate() {
                prose.push_str(if index % 2 == 0 { part } else { "code" });
            }
            prose.push('\n');
        }
    }
    prose
}

/// Targets of links and images, without those to other sites.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// Anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut anchors = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        if fenced || level == 0 {
            continue;
        }
        let kept = line[level..].trim().to_lowercase();
        let kept = kept.chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign));
        anchors.push(kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect());
    }
    anchors
}

/// The path from the repository's root; `None` if it leads out of the repository.
fn resolved(page: &str, target: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(page).parent()?.join(target).components() {
        match part {
            Component::ParentDir => path.pop().then_some(())?,
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Some(path)
}

/// Why a link is broken.
fn broken(page: &str, target: &str) -> Option<&'static str> {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { Some(PathBuf::from(page)) } else { resolved(page, file) };
    let Some(path) = path.filter(|path| repository().join(path).exists()) else { return Some("no such file") };
    if page.starts_with(BOOK) && !path.starts_with(BOOK) {
        return Some("leads out of the book: name the file as code instead");
    }
    let known = |anchor: &str| anchors(&read(path.to_str().unwrap())).iter().any(|known| known == anchor);
    anchor.is_some_and(|anchor| !known(anchor)).then_some("no such heading")
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut count = 0;
    let mut faults = Vec::new();
    for page in pages() {
        for target in targets(&read(&page)) {
            count += 1;
            faults.extend(broken(&page, &target).map(|why| format!("{page}: {target}: {why}")));
        }
    }

    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 20, "only {count} links were found");
}

#[test]
fn every_page_is_in_the_books_summary() {
    let summary = read("docs/SUMMARY.md");
    let listed = targets(&summary);

    let missing: Vec<String> = files(BOOK, "md")
        .into_iter()
        .filter(|page| page != "docs/SUMMARY.md")
        .filter(|page| !listed.iter().any(|target| format!("docs/{target}") == *page))
        .collect();

    assert!(missing.is_empty(), "docs/SUMMARY.md does not list {missing:?}");
}

#[test]
fn a_broken_link_is_found() {
    let faults = ["docs/nowhere.md", "LICENSE", "#no-such-heading", "CONTRIBUTING.md#nowhere", "../outside.md"]
        .map(|target| broken("README.md", target).is_some());

    assert_eq!(faults, [true, false, true, true, true]);
}

#[test]
fn every_image_of_kulta_that_a_page_names_has_the_version_of_this_build() {
    const IMAGE: &str = "docker.io/library/kulta:";
    let mut named = 0;

    for page in files("docs", "md") {
        for rest in read(&page).split(IMAGE).skip(1) {
            let tag: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
            named += 1;
            // A placeholder, `<version>`, has no such characters.
            let is_version = tag.is_empty() || tag.trim_end_matches('.') == env!("CARGO_PKG_VERSION");
            assert!(is_version, "{page} names {IMAGE}{tag}");
        }
    }

    assert!(named > 0, "no page names the image");
}
