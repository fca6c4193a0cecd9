//! Why a stream may differ from tshark's: each reason with the condition on the two streams.

use std::fmt::Write as _;

use super::arrivals::{Part, miss, push};
use super::observe::{Stream, printed};
use super::places::{AT_END, CUT, DISCARDED};
use super::{oracle, places};

/// Differences that have a reason of their own: capture, sending end, receiving end, reason.
const LISTED: &str = include_str!("deviations.tsv");

const KEEP_ALIVE: &str = "tshark takes the number of a keep-alive for a missing byte";
const SYNS: &str = "tshark takes the number of another SYN than the one that was acknowledged";
const UNDIVIDED: &str = "tshark saw no SYN of a second connection, and takes it for the first";

/// The reason why the streams from one end to another differ from tshark's, if there is one.
pub(super) fn explain(
    capture: &str,
    ends: &(String, String),
    ours: &Stream,
    theirs: &[Vec<u8>],
) -> Option<&'static str> {
    let whole = Shown {
        parts: &ours.parts,
        discarded: &ours.discarded,
    };
    known(ours, &whole, &theirs.concat())
        .or_else(|| each(ours, theirs))
        .or_else(|| listed(capture, ends))
}

/// The reason for the first connection that differs, if there is one for each.
fn each(ours: &Stream, theirs: &[Vec<u8>]) -> Option<&'static str> {
    let mut connections: Vec<_> = ours.connections.iter().collect();
    let mut theirs: Vec<_> = theirs.iter().collect();
    if connections.len() != theirs.len() {
        connections.retain(|connection| !connection.parts.is_empty());
        theirs.retain(|bytes| !bytes.is_empty());
    }
    if let ([first, _, ..], [all]) = (&connections[..], &theirs[..])
        && all.starts_with(&printed(&first.parts))
    {
        return Some(UNDIVIDED);
    }
    if connections.len() != theirs.len() {
        return None;
    }
    let mut found = None;
    for (connection, theirs) in connections.into_iter().zip(theirs) {
        if printed(&connection.parts) != *theirs {
            let shown = Shown {
                parts: &connection.parts,
                discarded: &connection.discarded,
            };
            let reason = known(ours, &shown, theirs)
                .or_else(|| places::explain(connection, &parts(theirs)))?;
            found.get_or_insert(reason);
        }
    }
    found
}

/// What the reassembler delivered, and what it discarded.
struct Shown<'a> {
    parts: &'a [Part],
    discarded: &'a [u8],
}

/// The reason by what was reported about the stream.
fn known(stream: &Stream, ours: &Shown<'_>, theirs: &[u8]) -> Option<&'static str> {
    let parts = ours.parts;
    let is_gap = |part: &Part| matches!(part, Part::Missing(_));
    let ends_before = |theirs: &[u8]| {
        let mut places = 0..parts.len();
        places.any(|at| is_gap(&parts[at]) && printed(&parts[..at]) == theirs)
    };
    let bytes: Vec<_> = parts.iter().filter(|part| !is_gap(part)).cloned().collect();
    if ends_before(theirs) {
        Some(AT_END)
    } else if !ours.discarded.is_empty() && [&printed(parts)[..], ours.discarded].concat() == theirs
    {
        Some(DISCARDED)
    } else if stream.cut && printed(&bytes) == without_notes(theirs) {
        Some(CUT)
    } else if stream.mid_stream
        && let Some(theirs) = theirs.strip_prefix(&oracle::missing(1)[..])
        && (printed(parts) == theirs || ends_before(theirs))
    {
        Some(KEEP_ALIVE)
    } else if stream.several_syns && theirs.is_empty() {
        Some(SYNS)
    } else {
        None
    }
}

/// The reason that is listed for a stream.
fn listed(capture: &str, ends: &(String, String)) -> Option<&'static str> {
    LISTED.lines().find_map(|line| {
        let mut fields = line.split('\t');
        let named = [capture, &ends.0, &ends.1].map(|name| fields.next() == Some(name));
        fields.next().filter(|_| named == [true; 3])
    })
}

/// What tshark printed, without its notes about missing bytes.
fn without_notes(theirs: &[u8]) -> Vec<u8> {
    let is_bytes = |part: &Part| matches!(part, Part::Bytes(_));
    let parts: Vec<_> = parts(theirs).into_iter().filter(is_bytes).collect();
    printed(&parts)
}

