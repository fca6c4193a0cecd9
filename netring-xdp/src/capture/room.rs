//! Room for the packets that an interface can receive: how large a chunk is, and whether a packet
//! may span several.

use aya::util::KernelVersion;
use netring_sys::kernel::xdp::{XDP_PACKET_HEADROOM, XDP_UMEM_MIN_CHUNK_SIZE};
use netring_sys::syscall::page_size;
use netring_sys::{Error, Interface, XdpMode};

use super::CaptureBuilder;
use super::builder::FeedBy;
use crate::options::RingSize;
use crate::program::{AttachMode, is_about_mtu, is_about_native, mtu_of_one_buffer};

/// Bytes of a frame that the MTU does not count: an Ethernet header and two VLAN tags, for which
/// drivers have room.
const HEADER: u32 = 22;

impl CaptureBuilder {
    /// Decides whether packets may span several chunks, if the caller did not. Returns true if the
    /// answer is no on the condition that native mode takes the program: drivers cut what offloads
    /// assembled, and generic mode does not.
    pub(super) fn decide_multi_buffer(&mut self, interface: &Interface) -> bool {
        if self.multi_buffer.is_some() {
            return false;
        }
        if self.may_be_longer(interface) {
            self.multi_buffer = Some(true);
            return false;
        }
        let kernel_takes_it =
            KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 6, 0));
        let undecided = kernel_takes_it && matches!(self.feed, FeedBy::Generated);
        match (&self.feed, self.attach_mode) {
            (FeedBy::Sockets(_), _) => {
                let mode = interface.xdp.map(|program| program.mode);
                let cut = matches!(mode, Some(XdpMode::Native | XdpMode::Offloaded));
                self.multi_buffer = Some(kernel_takes_it && !cut);
                false
            }
            (_, AttachMode::Native) => undecided,
            (FeedBy::Generated, AttachMode::BestAvailable) => undecided,
            // It runs in native mode only.
            (FeedBy::Program(program), AttachMode::BestAvailable) if program.has_metadata() => {
                false
            }
            // The user's own program is passed once, so it cannot be tried in one mode and then in
            // the other.
            (FeedBy::Program(_), AttachMode::BestAvailable) | (_, AttachMode::Generic) => {
                self.multi_buffer = Some(kernel_takes_it);
                false
            }
        }
    }

    /// Whether multi-buffer helps against the error that kept the program from native mode.
    pub(super) fn helps_against(&self, error: &Error) -> bool {
        is_about_mtu(error)
            || self.attach_mode == AttachMode::BestAvailable && is_about_native(error)
    }

    pub(super) fn takes_several(&self) -> bool {
        self.multi_buffer.unwrap_or(false)
    }

    pub(super) fn ring_size(&self) -> Result<RingSize, Error> {
        match self.receive_ring {
            Some(entries) => RingSize::new(entries),
            None if self.takes_several() => Ok(RingSize::for_entries(self.chunks)),
            None => Ok(self.profile_ring),
        }
    }

    pub(super) fn bytes_of_chunk(&self, interface: &Interface) -> u32 {
        self.chunk_size.unwrap_or_else(|| fitting(interface.mtu))
    }

    /// Whether packets of this MTU may be longer than a chunk, or than one buffer of the driver.
    fn may_be_longer(&self, interface: &Interface) -> bool {
        let frame = interface.mtu.saturating_add(HEADER);
        let payload = self
            .bytes_of_chunk(interface)
            .saturating_sub(XDP_PACKET_HEADROOM);
        let generic = self.attach_mode == AttachMode::Generic;
        frame > payload || !generic && interface.mtu > mtu_of_one_buffer()
    }
}

/// The smallest chunk that holds a packet of this MTU, or a page.
fn fitting(mtu: u32) -> u32 {
    let wanted = mtu.saturating_add(HEADER + XDP_PACKET_HEADROOM);
    let page = u32::try_from(page_size()).unwrap_or(4096);
    wanted
        .clamp(XDP_UMEM_MIN_CHUNK_SIZE, page)
        .next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_fits_the_mtu() {
        assert_eq!(fitting(1500), 2048);
        assert_eq!(fitting(2048 - 256 - 22), 2048);
        assert_eq!(fitting(2048 - 256 - 21), 4096);
        assert_eq!(fitting(9000), 4096);
        assert_eq!(fitting(u32::MAX), 4096);
    }
}
