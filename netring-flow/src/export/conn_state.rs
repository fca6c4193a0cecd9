//! How a connection began and ended, as one of Zeek's states.

use std::fmt;
use std::str::FromStr;

use netring_sys::ParseError;

use super::Letters;
use crate::extract::TcpSegment;

/// How a connection began and ended: the `conn_state` of Zeek's conn.log.
///
/// UDP flows are [`Sf`](Self::Sf) if both ends sent, [`S0`](Self::S0) if only the initiator did;
/// flows of other protocols are [`Oth`](Self::Oth).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "&'static str", try_from = "String")
)]
pub enum ConnState {
    /// An attempt without a reply.
    S0,
    /// Established, and not closed.
    S1,
    /// Established and closed normally.
    Sf,
    /// An attempt that was rejected.
    Rej,
    /// Established; the initiator sent FIN and the responder did not.
    S2,
    /// Established; the responder sent FIN and the initiator did not.
    S3,
    /// Established; the initiator sent RST.
    Rsto,
    /// The responder sent RST.
    Rstr,
    /// The initiator sent a SYN and then a RST, and no SYN-ACK was seen.
    Rstos0,
    /// The responder sent a SYN-ACK and then a RST, and no SYN was seen.
    Rstrh,
    /// The initiator sent a SYN and then a FIN, and no SYN-ACK was seen.
    Sh,
    /// The responder sent a SYN-ACK and then a FIN, and no SYN was seen.
    Shr,
    /// Anything else, such as traffic in the middle of a connection.
    Oth,
}

impl ConnState {
    /// All states.
    const ALL: [Self; 13] = [
        Self::S0,
        Self::S1,
        Self::Sf,
        Self::Rej,
        Self::S2,
        Self::S3,
        Self::Rsto,
        Self::Rstr,
        Self::Rstos0,
        Self::Rstrh,
        Self::Sh,
        Self::Shr,
        Self::Oth,
    ];

    /// The name in Zeek's logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }

    /// The state of a flow that is not TCP.
    pub(super) const fn of_datagrams(is_udp: bool, sent: [bool; 2]) -> Self {
        match sent {
            _ if !is_udp => Self::Oth,
            [true, true] => Self::Sf,
            [true, false] => Self::S0,
            [false, true] => Self::Shr,
            [false, false] => Self::Oth,
        }
    }
}

impl fmt::Display for ConnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Parses the name of a state: [`ConnState::as_str`].
impl FromStr for ConnState {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.as_str() == text)
            .ok_or_else(|| ParseError::new(text, "connection state", "SF"))
    }
}

impl From<ConnState> for &'static str {
    fn from(state: ConnState) -> Self {
        state.as_str()
    }
}

impl TryFrom<String> for ConnState {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

/// The state of one end of a connection, in Zeek's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Inactive,
    SynSent,
    SynAckSent,
    /// It sent, but no SYN was seen.
    Partial,
    Established,
    Closed,
    Reset,
}

/// The initiator's end of [`Ends`].
pub(super) const INITIATOR: usize = 0;
/// The responder's.
pub(super) const RESPONDER: usize = 1;

/// Both ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    now: [End; 2],
    before: [End; 2],
    /// Whether it sent a FIN or RST that counts as its close.
    closed: [bool; 2],
}

impl Ends {
    pub(super) const NEW: Self = Self {
        now: [End::Inactive; 2],
        before: [End::Inactive; 2],
        closed: [false; 2],
    };

    /// The same with the roles exchanged.
    pub(super) const fn flipped(self) -> Self {
        let Self {
            now: [a, b],
            before: [c, d],
            closed: [e, f],
        } = self;
        Self {
            now: [b, a],
            before: [d, c],
            closed: [f, e],
        }
    }

