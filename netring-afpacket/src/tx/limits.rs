//! Which lengths of frames an interface sends.

use netring_sys::Interface;

/// `ARPHRD_*`.
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;
const RAW_IP: u16 = 519;
const NONE: u16 = 0xfffe;

/// The EtherType of a tagged frame, for which the kernel allows four more bytes. It does not for
/// those of service tags.
const ETH_P_8021Q: [u8; 2] = [0x81, 0x00];
const TAG: usize = 4;
/// Bytes of the longest IP packet.
const IP_PACKET: usize = 65_535;

/// The lengths that the kernel accepts, as of the last look at the MTU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of the link layer header; `None` if only the kernel knows.
    header: Option<usize>,
    /// Bytes that a tag may add.
    tag: usize,
    mtu: usize,
    /// Bytes of the shortest frame.
    pub(crate) shortest: usize,
    /// Bytes of the longest frame without a tag.
    pub(crate) plain: usize,
    /// Bytes of the longest frame.
    pub(crate) longest: usize,
    /// Bytes that fit a slot.
    capacity: usize,
}

/// Why a frame cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    TooLong { max: usize },
    TooShort { min: usize },
}

impl Limits {
    pub(crate) fn new(interface: &Interface, capacity: usize) -> Self {
        let header = header_of(interface.hardware_type);
        let mut limits = Self {
            header,
            tag: match interface.hardware_type {
                ETHERNET => TAG,
                _ => 0,
            },
            mtu: 0,
            shortest: header.unwrap_or_default().max(1),
            plain: 0,
            longest: 0,
            capacity,
        };
        limits.set_mtu(interface.mtu);
        limits
    }

    /// Notes the MTU. Returns true if frames that were accepted before may be too long now.
    pub(crate) fn set_mtu(&mut self, mtu: u32) -> bool {
        let before = self.plain;
        self.mtu = mtu as usize;
        match self.header {
            Some(header) => {
                self.plain = self.mtu.saturating_add(header).min(self.capacity);
                self.longest = self.plain.saturating_add(self.tag).min(self.capacity);
            }
            None => (self.plain, self.longest) = (self.capacity, self.capacity),
        }
        self.plain < before
    }

    /// Bytes of a frame of the interface's MTU, its header and a tag.
    pub(crate) fn wanted(interface: &Interface) -> usize {
        let header = header_of(interface.hardware_type).unwrap_or(64);
        interface.mtu as usize + header + TAG
    }

    /// Whether a frame of this length passes the check that the kernel makes before it numbers it.
    pub(crate) fn passes_first_check(&self, len: usize) -> bool {
        self.header
            .is_some_and(|header| len <= self.mtu.saturating_add(header + TAG))
    }

    /// Bytes of the longest segment.
    pub(crate) const fn segment(&self) -> usize {
        self.plain
    }

    /// Bytes of the longest frame that can be segmented: it holds the longest IP packet.
    pub(crate) fn longest_segmented(&self) -> usize {
        let longest = IP_PACKET + self.header.unwrap_or_default() + self.tag;
        longest.min(self.capacity)
    }

    /// Whether the kernel sends a frame with these bytes; one that is segmented may be longer.
    pub(crate) fn check(&self, frame: &[u8], is_segmented: bool) -> Result<(), Fault> {
        if frame.len() < self.shortest {
            return Err(Fault::TooShort { min: self.shortest });
        }
        let longest = match is_segmented {
            true => self.longest_segmented(),
            false => self.longest,
        };
        let is_tagged = frame.get(12..14) == Some(&ETH_P_8021Q);
        let max = match self.tag > 0 && !is_tagged {
            true if is_segmented => longest.min(IP_PACKET + self.header.unwrap_or_default()),
            true => self.plain,
            false => longest,
        };
        if frame.len() > max {
            return Err(Fault::TooLong { max });
        }
        Ok(())
    }
}

/// Bytes of the link layer header; `None` if the hardware type does not determine it.
pub(crate) const fn header_of(hardware_type: u16) -> Option<usize> {
    match hardware_type {
        ETHERNET | LOOPBACK => Some(14),
        NONE | RAW_IP => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(hardware_type: u16, mtu: u32) -> Limits {
        let mut interface = Interface::by_name("lo").unwrap();
        interface.hardware_type = hardware_type;
        interface.mtu = mtu;
        Limits::new(&interface, 2006)
    }

    fn frame(len: usize, ether_type: [u8; 2]) -> Vec<u8> {
        let mut frame = vec![0; len];
        frame[12..14].copy_from_slice(&ether_type);
        frame
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel about an interface")]
    fn a_tag_adds_four_bytes_on_ethernet_only() {
        let ethernet = limits(ETHERNET, 1500);
        let check = |frame: &[u8]| ethernet.check(frame, false);
        assert_eq!(check(&frame(1514, [8, 0])), Ok(()));
        let too_long = Err(Fault::TooLong { max: 1514 });
        assert_eq!(check(&frame(1515, [8, 0])), too_long);
        assert_eq!(check(&frame(1518, [0x88, 0xa8])), too_long);
        assert_eq!(check(&frame(1518, ETH_P_8021Q)), Ok(()));
        let too_long = Err(Fault::TooLong { max: 1518 });
        assert_eq!(check(&frame(1519, ETH_P_8021Q)), too_long);
        assert_eq!(check(&[0; 13]), Err(Fault::TooShort { min: 14 }));
        let loopback = limits(LOOPBACK, 1500);
        assert!(loopback.check(&frame(1515, ETH_P_8021Q), false).is_err());
        let tun = limits(NONE, 1500);
        assert_eq!(tun.check(&[0x45], false), Ok(()));
        assert_eq!(
            tun.check(&[0; 1501], false),
            Err(Fault::TooLong { max: 1500 })
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel about an interface")]
    fn a_slot_limits_a_frame_too_and_so_does_a_smaller_mtu() {
        let mut limits = limits(ETHERNET, 9000);
        assert_eq!((limits.plain, limits.longest), (2006, 2006));
        assert!(!limits.set_mtu(1_000_000));
        assert!(limits.set_mtu(1000));
        assert_eq!((limits.plain, limits.longest), (1014, 1018));
        assert!(!limits.set_mtu(u32::MAX));
        assert_eq!(limits.longest, 2006);
    }
}
