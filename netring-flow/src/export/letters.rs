//! The history of a flow as text of bounded length.

use std::fmt;
use std::str::FromStr;

use netring_sys::ParseError;

use crate::History;
use crate::extract::Orientation;

/// Letters that fit.
const ROOM: usize = 46;

/// What happened in a flow, as Zeek's letters in order; upper case for the initiator, lower case
/// for the responder.
///
/// `s` SYN, `h` SYN with ACK, `a` ACK without data, `d` data, `f` FIN, `r` RST, `t` a
/// retransmission, `g` a gap, `w` a zero window, `i` FIN with RST, `q` SYN with FIN or RST. A
/// leading `^` means that the initiator was recognized later than the first packet.
///
/// A [`FlowRecorder`](super::FlowRecorder) repeats `s`, `h`, `f` and `r` if the sequence number
/// differs from the last one of the same kind, and `g`, `t` and `w` at the 1st, 10th, 100th …
/// occurrence, as Zeek does. From an event alone, each letter occurs once per side. At most 46
/// letters are kept; if more happened, the last one is `x`. Zeek's `c` does not occur: checksums
/// are not verified.
///
/// Its text has only ASCII letters and `^`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "String", try_from = "String")
)]
pub struct Letters {
    bytes: [u8; ROOM + 1],
    len: u8,
}

impl Letters {
    /// No letters.
    pub const EMPTY: Self = Self {
        bytes: [0; ROOM + 1],
        len: 0,
    };

    /// Appends an ASCII letter; if there is no room, `x` once.
    pub(super) fn push(&mut self, letter: u8) {
        let len = usize::from(self.len);
        if len < ROOM {
            self.bytes[len] = letter;
            self.len += 1;
        } else if len == ROOM {
            self.bytes[len] = b'x';
            self.len += 1;
        }
    }

    /// Letters whose upper case is the key's first end, by role.
    pub(super) fn by_role(&self, initiator: Orientation, flipped: bool) -> Self {
        let mut by_role = Self::EMPTY;
        if flipped {
            by_role.push(b'^');
        }
        for letter in self.as_bytes() {
            // The case is one bit. `x` belongs to neither end.
            by_role.push(match initiator {
                Orientation::Reverse if *letter != b'x' => *letter ^ 0x20,
                _ => *letter,
            });
        }
        by_role
    }

    /// The letters as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether there are no letters, as for protocols other than TCP and UDP.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for Letters {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl From<History> for Letters {
    fn from(history: History) -> Self {
        let mut letters = Self::EMPTY;
        history.letters().for_each(|letter| letters.push(letter));
        letters
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letters({self})")
    }
}

/// Parses the displayed form of letters.
impl FromStr for Letters {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let is_valid = |byte: u8| byte == b'^' || byte.is_ascii_alphabetic();
        if text.len() > ROOM + 1 || !text.bytes().all(is_valid) {
            return Err(ParseError::new(text, "history", "ShADdFf"));
        }
        let mut letters = Self::EMPTY;
        letters.bytes[..text.len()].copy_from_slice(text.as_bytes());
        letters.len = text.len() as u8;
        Ok(letters)
    }
}

impl From<Letters> for String {
    fn from(letters: Letters) -> Self {
        letters.as_str().into()
    }
}

impl TryFrom<String> for Letters {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_they_are_displayed() {
        for text in ["", "^hSaD", "ShADdFfRr"] {
            let letters: Letters = text.parse().unwrap();
            assert_eq!(letters.to_string(), text);
        }
        for text in ["S\n", "S\t", "-", "\"", "S#", &"S".repeat(48)] {
            assert!(text.parse::<Letters>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_history_without_room_ends_with_x() {
        let mut letters = Letters::EMPTY;
        (0..100).for_each(|_| letters.push(b'R'));
        assert_eq!(letters.as_str(), format!("{}x", "R".repeat(46)));
        assert_eq!(letters.to_string().parse(), Ok(letters));
        let swapped = letters.by_role(Orientation::Reverse, false);
        assert_eq!(swapped.as_str(), format!("{}x", "r".repeat(46)));
        let flipped = letters.by_role(Orientation::Forward, true);
        assert_eq!(flipped.as_str(), format!("^{}x", "R".repeat(45)));
    }

    #[test]
    fn a_history_is_its_letters() {
        let history: History = "^hSaDT".parse().unwrap();
        assert_eq!(Letters::from(history).as_str(), "^hSaDT");
    }
}
