//! Why a stream may differ from tshark's: each reason with what has to be true of the two streams.

use std::fmt::Write as _;

use super::observe::{Part, Stream, printed};
use super::oracle;

/// Differences that have a reason of their own: capture, sending end, receiving end, reason.
const LISTED: &str = include_str!("deviations.tsv");

const AT_END: &str = "tshark leaves out what is missing at the end, and what it holds behind it";
const DISCARDED: &str =
    "tshark has data of a RST, data behind the end, or data outside of the window";
const CUT: &str = "tshark does not mark bytes that a snap length cut off";
const KEEP_ALIVE: &str = "tshark takes the number of a keep-alive for a missing byte";
const SYNS: &str = "tshark takes the number of another SYN than the one that was acknowledged";

/// The reason why a stream differs from tshark's, if there is one.
pub(super) fn explain(
    capture: &str,
    ends: &(String, String),
    ours: &Stream,
    theirs: &[u8],
) -> Option<&'static str> {
    let parts = &ours.parts;
    let is_gap = |part: &Part| matches!(part, Part::Missing(_));
    let ends_before = |theirs: &[u8]| {
        let mut places = 0..parts.len();
        places.any(|at| is_gap(&parts[at]) && printed(&parts[..at]) == theirs)
    };
    let bytes: Vec<_> = parts.iter().filter(|part| !is_gap(part)).cloned().collect();
    if ends_before(theirs) {
        Some(AT_END)
    } else if !ours.discarded.is_empty()
        && [&printed(parts)[..], &ours.discarded].concat() == theirs
    {
        Some(DISCARDED)
    } else if ours.cut && printed(&bytes) == without_notes(theirs) {
        Some(CUT)
    } else if ours.mid_stream
        && let Some(theirs) = theirs.strip_prefix(&oracle::missing(1)[..])
        && (printed(parts) == theirs || ends_before(theirs))
    {
        Some(KEEP_ALIVE)
    } else if ours.several_syns && theirs.is_empty() {
        Some(SYNS)
    } else {
        listed(capture, ends)
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
    const NOTE: &[u8] = b" bytes missing in capture file]\0";
    let mut bytes = Vec::new();
    let mut rest = theirs;
    while let Some(at) = rest.windows(NOTE.len()).position(|part| part == NOTE) {
        let start = rest[..at].iter().rposition(|byte| *byte == b'[');
        bytes.extend_from_slice(&rest[..start.unwrap_or(at)]);
        rest = &rest[at + NOTE.len()..];
    }
    bytes.extend_from_slice(rest);
    bytes
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
        explain("a.pcap", &ends, ours, theirs)
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
