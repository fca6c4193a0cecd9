//! What happened in a flow, in order.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use netring_sys::ParseError;

use crate::extract::Orientation;

/// What happened in a TCP flow, each event once per side, in the order of first occurrence: a
/// string in Zeek's style.
///
/// Upper case: the initiator did it; lower case: the responder. `S` SYN without ACK, `H` SYN with
/// ACK, `A` ACK without data, `D` data, `F` FIN, `R` RST, `T` a retransmission (of data, SYN or
/// FIN; not a segment that is merely out of order), `I` mutually exclusive flags. A FIN or RST
/// outside the receiver's window is left out. A leading `^` means that the initiator was recognized
/// later than the first packet: a SYN-ACK came first, or segments of the connection overtook its
/// SYN. Empty for other protocols.
///
/// It parses from its own text:
///
/// ```
/// use netring_flow::History;
///
/// let history: History = "ShADdFf".parse()?;
/// assert_eq!(history.to_string(), "ShADdFf");
/// # Ok::<(), netring_sys::ParseError>(())
/// ```
#[derive(Clone, Copy, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "String", try_from = "String")
)]
pub struct History {
    /// Symbols of four bits, the first in the lowest: a letter, and 8 for the second orientation.
    order: u64,
    seen: Seen,
    /// The initiator is the second orientation. Roles are derived only when a history is read:
    /// every flow has one, and few are read.
    reverse: bool,
    flipped: bool,
}

/// The letters. With the orientation as the fourth bit they are 16 symbols, each occurring at most
/// once, so 64 bits hold any order.
#[derive(Clone, Copy)]
pub(crate) enum Letter {
    Syn,
    SynAck,
    Ack,
    Data,
    Fin,
    Rst,
    Retransmission,
    Inconsistent,
}

/// The letters seen in each orientation, as bits.
pub(crate) type Seen = [u8; 2];

/// The bit of a letter.
#[inline]
pub(crate) const fn bit(letter: Letter) -> u8 {
    1 << letter as u8
}

/// Adds a letter if it was not seen yet.
#[inline]
pub(crate) fn push(order: &mut u64, seen: &mut Seen, letter: Letter, orientation: Orientation) {
    let before = u16::from_le_bytes(*seen).count_ones();
    let of_end = &mut seen[orientation as usize];
    if *of_end & bit(letter) == 0 {
        let symbol = letter as u64 | ((orientation as u64) << 3);
        *order |= symbol << (4 * before);
        *of_end |= bit(letter);
    }
}

/// The letters by their number.
const LETTERS: &[u8; 8] = b"SHADFRTI";
const ALL: [Letter; 8] = [
    Letter::Syn,
    Letter::SynAck,
    Letter::Ack,
    Letter::Data,
    Letter::Fin,
    Letter::Rst,
    Letter::Retransmission,
    Letter::Inconsistent,
];
/// In a symbol: the second orientation, or the responder.
const SECOND: u64 = 8;

impl History {
    pub(crate) const fn new(order: u64, seen: Seen, initiator: Orientation, flipped: bool) -> Self {
        Self {
            order,
            seen,
            reverse: matches!(initiator, Orientation::Reverse),
            flipped,
        }
    }

    /// Whether it is empty: the flow is not TCP, or no TCP header was captured.
    pub const fn is_empty(&self) -> bool {
        matches!(self.seen, [0, 0])
    }

    /// Whether the initiator was recognized later than the first packet.
    pub(crate) const fn is_flipped(&self) -> bool {
        self.flipped
    }

    /// The symbols by role, in order.
    fn symbols(&self) -> impl Iterator<Item = u64> {
        let Self { order, reverse, .. } = *self;
        let role = if reverse { SECOND } else { 0 };
        let count = u16::from_le_bytes(self.seen).count_ones();
        (0..count).map(move |place| (order >> (4 * place)) & 0xf ^ role)
    }

