//! Sizes of a transmit ring.

use netring_sys::kernel::packet::{TPACKET_ALIGNMENT, TPACKET2_HDRLEN_ALIGNED};
use netring_sys::syscall::page_size;
use netring_sys::{Error, Interface, Profile};

use super::builder::InjectorBuilder;
use super::limits::Limits;
use super::ring::VNET_HEADER;
use crate::rx::RingGeometry;

const KIB: usize = 1 << 10;
/// Bytes of the shortest slot: its headers, and a few bytes of frame.
const SMALLEST_SLOT: usize = 64;
/// Bytes of the largest slot: the kernel takes a frame of up to 17 pages.
const LARGEST_SLOT: usize = 68 * KIB;
/// Above this a slot has to start on a page, so that a long frame is in as few pages as possible.
const UNALIGNED_SLOT: usize = 32 * KIB;
/// Bytes of a slot unless frames are longer: two fill a page, and no frame crosses one.
const USUAL_SLOT: usize = 2048;
/// Bytes of a segmented frame: the longest IP packet, with its link layer header and a tag.
const SEGMENTED: usize = 65_535 + 18;

/// Slots of a profile, of the usual size.
pub(crate) const fn slots(profile: Profile) -> usize {
    match profile {
        Profile::HighThroughput => 4096,
        Profile::LowMemory => 256,
        _ => 1024,
    }
}

/// The ring to request.
pub(crate) fn geometry(
    builder: &InjectorBuilder,
    interface: &Interface,
) -> Result<RingGeometry, Error> {
    let refuse = |setting, why| Err(Error::Config { setting, why });
    let slot_size = match builder.slot_size {
        Some(size) => size,
        None => usual_slot(builder.offloads, interface),
    };
    let page = page_size();
    let in_range = (SMALLEST_SLOT..=LARGEST_SLOT).contains(&slot_size);
    if !in_range || !slot_size.is_multiple_of(TPACKET_ALIGNMENT) {
        let why = format!(
            "{slot_size} bytes; must be a multiple of {TPACKET_ALIGNMENT} from {SMALLEST_SLOT} to \
             {LARGEST_SLOT}"
        );
        return refuse("slot_size", why);
    }
    if slot_size > UNALIGNED_SLOT && !slot_size.is_multiple_of(page) {
        let why = format!(
            "{slot_size} bytes; above {UNALIGNED_SLOT} it must be a multiple of the page size, which \
             is {page} bytes here"
        );
        return refuse("slot_size", why);
    }
    let block_size = builder.block_size.unwrap_or(match slot_size {
        ..=8192 => 64 * KIB,
        _ => 512 * KIB,
    });
    if block_size < slot_size || !block_size.is_multiple_of(page) || block_size > i32::MAX as usize
    {
        let why = format!(
            "{block_size} bytes; must be a multiple of the page size, which is {page} bytes here, \
             hold a slot of {slot_size} bytes, and be smaller than 2 GiB"
        );
        return refuse("block_size", why);
    }
    let slots = builder.slots.unwrap_or_else(|| {
        let bytes = slots(builder.profile) * USUAL_SLOT;
        (bytes / slot_size.max(USUAL_SLOT)).max(32)
    });
    let block_count = slots.div_ceil(block_size / slot_size);
    let bytes = block_count.checked_mul(block_size);
    let fits = bytes.is_some_and(|bytes| bytes <= isize::MAX as usize / 2);
    if slots == 0 || !fits || u32::try_from(slots.saturating_mul(2)).is_err() {
        let why =
            format!("{slots}; must be at least 1, and the ring smaller than the address space");
        return refuse("slots", why);
    }
    Ok(RingGeometry {
        block_size,
        block_count,
        requested_blocks: block_count,
        slot_size: Some(slot_size),
    })
}

/// Bytes of a slot that holds the longest frame.
fn usual_slot(offloads: bool, interface: &Interface) -> usize {
    let frame = match offloads {
        true => SEGMENTED.max(Limits::wanted(interface)),
        false => Limits::wanted(interface),
    };
    let needed = TPACKET2_HDRLEN_ALIGNED + VNET_HEADER + frame;
    match needed {
        ..=USUAL_SLOT => USUAL_SLOT,
        _ => needed.next_multiple_of(page_size()).min(LARGEST_SLOT),
    }
}
