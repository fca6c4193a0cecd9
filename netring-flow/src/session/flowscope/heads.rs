//! Which bytes of HTTP/1 its parser gets when. It rereads a header that is not complete from its
//! beginning with each call, so that a header in tiny segments would cost the square of its length.

/// Bytes of an incomplete header are passed on once they are this part of those before them: all
/// calls together read each byte at most about five times.
const PART: usize = 4;
/// The most bytes that wait: a quarter of what flowscope keeps by default.
const MOST: usize = 1 << 18;

/// The name of the header that announces a body.
const CONTENT_LENGTH: &[u8] = b"content-length:";

/// One side of a connection that carries HTTP/1.
#[derive(Clone, Debug)]
pub(super) struct Heads {
    place: Place,
    line: Line,
    /// Bytes of the header that the parser has.
    passed: usize,
    /// Those behind them, that it gets later.
    held: Vec<u8>,
}

/// Where in a message the next byte is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Head,
    /// With the number of bytes that are left, if it is known.
    Body(Option<u64>),
}

/// What was seen of a header.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The header has more than line ends, which may precede it.
    started: bool,
    /// The line has more than its end.
    has_content: bool,
    /// The bytes of the line that are those of [`CONTENT_LENGTH`]; `None` once one was not.
    same: Option<usize>,
    /// The length of the body, if it was announced.
    length: Option<u64>,
}

/// What the parser gets next.
#[derive(Debug)]
pub(super) enum Next<'a> {
    Bytes(&'a [u8]),
    /// [`Heads::held`].
    Held,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            place: Place::Head,
            line: Line::new(),
            passed: 0,
            held: Vec::new(),
        }
    }
}

impl Heads {
    /// What the parser gets of some bytes; they become those that are left. Call
    /// [`passed`](Self::passed) before the next one. `None` if there are none, or if they have to
    /// wait.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Next<'a>> {
        if bytes.is_empty() {
            return None;
        }
        if let Place::Body(left) = &mut self.place {
            let most = left.map_or(bytes.len(), |left| to_usize(left).min(bytes.len()));
            let (part, rest) = bytes.split_at(most);
            *bytes = rest;
            *left = left
                .map(|left| left - most as u64)
                .filter(|&left| left != 0);
            return Some(Next::Bytes(part));
        }
        let end = self.line.end_of_head(bytes);
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        *bytes = rest;
        if end.is_some() {
            self.place = Place::Body(self.line.length.filter(|&length| length != 0));
        }
        let enough = (self.passed / PART).min(MOST);
        if end.is_none() && self.held.len() + part.len() < enough {
            self.held.extend_from_slice(part);
            return None;
        }
        self.passed += self.held.len() + part.len();
        if self.held.is_empty() {
            return Some(Next::Bytes(part));
        }
        self.held.extend_from_slice(part);
        Some(Next::Held)
    }

    /// The parser has got them; `found` says whether it found a message, behind which the next
    /// header starts.
    pub(super) fn passed(&mut self, found: bool) {
        if found {
            *self = Self::default();
        } else {
            // Its memory would not count while it is empty.
            self.held = Vec::new();
        }
    }

    /// The bytes that the parser has yet to get.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }
}

impl Line {
    const fn new() -> Self {
        Self {
            started: false,
            has_content: false,
            same: Some(0),
            length: None,
        }
    }

    /// Reads bytes of a header; returns the number of those up to its end, if it has one.
    fn end_of_head(&mut self, bytes: &[u8]) -> Option<usize> {
        let is_end = |&byte: &u8| {
            if byte != b'\n' {
                self.read(byte);
                return false;
            }
            if self.started && !self.has_content {
                return true;
            }
            (self.has_content, self.same) = (false, Some(0));
            false
        };
        bytes.iter().position(is_end).map(|at| at + 1)
    }

    fn read(&mut self, byte: u8) {
        if byte == b'\r' {
            return;
        }
        (self.started, self.has_content) = (true, true);
        let Some(same) = self.same else {
            return;
        };
        if same < CONTENT_LENGTH.len() {
            let is_same = byte.eq_ignore_ascii_case(&CONTENT_LENGTH[same]);
            self.same = is_same.then_some(same + 1);
            if self.same == Some(CONTENT_LENGTH.len()) {
                self.length = None;
            }
        } else if byte.is_ascii_digit() {
            let length = self.length.unwrap_or(0).saturating_mul(10);
            self.length = Some(length.saturating_add((byte - b'0').into()));
        } else if byte != b' ' && byte != b'\t' {
            (self.same, self.length) = (None, None);
        }
    }
}

fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
