//! What happened in a flow, in order.

use std::fmt;

use crate::extract::Orientation;

/// What happened in a TCP flow, each event once per side, in the order of first occurrence: a
/// string in the manner of Zeek.
///
/// Upper case: the initiator did it; lower case: the responder. `S` SYN without ACK, `H` SYN with
/// ACK, `A` ACK without data, `D` data, `F` FIN, `R` RST, `T` a retransmission (of data, SYN or
/// FIN; not a segment that is merely out of order), `I` mutually exclusive flags. A FIN or RST
/// outside the receiver's window is left out. A leading `^` means that the initiator was recognized
/// later than the first packet: a SYN-ACK came first, or segments of the connection overtook its
/// SYN. Empty for other protocols.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct History {
    order: u64,
    seen: Seen,
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
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        if self.flipped {
            f.write_char('^')?;
        }
        for place in 0..u16::from_le_bytes(self.seen).count_ones() {
            let symbol = (self.order >> (4 * place)) & 0xf;
            let by_responder = (symbol >> 3 == 1) != self.reverse;
            let letter = b"SHADFRTI"[(symbol & 7) as usize];
            let letter = if by_responder {
                letter.to_ascii_lowercase()
            } else {
                letter
            };
            f.write_char(letter.into())?;
        }
        Ok(())
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
}
