//! Requests that accompany a frame.

use netring_sys::kernel::packet::{
    VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP_L4, virtio_net_hdr,
};
use netring_sys::{Error, Offload, PartialChecksum, Segmentation};

/// The most segments of a UDP datagram, on every kernel that segments them.
const UDP_SEGMENTS: usize = 64;

/// The requests for a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request {
    checksum: Option<PartialChecksum>,
    /// What, bytes of headers, bytes of payload in each segment.
    segmentation: Option<(Segmentation, u16, u16)>,
    /// The segments carry a flag of TCP that only the first keeps.
    ecn: bool,
    /// The caller's number.
    pub(crate) timestamp: Option<u64>,
}

impl Request {
    pub(crate) const fn is_segmented(&self) -> bool {
        self.segmentation.is_some()
    }

    /// Requests a checksum over `start ..`, stored at `start + offset`, for a frame of `len` bytes.
    pub(crate) fn set_checksum(
        &mut self,
        start: usize,
        offset: usize,
        len: usize,
    ) -> Result<(), Error> {
        let Some(checksum) = PartialChecksum::in_frame(start, offset, len) else {
            return refuse(
                "checksum",
                format!(
                    "its two bytes, {offset} behind byte {start}, are not inside the {len} bytes of \
                     the frame"
                ),
            );
        };
        self.checksum = Some(checksum);
        Ok(())
    }

    /// Requests segments of `size` bytes of payload behind `headers` bytes of headers, for a frame
    /// of `len` bytes on an interface that sends frames of up to `longest` bytes.
    pub(crate) fn set_segmentation(
        &mut self,
        what: Segmentation,
        headers: usize,
        size: usize,
        len: usize,
        longest: usize,
    ) -> Result<(), Error> {
        let request = "segmentation";
        let Some(PartialChecksum { start, offset, .. }) = self.checksum else {
            let why = "segments need checksums of their own: request the checksum first";
            return refuse(request, why.into());
        };
        let (header, at) = match what {
            Segmentation::Udp => (8, 6),
            _ => (20, 16),
        };
        if offset != at || headers < usize::from(start) + header {
            let why = format!(
                "its checksum is {at} bytes behind the start of the transport header, and the headers \
                 end at least {header} bytes behind it; the checksum was requested at {start} + \
                 {offset}, and the headers have {headers} bytes"
            );
            return refuse(request, why);
        }
        if !matches!(
            what,
            Segmentation::Udp | Segmentation::Tcp4 | Segmentation::Tcp6
        ) {
            return refuse(request, format!("{what:?} is not supported"));
        }
        if size == 0 || headers >= len || len - headers <= size {
            let why = format!(
                "a frame of {len} bytes with {headers} bytes of headers is not longer than one segment \
                 of {size} bytes"
            );
            return refuse(request, why);
        }
        if size > longest.saturating_sub(headers) {
            let why = format!(
                "segments of {headers} + {size} bytes are longer than the {longest} bytes that the \
                 interface sends"
            );
            return refuse(request, why);
        }
        if what == Segmentation::Udp && (len - headers).div_ceil(size) > UDP_SEGMENTS {
            let why = format!("more than {UDP_SEGMENTS} datagrams of {size} bytes");
            return refuse(request, why);
        }
        let (Ok(headers), Ok(size)) = (u16::try_from(headers), u16::try_from(size)) else {
            return refuse(request, "a length of more than 65,535 bytes".into());
        };
        self.segmentation = Some((what, headers, size));
        Ok(())
    }

    /// What `offload` says is to be done to a frame with these bytes, on an interface that sends
    /// frames of up to `longest` bytes. `None` if that is not possible.
    pub(crate) fn of(offload: &Offload, frame: &[u8], longest: usize) -> Option<Self> {
        let mut request = Self::default();
        let checksum = offload.checksum();
        if let Some(PartialChecksum { start, offset, .. }) = checksum {
            let set = request.set_checksum(start.into(), offset.into(), frame.len());
            set.ok()?;
        }
        let Some(cut) = offload.segments() else {
            return Some(request);
        };
        // How much the kernel had in one piece says nothing about the headers.
        let (what, start) = (cut.kind?, usize::from(checksum?.start));
        let headers = match what {
            Segmentation::Udp => start + 8,
            _ => start + usize::from(frame.get(start + 12)? >> 4) * 4,
        };
        let size = cut.segment_len.into();
        let set = request.set_segmentation(what, headers, size, frame.len(), longest);
        set.ok()?;
        request.ecn = cut.ecn;
        Some(request)
    }

    /// Replaces everything but the timestamp.
    pub(crate) fn take_offload(&mut self, request: Self) {
        *self = Self {
            timestamp: self.timestamp,
            ..request
        };
    }

