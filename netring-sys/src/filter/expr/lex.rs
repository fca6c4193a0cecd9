//! The words of an expression.

use std::net::Ipv6Addr;

/// A word and where it begins, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters: a keyword or a name.
    Word,
    /// A name behind a backslash, which is never a keyword.
    Escaped,
    Number(u32),
    /// Two to four numbers between dots: how many bits there are, and these bits at the top.
    Dotted {
        bits: u32,
        value: u32,
    },
    Ip6(u128),
    Mac([u8; 6]),
    Symbol,
    End,
}

/// The place of a mistake and what it is.
pub(super) type Mistake = (usize, String);

const SYMBOLS: [&str; 24] = [
    "&&", "||", "==", "!=", ">=", "<=", "<<", ">>", "!", "=", "<", ">", "(", ")", "[", "]", ":",
    "/", "+", "-", "*", "%", "&", "|",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Mistake> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, len) = token(text, at)?;
        let token = Token {
            at,
            text: &text[at..at + len],
            kind,
        };
        tokens.push(token);
        at += len;
    }
    tokens.push(Token {
        at: text.len(),
        text: "",
        kind: Kind::End,
    });
    Ok(tokens)
}

fn token(text: &str, at: usize) -> Result<(Kind, usize), Mistake> {
    let rest = &text[at..];
    if let Some(found) = address(rest) {
        return Ok(found);
    }
    if let Some(name) = rest.strip_prefix('\\') {
        let len = word_len(name);
        if len == 0 {
            return Err((at, "expected a name after the backslash".into()));
        }
        return Ok((Kind::Escaped, len + 1));
    }
    let len = word_len(rest);
    if len > 0 {
        return Ok((word(at, &rest[..len])?, len));
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Ok((Kind::Symbol, symbol.len()));
    }
    if rest.starts_with('^') {
        return Ok((Kind::Symbol, 1));
    }
    let first = rest.chars().next().unwrap_or(' ');
    Err((at, format!("{first:?} has no meaning in a filter")))
}

/// A name has dots and hyphens inside, but does not end with a hyphen.
fn word_len(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return 0;
    }
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let len = text.find(|c| !inside(c)).unwrap_or(text.len());
    text[..len].trim_end_matches(['-', '_']).len()
}

fn word(at: usize, text: &str) -> Result<Kind, Mistake> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with("0x") {
        return match number(text) {
            Some(number) => Ok(Kind::Number(number)),
            None => Err((
                at,
                format!("{text:?} is not a number of 32 bits (decimal, 0x… or octal 0…)"),
            )),
        };
    }
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return dotted(text).ok_or_else(|| {
            let why = format!(
                "{text:?} is not an address: expected up to four numbers from 0 to 255 with dots \
                 between them"
            );
            (at, why)
        });
    }
    Ok(Kind::Word)
}

fn number(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok();
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}

fn dotted(text: &str) -> Option<Kind> {
    let (mut value, mut bits) = (0_u32, 0);
    for part in text.split('.') {
        let part: u8 = part.parse().ok()?;
        bits += 8;
        value |= u32::from(part).checked_shl(32_u32.checked_sub(bits)?)?;
    }
    Some(Kind::Dotted { bits, value })
}

/// An address with colons or the hyphens of a link-layer address, if the text begins with one.
fn address(text: &str) -> Option<(Kind, usize)> {
    let part = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '-');
    let len = text.find(|c| !part(c)).unwrap_or(text.len());
    if text[len..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let run = &text[..len];
    if let Some(mac) = mac(run) {
        return Some((Kind::Mac(mac), len));
    }
    if !run.contains(':') {
        return None;
    }
    let address: Ipv6Addr = run.parse().ok()?;
    Some((Kind::Ip6(address.to_bits()), len))
}

/// `1:2:3:4:5:6` with colons, hyphens or dots, `0102.0304.0506`, or twelve digits.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    for separator in [':', '-', '.'] {
        if text.split(separator).count() == 6 {
            for (byte, part) in mac.iter_mut().zip(text.split(separator)) {
                *byte = u8::from_str_radix(part, 16)
                    .ok()
                    .filter(|_| part.len() <= 2)?;
            }
            return Some(mac);
        }
    }
    let is_quads = text.split('.').count() == 3 && text.split('.').all(|part| part.len() == 4);
    let is_letters = text.len() == 12 && text.bytes().any(|byte| !byte.is_ascii_digit());
    let digits = match text {
        _ if is_quads => text.replace('.', ""),
        _ if is_letters => text.to_owned(),
        _ => return None,
    };
    for (n, byte) in mac.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(mac)
}