    /// Takes in a segment of this end.
    pub(super) fn segment(&mut self, of: usize, flags: u8, has_data: bool) {
        let has = |flag: u8| flags & flag != 0;
        let [syn, fin, rst, ack] = [
            has(TcpSegment::SYN),
            has(TcpSegment::FIN),
            has(TcpSegment::RST),
            has(TcpSegment::ACK),
        ];
        let peer = self.now[1 - of];
        match self.now[of] {
            End::Inactive => {
                if syn {
                    self.first_syn(of, ack);
                }
                self.closes(of, fin, rst);
                if self.now[of] == End::Inactive {
                    self.first_without_syn(of, ack, has_data);
                }
            }
            End::SynSent | End::SynAckSent => self.closes(of, fin, rst),
            End::Established | End::Partial => {
                if syn && !ack && self.now[of] == End::Partial && peer == End::Inactive {
                    self.set(of, End::SynSent);
                }
                if fin && !rst && peer == End::Reset && self.before[1 - of] == End::Closed {
                    // Its peer's RST came after a FIN, and this answers the FIN: a normal end.
                    self.set(1 - of, End::Closed);
                }
                self.closes(of, fin && !rst, rst);
            }
            End::Closed if rst && peer != End::Closed => self.closes(of, false, true),
            End::Closed | End::Reset => {}
        }
    }

    fn first_syn(&mut self, of: usize, ack: bool) {
        if of == INITIATOR {
            self.set(of, if ack { End::SynAckSent } else { End::SynSent });
        } else {
            if matches!(self.now[INITIATOR], End::SynSent | End::SynAckSent) {
                self.set(INITIATOR, End::Established);
            }
            self.set(of, End::Established);
        }
    }

    fn first_without_syn(&mut self, of: usize, ack: bool, has_data: bool) {
        if of == RESPONDER && !has_data && self.now[INITIATOR] == End::SynSent {
            // Some systems acknowledge a SYN before they answer it.
        } else if ack && self.now[1 - of] == End::Established {
            self.set(of, End::Established);
        } else {
            self.set(of, End::Partial);
        }
    }

    fn closes(&mut self, of: usize, fin: bool, rst: bool) {
        if fin {
            self.set(of, End::Closed);
        }
        if rst {
            self.set(of, End::Reset);
        }
        self.closed[of] |= fin | rst;
    }

    fn set(&mut self, of: usize, state: End) {
        if self.now[of] != state {
            self.before[of] = self.now[of];
            self.now[of] = state;
        }
    }

    /// Whether both ends have closed; later packets do not count for the duration.
    pub(super) const fn are_closed(&self) -> bool {
        self.closed[0] && self.closed[1]
    }

    /// Whether this end has sent FIN.
    pub(super) fn is_closed(&self, of: usize) -> bool {
        self.now[of] == End::Closed
    }

    pub(super) fn is_reset(&self, of: usize) -> bool {
        self.now[of] == End::Reset
    }

    /// Whether this end only refused: it sent a RST after a SYN, and its peer sent nothing.
    pub(super) fn is_aborted_attempt(&self, of: usize) -> bool {
        self.is_reset(of) && self.before[of] == End::SynSent && self.now[1 - of] == End::Inactive
    }

    /// Whether both ends are established or closed with FIN, so that sequence numbers can be
    /// trusted to find gaps.
    pub(super) fn are_clean(&self) -> bool {
        let is_clean = |of: usize| match self.now[of] {
            End::Established => true,
            End::Closed => self.before[of] == End::Established,
            _ => false,
        };
        is_clean(INITIATOR) && is_clean(RESPONDER)
    }

