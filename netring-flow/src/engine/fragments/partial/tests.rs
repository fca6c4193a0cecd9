//! Against a map of bytes, and against the published results of overlapping fragments.

use proptest::prelude::*;

use super::*;

const POLICIES: [OverlapPolicy; 8] = [
    OverlapPolicy::First,
    OverlapPolicy::Last,
    OverlapPolicy::Bsd,
    OverlapPolicy::Windows,
    OverlapPolicy::Vista,
    OverlapPolicy::Linux,
    OverlapPolicy::OldLinux,
    OverlapPolicy::Solaris,
];

/// The seventeen fragments of Novak's "Target-Based Fragmentation Reassembly", with a letter for
/// each: where it starts and its length in units of eight bytes.
const NOVAK: [(u8, u32, u32); 17] = [
    (b'A', 0, 3),
    (b'B', 4, 2),
    (b'C', 6, 3),
    (b'D', 10, 1),
    (b'E', 13, 2),
    (b'F', 15, 3),
    (b'G', 18, 2),
    (b'H', 20, 2),
    (b'I', 22, 1),
    (b'J', 1, 4),
    (b'K', 6, 3),
    (b'L', 9, 3),
    (b'M', 12, 3),
    (b'N', 16, 1),
    (b'O', 19, 1),
    (b'P', 20, 1),
    (b'Q', 22, 2),
];

/// What each system makes of them, one letter for a unit: the results in Suricata's tests.
#[test]
fn policies_give_the_published_results() {
    for (policy, expected) in [
        (OverlapPolicy::Bsd, "AAAJJBCCCLLLMMMFFFGGHHIQ"),
        (OverlapPolicy::Linux, "AAAJJBKKKLLLMMMFFFGGPHQQ"),
        (OverlapPolicy::OldLinux, "AAAJJBKKKLLLMMMFFFGGPHQQ"),
        (OverlapPolicy::Windows, "AAAJBBCCCLLLMEEFFFGGHHIQ"),
        (OverlapPolicy::Solaris, "AAAJBBCCCLLLMMMFFFGGHHIQ"),
        (OverlapPolicy::First, "AAAJBBCCCLDLMEEFFFGGHHIQ"),
        (OverlapPolicy::Vista, "AAAJBBCCCLDLMEEFFFGGHHIQ"),
        (OverlapPolicy::Last, "AJJJJBKKKLLLMMMFNFGOPHQQ"),
    ] {
        let mut partial = Partial::default();
        for (number, (letter, start, units)) in NOVAK.into_iter().enumerate() {
            assert!(!partial.is_complete());
            let range = start * 8..(start + units) * 8;
            let bytes = vec![letter; range.len()];
            let more = number + 1 < NOVAK.len();
            let overlaps = Overlaps::Decided(policy);
            partial.add(&range, &bytes, more, overlaps).unwrap();
        }
        assert!(partial.is_complete());
        let mut whole = Vec::new();
        partial.copy_to(&mut whole);
        let letters: Vec<u8> = whole.iter().step_by(8).copied().collect();
        assert_eq!(String::from_utf8(letters).unwrap(), expected, "{policy}");
        assert_eq!(whole.len(), 24 * 8);
    }
}

#[test]
fn two_ends_bytes_behind_the_end_and_too_many_are_contradictions() {
    let first = Overlaps::Decided(OverlapPolicy::First);
    let add = |partial: &mut Partial, range: Range<u32>, more| {
        partial.add(&range, &vec![7; range.len()], more, first)
    };
    for (range, more) in [
        (8..24, false),
        (16..32, true),
        (24..32, true),
        (0..8, false),
    ] {
        let mut partial = Partial::default();
        add(&mut partial, 8..20, false).unwrap();
        let added = add(&mut partial, range.clone(), more);
        assert_eq!(added, Err(Fault::Contradiction), "{range:?}");
    }
    // The end comes after what is behind it.
    let mut partial = Partial::default();
    add(&mut partial, 16..24, true).unwrap();
    assert_eq!(add(&mut partial, 0..16, false), Err(Fault::Contradiction));
    let added = add(&mut Partial::default(), 65_528..65_536, false);
    assert_eq!(added, Err(Fault::Contradiction));
    // All that there can be, and the same end twice.
    let mut partial = Partial::default();
    add(&mut partial, 65_528..65_535, false).unwrap();
    add(&mut partial, 65_528..65_535, false).unwrap();
    add(&mut partial, 0..65_528, true).unwrap();
    assert!(partial.is_complete());
}

