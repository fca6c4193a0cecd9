//! How much a flowscope parser keeps of one side, as far as it shows from outside.

use flowscope::ParserKind;

/// The most that flowscope's parser of HTTP/1 keeps of a side, with its default settings.
const MOST_OF_HTTP: usize = 1 << 20;

/// Bytes before the content of a record of TLS, of which the last two are its length.
const TLS_HEADER: usize = 5;
/// Those of a message of DNS over TCP.
const DNS_HEADER: usize = 2;

/// Counts the bytes of one side that the parser has not made a message of.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    kept: usize,
    /// The part of a record's header seen so far.
    header: [u8; TLS_HEADER],
    /// The missing bytes of the record, once its header is complete.
    lacks: usize,
}

impl Backlog {
    /// The number of bytes.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Counts bytes that the parser took; `found` says whether it found a message.
    pub(super) fn took(&mut self, kind: ParserKind, bytes: &[u8], found: bool) {
        match kind {
            ParserKind::Tls | ParserKind::TlsHandshake => self.framed(bytes, TLS_HEADER),
            ParserKind::DnsTcp => self.framed(bytes, DNS_HEADER),
            _ if found => self.kept = 0,
            ParserKind::Http1 => self.kept = (self.kept + bytes.len()).min(MOST_OF_HTTP),
            _ => self.kept = self.kept.saturating_add(bytes.len()),
        }
    }

    /// The parser keeps a record until it is complete.
    fn framed(&mut self, mut bytes: &[u8], header: usize) {
        while !bytes.is_empty() {
            let missing = header.saturating_sub(self.kept);
            let part = if missing == 0 { self.lacks } else { missing };
            let (taken, rest) = bytes.split_at(part.min(bytes.len()));
            if missing != 0 {
                self.header[self.kept..][..taken.len()].copy_from_slice(taken);
            } else {
                self.lacks -= taken.len();
            }
            self.kept += taken.len();
            if self.kept == header {
                let len = [self.header[header - 2], self.header[header - 1]];
                self.lacks = u16::from_be_bytes(len).into();
            }
            if self.kept >= header && self.lacks == 0 {
                self.kept = 0;
            }
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_followed_whatever_the_pieces_are() {
        let stream = [
            &[22, 3, 1, 0, 4, 1, 2, 3, 4][..],
            &[23, 3, 3, 0, 0],
            &[23, 3, 3, 1, 0],
            &[7; 200],
        ]
        .concat();
        for size in [1, 2, 3, 5, 7, 100, 300] {
            let mut backlog = Backlog::default();
            for piece in stream.chunks(size) {
                backlog.took(ParserKind::Tls, piece, false);
            }
            assert_eq!((backlog.kept(), backlog.lacks), (205, 56), "{size}");
            backlog.took(ParserKind::Tls, &[7; 56], false);
            assert_eq!(backlog.kept(), 0);
        }
        let mut backlog = Backlog::default();
        backlog.took(ParserKind::DnsTcp, &[0, 0, 0, 2, 9, 9, 255], false);
        assert_eq!(backlog.kept(), 1);
        backlog.took(
            ParserKind::DnsTcp,
            &[&[255][..], &[0; 65_534]].concat(),
            false,
        );
        assert_eq!(backlog.kept(), 65_536);
    }

    #[test]
    fn other_parsers_keep_what_came_since_their_last_message() {
        for (kind, most) in [
            (ParserKind::Http1, 1 << 20),
            (ParserKind::Unspecified, 3 << 20),
        ] {
            let mut backlog = Backlog::default();
            for _ in 0..3 {
                backlog.took(kind, &[0; 1 << 20], false);
            }
            assert_eq!(backlog.kept(), most);
            backlog.took(kind, &[0; 10], true);
            assert_eq!(backlog.kept(), 0);
        }
    }
}