    /// The request in the kernel's words, with the bytes to copy of a frame that is not segmented.
    pub(crate) fn header(&self, copy: u16) -> virtio_net_hdr {
        let mut header = virtio_net_hdr {
            hdr_len: copy,
            ..virtio_net_hdr::default()
        };
        if let Some(PartialChecksum { start, offset, .. }) = self.checksum {
            header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
            header.csum_start = start;
            header.csum_offset = offset;
        }
        if let Some((what, headers, size)) = self.segmentation {
            header.gso_type = match what {
                Segmentation::Tcp4 => VIRTIO_NET_HDR_GSO_TCPV4,
                Segmentation::Udp => VIRTIO_NET_HDR_GSO_UDP_L4,
                _ => VIRTIO_NET_HDR_GSO_TCPV6,
            };
            if self.ecn {
                header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
            }
            header.hdr_len = headers;
            header.gso_size = size;
        }
        header
    }
}

fn refuse(request: &'static str, why: String) -> Result<(), Error> {
    Err(Error::Request { request, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_inside_of_the_frame() {
        let set = |start, offset, len| Request::default().set_checksum(start, offset, len);
        assert!(set(34, 6, 42).is_ok());
        assert!(set(65_535, 0, 65_537).is_ok());
        for (start, offset, len) in [
            (34, 6, 41),
            (34, 7, 42),
            (42, 0, 42),
            (0, 0, 1),
            (0, 0, 0),
            (usize::MAX, 2, 100),
            (2, usize::MAX, 100),
            (usize::MAX, usize::MAX, usize::MAX),
            (65_536, 0, 70_000),
        ] {
            let refused = set(start, offset, len).unwrap_err();
            assert!(!refused.is_terminal(), "{start} {offset} {len}");
        }
    }

    #[test]
    fn what_was_captured_is_requested_with_headers_as_the_frame_has_them() {
        let header = |gso_type, gso_size| virtio_net_hdr {
            flags: 1,
            gso_type,
            // As much as the kernel had in one piece.
            hdr_len: 4000,
            gso_size,
            csum_start: 34,
            csum_offset: if gso_type == 5 { 6 } else { 16 },
        };
        let mut frame = vec![0; 5000];
        // A TCP header of 32 bytes.
        frame[46] = 0x80;
        let of = |header: virtio_net_hdr, frame: &[u8]| {
            let request = Request::of(&header.into(), frame, 1514);
            request.map(|request| request.header(0))
        };
        let tcp = of(header(0x81, 1448), &frame).unwrap();
        assert_eq!((tcp.gso_type, tcp.gso_size, tcp.hdr_len), (0x81, 1448, 66));
        assert_eq!((tcp.csum_start, tcp.csum_offset), (34, 16));
        let udp = of(header(5, 1000), &frame).unwrap();
        assert_eq!((udp.gso_type, udp.hdr_len, udp.csum_offset), (5, 42, 6));
        let checksum = of(header(0, 0), &frame).unwrap();
        assert_eq!((checksum.flags, checksum.gso_type), (1, 0));
        let nothing = of(virtio_net_hdr::default(), &frame).unwrap();
        assert_eq!(nothing, virtio_net_hdr::default());
        // Segments that do not fit, of an unknown protocol, without a checksum, without headers.
        assert_eq!(of(header(1, 1449), &frame), None);
        assert_eq!(of(header(3, 1000), &frame), None);
        let without = virtio_net_hdr {
            flags: 0,
            ..header(1, 1000)
        };
        assert_eq!(of(without, &frame), None);
        assert_eq!(of(header(1, 1000), &frame[..40]), None);
        assert_eq!(of(header(5, 10), &frame), None);
    }

    #[test]
    fn a_segment_has_payload_and_fits_the_interface() {
        let set = |what, headers, size, len| {
            let mut request = Request::default();
            let offset = if what == Segmentation::Udp { 6 } else { 16 };
            request.set_checksum(34, offset, len)?;
            request.set_segmentation(what, headers, size, len, 1514)?;
            Ok::<_, Error>(request.header(0))
        };
        let header = set(Segmentation::Udp, 42, 1472, 42 + 1473).unwrap();
        assert_eq!(
            header,
            virtio_net_hdr {
                flags: 1,
                gso_type: 5,
                hdr_len: 42,
                gso_size: 1472,
                csum_start: 34,
                csum_offset: 6
            }
        );
        assert!(set(Segmentation::Tcp4, 54, 1460, 65_549).is_ok());
        for (what, headers, size, len) in [
            (Segmentation::Udp, 42, 1472, 42 + 1472),
            (Segmentation::Udp, 42, 1473, 5000),
            (Segmentation::Udp, 42, 0, 5000),
            (Segmentation::Udp, 41, 1000, 5000),
            (Segmentation::Udp, 42, 10, 42 + 641),
            (Segmentation::Tcp4, 53, 1000, 5000),
            (Segmentation::Tcp6, usize::MAX, usize::MAX, 5000),
        ] {
            assert!(
                set(what, headers, size, len).is_err(),
                "{headers} {size} {len}"
            );
        }
        let mut without = Request::default();
        assert!(
            without
                .set_segmentation(Segmentation::Tcp4, 54, 1000, 5000, 1514)
                .is_err()
        );
    }
}
