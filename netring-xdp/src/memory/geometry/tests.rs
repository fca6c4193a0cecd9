//! Which geometries and descriptors the kernel accepts, row by row and at random.

use super::*;
use proptest::prelude::*;

fn aligned(chunk_size: u32, count: u32) -> Geometry {
    Geometry::new(chunk_size, count, 0, false, 4096).unwrap()
}

fn unaligned(chunk_size: u32, count: u32) -> Geometry {
    Geometry::new(chunk_size, count, 0, true, 4096).unwrap()
}

const fn desc(addr: u64, len: u32, options: u32) -> xdp_desc {
    xdp_desc { addr, len, options }
}

#[test]
fn s20_a_geometry_that_cannot_be_is_refused_with_a_sentence() {
    let refused = |chunk_size, count, headroom, unaligned, told: &str| {
        let error = Geometry::new(chunk_size, count, headroom, unaligned, 4096).expect_err(told);
        let text = error.to_string();
        assert!(text.contains(told), "{text}");
    };
    refused(1024, 16, 0, false, "not between 2048 and 4096");
    refused(8192, 16, 0, false, "not between 2048 and 4096");
    refused(8192, 16, 0, true, "not between 2048 and 4096");
    refused(3000, 16, 0, false, "a power of two");
    refused(2048, 16, 1345, false, "allows up to 1344 more");
    refused(4096, 16, u32::MAX, true, "allows up to 3392 more");
    refused(2048, 0, 0, false, "at least one chunk");
    assert!(Geometry::new(3000, 16, 0, true, 4096).is_ok());
    assert!(Geometry::new(2048, 16, 1344, false, 4096).is_ok());
    assert!(Geometry::new(4096, u32::MAX, 0, false, 4096).is_ok());
    // Machines with pages of 64 KiB have larger chunks.
    assert!(Geometry::new(65_536, 16, 0, false, 65_536).is_ok());
    assert!(Geometry::new(65_536, u32::MAX, 0, false, 4096).is_err());
}

#[test]
fn a_chunk_holds_what_its_headroom_leaves() {
    assert_eq!(aligned(2048, 1).payload(), 1792);
    assert_eq!(aligned(4096, 1).payload(), 3840);
    let geometry = Geometry::new(4096, 1, 128, false, 4096).unwrap();
    assert_eq!(geometry.payload(), 3712);
}

/// The rows that the kernel's own test puts on the wire, with 32 chunks.
#[test]
fn x4_inv_desc_rows() {
    let options = 1 << 16;
    for size in [2048, 4096_u32] {
        let (geometry, end) = (aligned(size, 32), u64::from(size) * 32);
        let takes = |addr, len, options| geometry.takes_transmit(&desc(addr, len, options));
        assert!(takes(0, 64, 0), "addr 0");
        assert!(!takes(-2_i64 as u64, 64, 0), "addr -2");
        assert!(!takes(0, 9001, 0), "len 9001");
        assert!(takes(end - 64, 64, 0), "ends with the memory");
        assert!(!takes(end, 64, 0), "addr = size of the memory");
        assert!(!takes(end - 32, 64, 0), "over the end of the memory");
        assert!(!takes(0x1000 - 32, 64, 0), "over 4K");
        assert_eq!(takes(0x800 - 32, 64, 0), size == 4096, "over 2K");
        assert!(!takes(0, 0, 0), "zero-length fragment");
        assert!(!takes(0, 64, options), "unknown options");
        assert!(!takes(0, 64, XDP_PKT_CONTD | options), "unknown options");
        assert!(takes(0, 64, XDP_PKT_CONTD), "a fragment");
        assert!(!takes(0x1000 - 32, 64, XDP_PKT_CONTD), "a fragment over 4K");
    }
    for size in [4096, 4001_u32] {
        let (geometry, end) = (unaligned(size, 32), u64::from(size) * 32);
        let takes = |addr, len| geometry.takes_transmit(&desc(addr, len, 0));
        assert!(takes(0, 64), "addr 0");
        assert!(!takes(-2_i64 as u64, 64), "addr -2");
        assert!(!takes(0, 9001), "len 9001");
        assert!(takes(end - 64, 64), "ends with the memory");
        assert!(!takes(end, 64), "addr = size of the memory");
        assert!(!takes(end - 32, 64), "over the end of the memory");
        assert!(takes(0x1000 - 32, 64), "over 4K");
        assert!(takes(0x800 - 32, 64), "over 2K");
        assert!(!takes(0, 0), "zero length");
    }
}

