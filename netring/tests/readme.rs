//! The examples in README.md are those of the crate's documentation, which are compiled.

/// The Rust blocks of a text in Markdown, without the lines that documentation hides.
fn examples(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in markdown.lines() {
        match &mut block {
            None if line.starts_with("```rust") || line.starts_with("```no_run") => {
                block = Some(String::new());
            }
            None => {}
            Some(_) if line == "```" => blocks.extend(block.take()),
            Some(_) if line == "#" || line.starts_with("# ") => {}
            Some(text) => *text += &format!("{line}\n"),
        }
    }
    blocks
}

#[test]
fn each_example_stands_in_the_crate_documentation_too() {
    let readme = examples(include_str!("../../README.md"));
    let docs: String = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let docs = examples(&docs);
    assert_eq!(readme.len(), 2);
    for example in readme {
        assert!(
            docs.contains(&example),
            "not in the documentation:\n{example}"
        );
    }
}
