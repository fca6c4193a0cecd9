//! Two streams of one connection, byte for byte at their places.

use super::arrivals::{Connection, Ground, Part};

pub(super) const AT_END: &str =
    "tshark leaves out what is missing at the end, and what it holds behind it";
pub(super) const DISCARDED: &str =
    "tshark has data of a RST, data behind the end, or data outside of the window";
pub(super) const CUT: &str = "tshark does not mark bytes that a snap length cut off";

pub(super) const LATE: &str = "data came after it was acknowledged, and one of the two had given up waiting: \
                               tshark does at once, the reassembler after its grace";
pub(super) const BEFORE: &str = "data came with numbers before that of the first segment";
pub(super) const VERSIONS: &str = "two segments have different bytes for one place";
pub(super) const BACK: &str =
    "an older acknowledgement came late, and the reassembler took back a gap";
pub(super) const CUT_OUT: &str = "tshark leaves out a segment that a snap length cut";

/// The reason for which two streams differ that may both be right: every byte of both was captured
/// and is at its own place, and each that only one of them has bears the sign of a reason.
pub(super) fn explain(ours: &Connection, theirs: &[Part]) -> Option<&'static str> {
    let ground = ours.ground()?;
    let theirs = ground.traces(theirs, false);
    let find = |back| {
        let ours = ground.traces(&ours.parts, back);
        let mut pairs = ours
            .iter()
            .flat_map(|ours| theirs.iter().map(move |theirs| (ours, theirs)));
        pairs.find_map(|(ours, theirs)| {
            let is_same = back && ours == theirs;
            reason(&ground, ours, theirs).or(is_same.then_some(BACK))
        })
    };
    find(false).or_else(|| {
        let found = ground.regresses.then(|| find(true));
        found.flatten().map(|_| BACK)
    })
}

fn reason(ground: &Ground, ours: &[bool], theirs: &[bool]) -> Option<&'static str> {
    let end = theirs.iter().rposition(|has| *has).map_or(0, |at| at + 1);
    // Whether tshark waits for a byte before this one.
    let mut waits = end == 0 && ground.hole_before;
    let mut found = None;
    for (at, place) in ground.bytes.iter().enumerate() {
        let is_hole = place.versions[0].is_none() || place.late || place.discarded;
        waits |= at >= end && is_hole;
        if ours[at] == theirs[at] || place.versions[0].is_none() {
            continue;
        }
        let sign = if place.late {
            LATE
        } else if place.before && theirs[at] {
            BEFORE
        } else if place.discarded && theirs[at] {
            DISCARDED
        } else if waits && ours[at] {
            AT_END
        } else if place.was_cut && ours[at] {
            CUT_OUT
        } else {
            return None;
        };
        found.get_or_insert(sign);
    }
    let any = |is: fn(&super::arrivals::Known) -> bool| ground.bytes.iter().any(is);
    if found.is_none() && any(|place| place.versions[1].is_some()) {
        found = Some(VERSIONS);
    }
    if found.is_none() && any(|place| place.was_cut) {
        found = Some(CUT);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One direction: what arrived, and what was made of it.
    fn connection(arrivals: impl FnOnce(&mut Connection), parts: &[Part]) -> Connection {
        let mut connection = Connection::default();
        arrivals(&mut connection);
        connection.parts = parts.to_vec();
        connection
    }

    fn bytes(bytes: &[u8]) -> Part {
        Part::Bytes(bytes.to_vec())
    }

    #[test]
    fn late_data_is_in_one_stream_and_a_gap_of_the_other() {
        let parts = [bytes(b"abc"), Part::Missing(3), bytes(b"ghi")];
        let arrivals = |acknowledged: u32| {
            move |it: &mut Connection| {
                it.data(u32::MAX - 1, b"abc", 0, false);
                it.data(4, b"ghi", 0, false);
                it.acknowledged(acknowledged);
                it.data(1, b"def", 0, false);
            }
        };
        let theirs = [bytes(b"abcdefghi")];
        let late = connection(arrivals(7), &parts);
        assert_eq!(explain(&late, &theirs), Some(LATE));
        assert_eq!(
            explain(&connection(arrivals(7), &theirs), &parts),
            Some(LATE)
        );
        // Nobody had given up waiting for it.
        assert_eq!(explain(&connection(arrivals(1), &parts), &theirs), None);
        // A byte that was not captured, or not there.
        for theirs in [&b"abcdexghi"[..], b"abcdeghi", b"abcdefghij"] {
            assert_eq!(explain(&late, &[bytes(theirs)]), None);
        }
    }

    #[test]
    fn a_gap_that_is_taken_back_needs_an_older_acknowledgement() {
        let arrivals = |older: u32| {
            move |it: &mut Connection| {
                it.data(100, b"abc", 0, false);
                it.acknowledged(106);
                it.data(103, b"def", 0, false);
                it.acknowledged(older);
                it.data(106, b"ghi", 0, false);
            }
        };
        let parts = [bytes(b"abc"), Part::Missing(6), bytes(b"ghi")];
        let theirs = [bytes(b"abcdefghi")];
        let reason = |older, parts| explain(&connection(arrivals(older), parts), &theirs);
        assert_eq!(reason(103, &parts), Some(BACK));
        assert_eq!(reason(109, &parts), None);
        let right = [bytes(b"abc"), Part::Missing(3), bytes(b"ghi")];
        assert_eq!(reason(103, &right), Some(LATE));
        // Here it comes after all.
        let filled = [bytes(b"abc"), Part::Missing(3), bytes(b"defghi")];
        assert_eq!(reason(103, &filled), Some(BACK));
    }

    #[test]
    fn each_reason_needs_its_sign() {
        let before = |it: &mut Connection| {
            it.data(103, b"def", 0, false);
            it.data(100, b"abc", 0, false);
        };
        let before = connection(before, &[bytes(b"def")]);
        assert_eq!(explain(&before, &[bytes(b"abcdef")]), Some(BEFORE));
        let versions = |it: &mut Connection| {
            it.data(100, b"abc", 0, false);
            it.data(101, b"xc", 0, false);
        };
        let versions = connection(versions, &[bytes(b"abc")]);
        assert_eq!(explain(&versions, &[bytes(b"axc")]), Some(VERSIONS));
        assert_eq!(explain(&versions, &[bytes(b"axx")]), None);
        let cut = |cut| {
            let arrivals = move |it: &mut Connection| it.data(100, b"abc", cut, false);
            connection(arrivals, &[bytes(b"abc"), Part::Missing(cut.into())])
        };
        assert_eq!(explain(&cut(5), &[]), Some(CUT_OUT));
        assert_eq!(explain(&cut(0), &[]), None);
        let discarded = |it: &mut Connection| {
            it.data(100, b"abc", 0, false);
            it.data(103, b"def", 0, true);
        };
        let discarded = connection(discarded, &[bytes(b"abc")]);
        assert_eq!(explain(&discarded, &[bytes(b"abcdef")]), Some(DISCARDED));
        assert_eq!(discarded.discarded, b"def");
        let waits = |it: &mut Connection| {
            it.data(99, b"", 0, false);
            it.data(100, b"abc", 0, false);
        };
        assert_eq!(
            explain(&connection(waits, &[bytes(b"abc")]), &[]),
            Some(AT_END)
        );
    }
}
