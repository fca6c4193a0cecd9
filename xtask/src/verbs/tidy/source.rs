//! A Rust file as tokens: comments, strings and line breaks cannot hide anything from a rule.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A file of the workspace.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path from the root of the workspace.
    pub(super) name: String,
    /// Its tokens in order, including the delimiters of groups.
    pub(super) tokens: Vec<Token>,
}

/// A word, a literal or a punctuation character.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) text: String,
    /// From 1.
    pub(super) line: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Other,
}

impl Token {
    /// Whether it is this identifier or keyword, not a string that contains it.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }

    /// Whether it is an identifier or a keyword.
    pub(super) fn is_any_word(&self) -> bool {
        self.kind == Kind::Word
    }
}

impl Source {
    /// Reads the tokens of a file.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, String> {
        let stream: TokenStream = text
            .parse()
            .map_err(|error| format!("{name}: not Rust: {error}"))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Ok(Self {
            name: name.to_owned(),
            tokens,
        })
    }

    /// The names of the modules that it declares in files of their own.
    pub(super) fn child_modules(&self) -> impl Iterator<Item = &str> {
        self.tokens.windows(3).filter_map(|three| match three {
            [keyword, name, end] if keyword.is_word("mod") && end.text == ";" => Some(&*name.text),
            _ => None,
        })
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: String, line, kind| tokens.push(Token { text, line, kind });
        match tree {
            TokenTree::Ident(ident) => {
                let text = ident.to_string();
                push(text.trim_start_matches("r#").to_owned(), line, Kind::Word);
            }
            TokenTree::Literal(literal) => push(literal.to_string(), line, Kind::Other),
            TokenTree::Punct(punct) => push(punct.to_string(), line, Kind::Other),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                push(open.to_owned(), line, Kind::Other);
                let end = group.span_close().end().line;
                flatten(group.stream(), tokens);
                tokens.push(Token {
                    text: close.to_owned(),
                    line: end,
                    kind: Kind::Other,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_across_lines_and_not_in_strings_or_comments() {
        let text =
            "//! unsafe\nfn f() { \"unsafe\"; /* unsafe */ 'u' }\nmod\n  child\n;mod inline {}";
        let source = Source::read("a.rs", text).unwrap();
        assert!(!source.tokens.iter().any(|token| token.is_word("unsafe")));
        assert_eq!(source.child_modules().collect::<Vec<_>>(), ["child"]);
        let child = source.tokens.iter().find(|token| token.is_word("child"));
        assert_eq!(child.unwrap().line, 4);
        assert!(Source::read("a.rs", "fn f( {").is_err());
    }
}