    /// The state of the connection. `silent` says that neither end sent data.
    pub(super) fn state(&self, silent: bool, letters: &Letters) -> ConnState {
        let [initiator, responder] = self.now;
        let is_inactive = |end: End| matches!(end, End::Inactive | End::Partial);
        match (initiator, responder) {
            (End::SynSent | End::SynAckSent, End::Reset) => ConnState::Rej,
            (End::Reset, End::Reset) if silent => ConnState::Rej,
            (_, End::Reset) if is_inactive(initiator) => ConnState::Rstrh,
            (_, End::Reset) => ConnState::Rstr,
            (End::Reset, _) if !is_inactive(responder) => ConnState::Rsto,
            (End::Reset, _) if is_attempt_then_reset(letters) => ConnState::Rstos0,
            (End::Reset, _) => ConnState::Oth,
            (End::Closed, End::Closed) => ConnState::Sf,
            (End::Closed, _) if is_inactive(responder) => ConnState::Sh,
            (End::Closed, _) => ConnState::S2,
            (_, End::Closed) if is_inactive(initiator) => ConnState::Shr,
            (_, End::Closed) => ConnState::S3,
            (End::SynSent, End::Inactive) => ConnState::S0,
            (End::Established, End::Established) => ConnState::S1,
            _ => ConnState::Oth,
        }
    }
}

/// Whether the initiator sent a SYN, and nothing else of significance before its RST.
fn is_attempt_then_reset(letters: &Letters) -> bool {
    let text = letters.as_bytes();
    let text = text.strip_prefix(b"^").unwrap_or(text);
    let Some(rest) = text.strip_prefix(b"S") else {
        return false;
    };
    let before = rest.iter().take_while(|letter| **letter != b'R');
    rest.contains(&b'R') && before.into_iter().all(|letter| !b"HAFGIQ".contains(letter))
}

/// The state that these letters lead to, in the order in which each happened first.
pub(super) fn replayed(letters: &Letters, silent: bool) -> ConnState {
    let mut ends = Ends::NEW;
    for letter in letters.as_bytes() {
        let of = usize::from(letter.is_ascii_lowercase());
        let (flags, has_data) = match letter.to_ascii_uppercase() {
            b'S' => (TcpSegment::SYN, false),
            b'H' => (TcpSegment::SYN | TcpSegment::ACK, false),
            b'A' => (TcpSegment::ACK, false),
            b'D' => (TcpSegment::ACK, true),
            b'F' => (TcpSegment::FIN | TcpSegment::ACK, false),
            b'R' => (TcpSegment::RST, false),
            _ => continue,
        };
        ends.segment(of, flags, has_data);
    }
    ends.state(silent, letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_displayed() {
        for state in ConnState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert!("sf".parse::<ConnState>().is_err());
    }

    /// Each row is a history and the state that Zeek's documentation gives such a connection.
    #[test]
    fn each_state_has_its_history() {
        for (history, silent, state) in [
            ("S", true, "S0"),
            ("ShA", true, "S1"),
            ("ShADd", false, "S1"),
            ("ShADdFf", false, "SF"),
            ("ShADdfF", false, "SF"),
            ("^hADdFaf", false, "SF"),
            ("Sr", true, "REJ"),
            ("ShADdF", false, "S2"),
            ("ShADdf", false, "S3"),
            ("ShADdR", false, "RSTO"),
            ("ShADdr", false, "RSTR"),
            ("SR", true, "RSTOS0"),
            ("^SR", true, "RSTOS0"),
            ("^hr", true, "RSTRH"),
            ("SF", true, "SH"),
            ("SAF", true, "SH"),
            ("^hf", true, "SHR"),
            ("Dd", false, "OTH"),
            ("A", true, "OTH"),
            ("R", true, "OTH"),
            ("ShADFrR", false, "RSTR"),
            // A FIN and then a RST, answered by the FIN of the other end.
            ("ShADFRf", false, "SF"),
            ("", true, "OTH"),
        ] {
            let letters: Letters = history.parse().unwrap();
            assert_eq!(replayed(&letters, silent).as_str(), state, "{history}");
        }
    }

    #[test]
    fn datagrams_have_states_by_who_sent() {
        let state = |udp, sent| ConnState::of_datagrams(udp, sent).as_str();
        assert_eq!(state(true, [true, true]), "SF");
        assert_eq!(state(true, [true, false]), "S0");
        assert_eq!(state(true, [false, true]), "SHR");
        assert_eq!(state(false, [true, true]), "OTH");
    }
}