/// What tshark printed, its notes about missing bytes apart from the bytes.
fn parts(theirs: &[u8]) -> Vec<Part> {
    const NOTE: &[u8] = b" bytes missing in capture file]\0";
    let mut parts = Vec::new();
    let mut rest = theirs;
    while let Some(at) = rest.windows(NOTE.len()).position(|part| part == NOTE) {
        let start = rest[..at].iter().rposition(|byte| *byte == b'[');
        let start = start.unwrap_or(at);
        if start != 0 {
            push(&mut parts, &rest[..start]);
        }
        let number = rest.get(start + 1..at).unwrap_or_default();
        let number = std::str::from_utf8(number).ok();
        miss(
            &mut parts,
            number.and_then(|it| it.parse().ok()).unwrap_or(0),
        );
        rest = &rest[at + NOTE.len()..];
    }
    if !rest.is_empty() {
        push(&mut parts, rest);
    }
    parts
}

/// Where two streams differ first.
pub(super) fn different(ours: &[u8], theirs: &[u8]) -> String {
    let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let (our_len, their_len) = (ours.len(), theirs.len());
    let mut text = format!("{our_len} bytes, tshark has {their_len}; from {at} on");
    for (name, bytes) in [("", ours), (", tshark has", theirs)] {
        let rest = &bytes[at..];
        let shown = rest[..rest.len().min(40)].escape_ascii();
        // Writing to a string cannot fail.
        let _ = write!(text, "{name} \"{shown}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(parts: &[Part]) -> Stream {
        Stream {
            parts: parts.to_vec(),
            ..Stream::default()
        }
    }

    fn reason(ours: &Stream, theirs: &[u8]) -> Option<&'static str> {
        let ends = ("192.0.2.1:1".to_owned(), "192.0.2.2:2".to_owned());
        explain("a.pcap", &ends, ours, &[theirs.to_vec()])
    }

    #[test]
    fn each_reason_needs_its_sign() {
        let bytes = |bytes: &[u8]| Part::Bytes(bytes.to_vec());
        let ours = stream(&[bytes(b"abc"), Part::Missing(5), bytes(b"def")]);
        let mut printed = printed(&ours.parts);
        assert_eq!(printed, b"abc[5 bytes missing in capture file]\0def");
        assert_eq!(reason(&ours, b"abc"), Some(AT_END));
        for theirs in [&b"ab"[..], b"abcd", b"abcdef", b""] {
            assert_eq!(reason(&ours, theirs), None);
        }
        let cut = Stream {
            cut: true,
            ..stream(&ours.parts)
        };
        assert_eq!(reason(&cut, b"abcdef"), Some(CUT));
        printed.extend_from_slice(b"late");
        assert_eq!(reason(&ours, &printed), None);
        let discarded = Stream {
            discarded: b"late".to_vec(),
            ..stream(&ours.parts)
        };
        assert_eq!(reason(&discarded, &printed), Some(DISCARDED));
        let theirs = b"[1 bytes missing in capture file]\0abc";
        assert_eq!(reason(&ours, theirs), None);
        let mid_stream = Stream {
            mid_stream: true,
            ..stream(&ours.parts)
        };
        assert_eq!(reason(&mid_stream, theirs), Some(KEEP_ALIVE));
        let syns = Stream {
            several_syns: true,
            ..stream(&ours.parts)
        };
        assert_eq!(reason(&syns, b""), Some(SYNS));
    }

    #[test]
    fn each_connection_is_compared_with_one_stream() {
        let ends = ("192.0.2.1:1".to_owned(), "192.0.2.2:2".to_owned());
        let mut ours = stream(&[Part::Bytes(b"onetwo".to_vec())]);
        for (number, payload) in [(1, &b"one"[..]), (900, b"two")] {
            let mut connection = super::super::arrivals::Connection::default();
            connection.data(number, payload, 0, false);
            connection.parts = vec![Part::Bytes(payload.to_vec())];
            ours.connections.push(connection);
        }
        let reason = |theirs: &[&[u8]]| {
            let theirs: Vec<_> = theirs.iter().map(|bytes| bytes.to_vec()).collect();
            explain("a.pcap", &ends, &ours, &theirs)
        };
        assert_eq!(
            reason(&[b"one[896 bytes missing in capture file]\0two"]),
            Some(UNDIVIDED)
        );
        assert_eq!(reason(&[b"two"]), None);
        assert_eq!(reason(&[b"one", b"twx"]), None);
    }

    #[test]
    fn notes_are_told_from_bytes() {
        let shown = b"a[b[12 bytes missing in capture file]\0cd[3 bytes missing in capture file]\0";
        let expected = [
            Part::Bytes(b"a[b".to_vec()),
            Part::Missing(12),
            Part::Bytes(b"cd".to_vec()),
            Part::Missing(3),
        ];
        assert_eq!(parts(shown), expected);
        assert_eq!(printed(&expected), shown);
        assert_eq!(without_notes(shown), b"a[bcd");
    }

    #[test]
    fn each_listed_difference_has_a_reason() {
        for line in LISTED.lines() {
            assert_eq!(
                line.split('\t').filter(|field| !field.is_empty()).count(),
                4,
                "{line}"
            );
        }
    }
}
