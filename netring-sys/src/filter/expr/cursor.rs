//! A place in the words of an expression.

use super::depth;
use super::lex::{Kind, Mistake, Token};
use super::names;

pub(super) struct Cursor<'a> {
    tokens: Vec<Token<'a>>,
    /// For each `(`, whether only a number is between it and its `)`.
    is_sum: Vec<bool>,
    place: usize,
    depth: u16,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: Vec<Token<'a>>) -> Result<Self, Mistake> {
        let is_sum = sums(&tokens)?;
        Ok(Self {
            tokens,
            is_sum,
            place: 0,
            depth: 0,
        })
    }

    pub(super) fn peek(&self) -> &Token<'a> {
        &self.tokens[self.place]
    }

    pub(super) fn at(&self) -> usize {
        self.peek().at
    }

    pub(super) fn text(&self) -> &'a str {
        self.peek().text
    }

    /// The word here; empty for anything else.
    pub(super) fn word(&self) -> &'a str {
        word(self.peek())
    }

    /// The word after this token.
    pub(super) fn word_after(&self) -> &'a str {
        self.tokens.get(self.place + 1).map_or("", word)
    }

    pub(super) fn is_end(&self) -> bool {
        self.peek().kind == Kind::End
    }

    pub(super) fn next(&mut self) {
        if !self.is_end() {
            self.place += 1;
        }
    }

    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let is_here = self.peek().kind == Kind::Symbol && self.text() == symbol;
        if is_here {
            self.next();
        }
        is_here
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), Mistake> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{symbol}`")))
        }
    }

    /// Takes `and` (true) or `or` (false).
    pub(super) fn take_joint(&mut self) -> Option<bool> {
        let is_and = match self.text() {
            "and" | "&&" => true,
            "or" | "||" => false,
            _ => return None,
        };
        self.next();
        Some(is_and)
    }

    pub(super) fn take_not(&mut self) -> bool {
        let is_not = is_not(self.peek());
        if is_not {
            self.next();
        }
        is_not
    }

    pub(super) fn number(&mut self, what: &str) -> Result<u32, Mistake> {
        let Kind::Number(number) = self.peek().kind else {
            return Err(self.expected(what));
        };
        self.next();
        Ok(number)
    }

    /// A number, also in parentheses, if one follows.
    pub(super) fn optional_number(&mut self) -> Result<Option<u32>, Mistake> {
        let open = self.tokens[self.place..]
            .iter()
            .take_while(|token| token.text == "(")
            .count();
        let Kind::Number(number) = self.tokens[self.place + open].kind else {
            return Ok(None);
        };
        self.place += open + 1;
        for _ in 0..open {
            self.expect(")")?;
        }
        Ok(Some(number))
    }

    /// Whether an address, a port or a name follows, behind any `not` and `(`.
    pub(super) fn is_at_id(&self) -> bool {
        let is_before = |token: &&Token<'_>| token.text == "(" || is_not(token);
        let before = self.tokens[self.place..]
            .iter()
            .take_while(is_before)
            .count();
        let token = &self.tokens[self.place + before];
        match token.kind {
            Kind::Number(_) => !self.is_operand(self.place + before),
            Kind::Word => !names::is_keyword(token.text),
            Kind::Escaped | Kind::Dotted { .. } | Kind::Ip6(_) | Kind::Mac(_) => true,
            Kind::Symbol | Kind::End => false,
        }
    }

    /// Whether a comparison of numbers follows.
    pub(super) fn is_at_arith(&self) -> bool {
        self.is_arith(self.place)
    }

    fn is_arith(&self, place: usize) -> bool {
        let token = &self.tokens[place];
        let after = self.tokens.get(place + 1).map_or("", |token| token.text);
        match (&token.kind, token.text) {
            (Kind::Symbol, "(") => self.is_sum[place],
            (Kind::Symbol, "-") => true,
            (Kind::Word, "len" | "length") => true,
            (Kind::Word, word) if names::find(&names::NUMBERS, word).is_some() => true,
            (Kind::Word, word) => after == "[" && names::find(&names::PROTOS, word).is_some(),
            (Kind::Number(_), _) => self.is_operand(place),
            _ => false,
        }
    }

    /// Whether an operator follows the number at this place and what closes behind it.
    fn is_operand(&self, place: usize) -> bool {
        let mut behind = self.tokens[place + 1..].iter();
        let Some(next) = behind.find(|token| token.text != ")") else {
            return false;
        };
        let is_joint = matches!(next.text, "(" | "[" | "]" | ":" | "!" | "&&" | "||");
        next.kind == Kind::Symbol && !is_joint
    }

    /// Counts a level of nesting.
    pub(super) fn deeper(&mut self) -> Result<(), Mistake> {
        self.depth += 1;
        if self.depth > depth::MOST {
            let why = format!(
                "nested more than {} levels deep (parentheses, `not`, and changes between `and` and \
                 `or`)",
                depth::MOST
            );
            return Err((self.at(), why));
        }
        Ok(())
    }

    pub(super) const fn shallower(&mut self, levels: u16) {
        self.depth -= levels;
    }

    /// The mistake that something else is here, with the nearest word for one that is unknown.
    pub(super) fn expected(&self, what: &str) -> Mistake {
        let token = self.peek();
        let mut why = match token.kind {
            Kind::End => format!("expected {what}, but the filter ends here"),
            _ => format!("expected {what}, not `{}`", token.text),
        };
        if token.kind == Kind::Word
            && !names::is_keyword(token.text)
            && let Some(nearest) = names::nearest_keyword(token.text)
        {
            why += &format!("; the nearest word is `{nearest}`");
        }
        (token.at, why)
    }
}

fn word<'a>(token: &Token<'a>) -> &'a str {
    if token.kind == Kind::Word {
        token.text
    } else {
        ""
    }
}

fn is_not(token: &Token<'_>) -> bool {
    matches!(token.text, "not" | "!")
}

/// Finds the parentheses around numbers: a sum without a comparison or a term inside.
fn sums(tokens: &[Token<'_>]) -> Result<Vec<bool>, Mistake> {
    let mut is_sum = vec![false; tokens.len()];
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut brackets = 0_usize;
    for (place, token) in tokens.iter().enumerate() {
        match token.text {
            "(" => open.push((place, true)),
            ")" => {
                let Some((begin, is_number)) = open.pop() else {
                    return Err((token.at, "there is no `(` for this `)`".into()));
                };
                // Parentheses around an address are for the caller, which knows that one follows.
                is_sum[begin] = is_number && begin + 1 < place;
                if let Some((_, outer)) = open.last_mut() {
                    *outer &= is_number;
                }
            }
            "[" => brackets += 1,
            "]" => brackets = brackets.saturating_sub(1),
            _ if brackets > 0 => {}
            text => {
                let after = tokens.get(place + 1).map_or("", |token| token.text);
                let is_number = match token.kind {
                    Kind::Number(_) => true,
                    Kind::Symbol => matches!(
                        text,
                        "+" | "-" | "*" | "/" | "%" | "&" | "|" | "^" | "<<" | ">>"
                    ),
                    Kind::Word => {
                        matches!(text, "len" | "length")
                            || names::find(&names::NUMBERS, text).is_some()
                            || (after == "[" && names::find(&names::PROTOS, text).is_some())
                    }
                    _ => false,
                };
                if let Some((_, inside)) = open.last_mut() {
                    *inside &= is_number;
                }
            }
        }
    }
    match open.last() {
        Some((place, _)) => Err((tokens[*place].at, "there is no `)` for this `(`".into())),
        None => Ok(is_sum),
    }
}