#[test]
fn without_overlaps_only_a_repetition_is_taken() {
    let mut partial = Partial::default();
    let mut add = |range: Range<u32>, byte| {
        let bytes = vec![byte; range.len()];
        partial.add(&range, &bytes, true, Overlaps::Refused)
    };
    assert_eq!(add(8..24, 1), Ok(()));
    assert_eq!(add(8..24, 1), Ok(()));
    assert_eq!(add(24..32, 1), Ok(()));
    assert_eq!(add(0..8, 1), Ok(()));
    for (range, byte) in [(8..24, 2), (8..16, 1), (0..24, 1), (16..32, 1)] {
        assert_eq!(add(range, byte), Err(Fault::Overlaps));
    }
}

/// A fragment in units of eight bytes: where it starts, how long it is, whether more follow.
fn fragment() -> impl Strategy<Value = (u32, u32, bool)> {
    (0_u32..40, 1_u32..12, prop::bool::weighted(0.9))
}

/// A packet as a map: of each byte its value, and the bounds of the fragment that has it.
struct Model {
    bytes: Vec<Option<(u8, Range<u32>)>>,
    end: Option<u32>,
}

impl Model {
    fn add(&mut self, range: &Range<u32>, bytes: &[u8], more: bool, policy: OverlapPolicy) -> bool {
        let reach = (0..).zip(&self.bytes).filter(|(_, byte)| byte.is_some());
        let reach = reach
            .map(|(at, _)| at + 1)
            .max()
            .unwrap_or(0)
            .max(range.end);
        let end = if more { self.end } else { Some(range.end) };
        if end.is_some_and(|end| end < reach) || !more && self.end.is_some_and(|e| Some(e) != end) {
            return false;
        }
        self.end = end;
        for (at, byte) in range.clone().zip(bytes) {
            let known = &mut self.bytes[at as usize];
            let wins = match known {
                None => true,
                Some((_, old)) => match policy {
                    OverlapPolicy::First | OverlapPolicy::Vista => false,
                    OverlapPolicy::Bsd => range.start < old.start,
                    OverlapPolicy::Windows => range.start < old.start && range.end > old.end,
                    OverlapPolicy::Solaris => range.start < old.start && range.end >= old.end,
                    OverlapPolicy::Linux | OverlapPolicy::OldLinux => range.start <= old.start,
                    _ => true,
                },
            };
            if wins {
                *known = Some((*byte, range.clone()));
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Random, overlapping, repeated and reordered fragments.
    #[test]
    fn f20_each_byte_is_that_of_a_map(
        fragments in prop::collection::vec(fragment(), 1..40),
        policy in prop::sample::select(POLICIES.to_vec()),
        last in 0_u32..8,
    ) {
        let mut partial = Partial::default();
        let mut model = Model { bytes: vec![None; 600], end: None };
        for (number, (start, units, more)) in fragments.into_iter().enumerate() {
            // Only the last may end within a unit.
            let end = (start + units) * 8 - if more { 0 } else { last };
            let range = start * 8..end;
            let bytes: Vec<u8> = range.clone().map(|at| (at * 7 + number as u32 * 31) as u8).collect();
            let has_it = range.clone().zip(&bytes).all(|(at, byte)| {
                model.bytes[at as usize].as_ref().is_some_and(|known| known.0 == *byte)
            });
            prop_assert_eq!(partial.has(&range, &bytes), has_it);
            let predicted = partial.memory_with(&range);
            let added = partial.add(&range, &bytes, more, Overlaps::Decided(policy));
            prop_assert_eq!(added.is_ok(), model.add(&range, &bytes, more, policy));
            prop_assert!(partial.memory() <= predicted);
            if added.is_ok() && policy == OverlapPolicy::Last {
                prop_assert!(partial.has(&range, &bytes));
            }
            let known = model.bytes.iter().flatten().map(|(byte, _)| *byte);
            let mut whole = Vec::new();
            partial.copy_to(&mut whole);
            prop_assert!(whole.iter().copied().eq(known));
            let has_all = |end: u32| model.bytes[..end as usize].iter().all(Option::is_some);
            prop_assert_eq!(partial.is_complete(), model.end.is_some_and(has_all));
        }
    }
}
