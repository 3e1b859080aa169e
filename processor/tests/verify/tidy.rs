//! What keeps the second opinion independent of the first.

use std::path::Path;

/// Names, and the text of a commit: nothing that computes.
const ALLOWED: [&str; 5] = ["schema", "Resolution", "Delivery", "Checkpoint", "MergeCheckpoint"];

#[test]
fn verify_takes_nothing_that_computes_from_the_core() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join("verify.rs")];
    files.extend(std::fs::read_dir(source.join("verify")).unwrap().map(|entry| entry.unwrap().path()));
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let Some((_, used)) = line.split_once("processor_core::") else { continue };
            let list = used.strip_prefix('{').and_then(|list| list.split('}').next());
            let names: Vec<&str> = list.map_or_else(|| vec![used], |list| list.split(", ").collect());
            for name in names.iter().map(|name| name.split([':', ';']).next().unwrap_or_default()) {
                assert!(ALLOWED.contains(&name), "{}:{number} uses {name} of the core", file.display());
            }
        }
    }
}