    /// The text.
    pub(crate) fn letters(&self) -> impl Iterator<Item = u8> {
        let letters = self.symbols().map(|symbol| {
            let letter = LETTERS[(symbol & 7) as usize];
            if symbol & SECOND == 0 {
                letter
            } else {
                letter.to_ascii_lowercase()
            }
        });
        self.flipped.then_some(b'^').into_iter().chain(letters)
    }
}

/// Histories are equal if they read the same, whichever end of the key was the initiator.
impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        self.flipped == other.flipped && self.symbols().eq(other.symbols())
    }
}

impl Eq for History {}

impl Hash for History {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.flipped.hash(state);
        self.symbols().for_each(|symbol| symbol.hash(state));
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.letters()
            .try_for_each(|letter| f.write_char(letter.into()))
    }
}

/// Parses the displayed form of a history.
impl FromStr for History {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError::new(text, "history", "ShADdFf"))
    }
}

/// `None` also if a letter occurs twice.
fn parse(text: &str) -> Option<History> {
    let (letters, flipped) = match text.strip_prefix('^') {
        Some(letters) => (letters, true),
        None => (text, false),
    };
    let mut history = History {
        flipped,
        ..History::default()
    };
    for byte in letters.bytes() {
        let letter = ALL
            .into_iter()
            .find(|letter| LETTERS[*letter as usize] == byte.to_ascii_uppercase())?;
        let from = if byte.is_ascii_lowercase() {
            Orientation::Reverse
        } else {
            Orientation::Forward
        };
        if history.seen[from as usize] & bit(letter) != 0 {
            return None;
        }
        push(&mut history.order, &mut history.seen, letter, from);
    }
    Some(history)
}

impl From<History> for String {
    fn from(history: History) -> Self {
        history.to_string()
    }
}

impl TryFrom<String> for History {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Orientation::{Forward, Reverse};

    #[test]
    fn each_letter_is_reported_once_per_side_and_by_role() {
        let (mut order, mut seen) = (0, [0, 0]);
        let happened = [
            (Letter::Syn, Reverse),
            (Letter::SynAck, Forward),
            (Letter::Ack, Reverse),
            (Letter::Data, Reverse),
            (Letter::Ack, Reverse),
            (Letter::Data, Forward),
        ];
        for (letter, orientation) in happened {
            push(&mut order, &mut seen, letter, orientation);
        }
        assert_eq!(
            History::new(order, seen, Reverse, false).to_string(),
            "ShADd"
        );
        assert_eq!(
            History::new(order, seen, Forward, true).to_string(),
            "^sHadD"
        );
    }

    #[test]
    fn all_sixteen_fit() {
        use Letter::{Ack, Data, Fin, Inconsistent, Retransmission, Rst, Syn, SynAck};
        let (mut order, mut seen) = (0, [0, 0]);
        for letter in [
            Inconsistent,
            Retransmission,
            Rst,
            Fin,
            Data,
            Ack,
            SynAck,
            Syn,
        ] {
            push(&mut order, &mut seen, letter, Reverse);
            push(&mut order, &mut seen, letter, Forward);
        }
        assert_eq!(
            History::new(order, seen, Forward, false).to_string(),
            "iItTrRfFdDaAhHsS"
        );
    }

    #[test]
    fn it_is_read_as_it_is_displayed_and_equal_by_role() {
        for text in ["", "^", "S", "Sr", "^hSad", "ShADdFf", "iItTrRfFdDaAhHsS"] {
            let history: History = text.parse().unwrap();
            assert_eq!(history.to_string(), text);
        }
        let (mut order, mut seen) = (0, [0, 0]);
        push(&mut order, &mut seen, Letter::Syn, Reverse);
        push(&mut order, &mut seen, Letter::Rst, Forward);
        assert_eq!("Sr".parse(), Ok(History::new(order, seen, Reverse, false)));
        for text in ["SS", "X", "S^", "S h", "é"] {
            assert!(text.parse::<History>().is_err(), "{text}");
        }
    }
}