/// The kernel's rule with metadata: they are inside of the frame's chunk, also of a frame that
/// has none, and of each fragment.
#[test]
fn x4_what_stands_before_a_frame_is_inside_of_its_chunk() {
    let geometry = aligned(2048, 4).with_front(24);
    let takes = |addr, len| geometry.takes_transmit(&desc(addr, len, 0));
    assert!(takes(24, 2024) && takes(2048 + 24, 1) && takes(8191, 1));
    for (addr, len) in [(0, 64), (23, 64), (2048, 64), (2048 + 23, 64), (24, 2025)] {
        assert!(!takes(addr, len), "{addr} {len}");
    }
    let takes = |options| geometry.takes_transmit(&desc(24, 64, options));
    assert!(takes(XDP_TX_METADATA) && takes(XDP_TX_METADATA | XDP_PKT_CONTD) && !takes(4));
    assert!(!aligned(2048, 4).takes_transmit(&desc(24, 64, XDP_TX_METADATA)));
    let geometry = unaligned(3000, 4).with_front(24);
    let takes = |addr, len| geometry.takes_transmit(&desc(addr, len, 0));
    assert!(takes(24, 2976) && takes(3000, 2976) && takes(11_999, 1));
    assert!(!takes(23, 1) && !takes(24, 2977) && !takes(12_000, 1));
    // The fast path, which does not check it, takes none of these.
    assert!(
        !aligned(2048, 4)
            .with_front(24)
            .is_in_chunk_to_send(&desc(300, 64, 0))
    );
    assert!(
        aligned(2048, 4)
            .with_front(24)
            .is_in_chunk(&desc(300, 64, 0))
    );
}

fn geometries() -> impl Strategy<Value = Geometry> {
    let headroom = prop_oneof![Just(0_u32), 0_u32..1345];
    let aligned = (prop_oneof![Just(2048_u32), Just(4096)], Just(false));
    let unaligned = (2048_u32..=4096, Just(true));
    (prop_oneof![aligned, unaligned], 1_u32..5000, headroom).prop_map(
        |((chunk_size, unaligned), count, headroom)| {
            Geometry::new(chunk_size, count, headroom, unaligned, 4096).unwrap()
        },
    )
}

fn numbers() -> impl Strategy<Value = u64> {
    let near = (0_u64..32 << 20).prop_map(|n| n.wrapping_sub(4096));
    let offset = (0_u64..32 << 20, 0_u64..5000).prop_map(|(n, offset)| n | offset << 48);
    prop_oneof![any::<u64>(), near, offset]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1024 }))]

    #[test]
    fn x3_each_chunk_is_an_address_that_the_kernel_takes(geometry in geometries(), n in any::<u32>()) {
        let chunk = n % geometry.count();
        prop_assert!(geometry.takes_fill(geometry.base(chunk)));
        prop_assert_eq!(geometry.chunk_of(geometry.base(chunk)), Some(chunk));
        prop_assert_eq!(geometry.base_of(geometry.base(chunk)), Some(geometry.base(chunk)));
    }

    #[test]
    fn x10_a_frame_is_completed_to_its_chunk_also_where_the_lowest_bit_is_lost(
        geometry in geometries(), n in any::<u32>(), offset in 0_u32..2048
    ) {
        let chunk = n % geometry.count();
        let span = ByteRange { chunk, start: geometry.base(chunk) + u64::from(offset), len: 1 };
        let addr = geometry.transmit_addr(&span);
        prop_assert_eq!(geometry.completed(addr), Some(chunk));
        prop_assert_eq!(geometry.completed(addr & !1), Some(chunk));
    }

    #[test]
    fn x10_what_the_kernel_added_is_taken_off_again(
        geometry in geometries(), n in any::<u32>(), more in 0_u32..4096, len in 0_u32..4096
    ) {
        let chunk = n % geometry.count();
        let added = 256 + geometry.headroom() + more % geometry.payload();
        let base = geometry.base(chunk);
        let addr = if geometry.is_unaligned() { base | u64::from(added) << 48 } else { base + u64::from(added) };
        let len = len % (geometry.chunk_size() - added + 1);
        let span = ByteRange { chunk, start: base + u64::from(added), len };
        prop_assert_eq!(geometry.received(&desc(addr, len, 0)), Some(span));
        prop_assert_eq!(geometry.base_of(addr), Some(base));
        // And such a packet can be forwarded from where it is.
        let sent = desc(geometry.transmit_addr(&span), len.max(1), 0);
        prop_assert_eq!(geometry.takes_transmit(&sent), len <= geometry.chunk_size() - added && sent.len <= geometry.chunk_size() - added);
    }

    #[test]
    fn x10_whatever_the_kernel_says_is_inside_one_chunk_or_refused(
        geometry in geometries(), addr in numbers(), len in any::<u32>()
    ) {
        let len = if len % 2 == 0 { len } else { len % 5000 };
        let desc = desc(addr, len, 0);
        prop_assert_eq!(geometry.is_inside(&desc), geometry.received(&desc).is_some());
        prop_assert_eq!(geometry.base_of(addr), geometry.chunk_of(addr).map(|chunk| geometry.base(chunk)));
        if let Some(span) = geometry.received(&desc) {
            prop_assert!(span.chunk < geometry.count());
            let base = geometry.base(span.chunk);
            prop_assert!(span.start >= base);
            prop_assert!(span.start + u64::from(span.len) <= base + u64::from(geometry.chunk_size()));
            prop_assert!(span.start + u64::from(span.len) <= geometry.bytes());
        }
    }
}
