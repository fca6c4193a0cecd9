//! The paths in a file: in `use` items, and in its code.

use super::source::{Source, Token};

/// A path, as written in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// `crate`, `self`, `super` or a word, and what follows it.
    pub(super) segments: Vec<String>,
    /// The inline modules around it, within the file.
    pub(super) inside: Vec<String>,
    /// The name that a `use` item gives to its target.
    pub(super) imported_as: Option<String>,
    /// Whether the file uses it: a re-export alone does not.
    pub(super) is_used: bool,
}

/// All paths of a file.
pub(super) fn of(source: &Source) -> Vec<Reference> {
    let mut reader = Reader {
        tokens: &source.tokens,
        at: 0,
        inside: Vec::new(),
        found: Vec::new(),
        words: Vec::new(),
    };
    reader.read();
    let Reader {
        mut found, words, ..
    } = reader;
    for reference in &mut found {
        if !reference.is_used
            && let Some(name) = &reference.imported_as
        {
            reference.is_used = words.contains(&&**name);
        }
    }
    found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The inline modules around the current position, each with the depth of its braces.
    inside: Vec<(String, usize)>,
    found: Vec<Reference>,
    /// Every word outside of `use` items.
    words: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        let mut depth = 0;
        // `pub use` and `pub(crate) use` re-export.
        let mut public = false;
        while let Some(token) = self.tokens.get(self.at) {
            match &*token.text {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    self.inside.retain(|(_, at)| *at <= depth);
                }
                "mod" if self.text(2) == "{" => {
                    let name = self.text(1).to_owned();
                    self.inside.push((name, depth + 1));
                    self.at += 2;
                    continue;
                }
                "pub" => {
                    public = true;
                    self.at += 1;
                    if self.text(0) == "(" {
                        while self.text(0) != ")" {
                            self.at += 1;
                        }
                        self.at += 1;
                    }
                    continue;
                }
                "use" if token.is_any_word() => {
                    self.at += 1;
                    self.tree(&mut Vec::new(), public);
                }
                _ if token.is_any_word() => {
                    self.expression();
                    public = false;
                    continue;
                }
                _ => {}
            }
            public = false;
            self.at += 1;
        }
    }

    /// A word, and the path that starts with it, if there is one.
    fn expression(&mut self) {
        let mut segments = Vec::new();
        loop {
            let token = &self.tokens[self.at];
            self.words.push(&token.text);
            segments.push(token.text.clone());
            self.at += 1;
            let goes_on = self.text(0) == ":"
                && self.text(1) == ":"
                && self.tokens.get(self.at + 2).is_some_and(Token::is_any_word);
            if !goes_on {
                break;
            }
            self.at += 2;
        }
        if segments.len() > 1 {
            self.push(segments, None, true);
        }
    }

    /// A tree of a `use` item up to its `;`, or to the `,` or `}` of the group around it.
    fn tree(&mut self, before: &mut Vec<String>, public: bool) {
        let len = before.len();
        // A leading `::` names another crate.
        while self.text(0) == ":" {
            self.at += 1;
        }
        loop {
            match self.text(0) {
                "{" => {
                    self.at += 1;
                    while self.text(0) != "}" {
                        self.tree(before, public);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    break;
                }
                "*" => {
                    self.at += 1;
                    self.push(before.clone(), None, !public);
                    break;
                }
                word => {
                    // `a::{self}` is `a`.
                    if word != "self" || before.is_empty() {
                        before.push(word.to_owned());
                    }
                    self.at += 1;
                }
            }
            if self.text(0) == ":" {
                self.at += 2;
                continue;
            }
            let mut name = before.last().cloned();
            if self.text(0) == "as" {
                name = Some(self.text(1).to_owned()).filter(|name| name != "_");
                self.at += 2;
            }
            self.push(before.clone(), name, !public);
            break;
        }
        before.truncate(len);
    }

    fn push(&mut self, segments: Vec<String>, imported_as: Option<String>, is_used: bool) {
        let inside = self.inside.iter().map(|(name, _)| name.clone()).collect();
        self.found.push(Reference {
            segments,
            inside,
            imported_as,
            is_used,
        });
    }

    fn text(&self, ahead: usize) -> &'a str {
        self.tokens
            .get(self.at + ahead)
            .map_or(";", |token| &token.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<(String, bool)> {
        let source = Source::read("a.rs", text).unwrap();
        let shown = |r: Reference| {
            let inside: String = r.inside.iter().map(|name| format!("[{name}] ")).collect();
            let name = r.imported_as.map(|name| format!(" as {name}"));
            let path = r.segments.join("::");
            (
                format!("{inside}{path}{}", name.unwrap_or_default()),
                r.is_used,
            )
        };
        of(&source).into_iter().map(shown).collect()
    }

    fn used(text: &str) -> (String, bool) {
        (text.to_owned(), true)
    }

    #[test]
    fn every_form_of_use_is_read() {
        let text = "use crate::a::{self, b::C, d as e, f::*}; use std::fmt; use super::T as _;";
        assert_eq!(
            paths(text),
            [
                used("crate::a as a"),
                used("crate::a::b::C as C"),
                used("crate::a::d as e"),
                used("crate::a::f"),
                used("std::fmt as fmt"),
                used("super::T"),
            ]
        );
    }

    #[test]
    fn a_re_export_is_used_if_its_name_occurs() {
        let text = "pub use a::B; pub(crate) use c::{D, E}; fn f(_: D) {}";
        assert_eq!(
            paths(text),
            [
                ("a::B as B".to_owned(), false),
                used("c::D as D"),
                ("c::E as E".to_owned(), false),
            ]
        );
    }

    #[test]
    fn paths_in_code_and_inline_modules_are_read() {
        let text =
            "fn f() { crate::a::g(h::<super::X>()) } mod m { use super::Y; } fn k() { z::w }";
        assert_eq!(
            paths(text),
            [
                used("crate::a::g"),
                used("super::X"),
                used("[m] super::Y as Y"),
                used("z::w"),
            ]
        );
    }
}
