//! Examples that say the same: those in README.md are those of the crate's documentation, which are compiled; and flows over AF_XDP are
//! those over AF_PACKET.

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

/// One word is another; and how the two examples call themselves.
#[test]
fn flows_over_af_xdp_are_those_over_af_packet_in_another_word() {
    let expected = include_str!("../examples/flows_async.rs")
        .replace("AsyncCapture", "AsyncXdpCapture")
        .replace("flows_async", "xdp_flows_async")
        .replace("cargo run ", "cargo run --features xdp ");
    assert_eq!(include_str!("../examples/xdp_flows_async.rs"), expected);
}
