//! Requests that accompany a frame.
#![deny(unsafe_code)]

use netring_sys::kernel::xdp::{
    XDP_TXMD_FLAGS_CHECKSUM, XDP_TXMD_FLAGS_TIMESTAMP, XSK_TX_METADATA_TIMESTAMP,
};
use netring_sys::{Error, PartialChecksum, XdpFeatures};

use crate::memory::umem::TRANSMIT_METADATA;

/// The requests for a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    checksum: Option<PartialChecksum>,
    /// The caller's number.
    pub(crate) timestamp: Option<u64>,
}

/// The supported requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offloads {
    pub(crate) checksum: bool,
    pub(crate) timestamp: bool,
    /// The kernel computes checksums itself, over the bytes in the first chunk.
    pub(crate) in_software: bool,
}

impl Offloads {
    /// In copy mode: the kernel handles requests, or passes them to the driver.
    pub(crate) const fn of_kernel(in_software: bool) -> Self {
        Self {
            checksum: true,
            timestamp: true,
            in_software,
        }
    }

    /// In zero-copy mode.
    pub(crate) const fn of_driver(features: &XdpFeatures) -> Self {
        Self {
            checksum: features.transmit_checksum,
            timestamp: features.transmit_timestamp,
            in_software: false,
        }
    }
}

impl Request {
    pub(crate) const NONE: Self = Self {
        checksum: None,
        timestamp: None,
    };

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Requests a checksum over `start ..`, stored at `start + offset`, for a frame with `len`
    /// bytes in its first chunk.
    pub(crate) fn set_checksum(
        &mut self,
        start: usize,
        offset: usize,
        len: usize,
    ) -> Result<(), Error> {
        let Some(checksum) = PartialChecksum::in_frame(start, offset, len) else {
            return Err(Error::Request {
                request: "checksum",
                why: format!(
                    "its two bytes, {offset} behind byte {start}, are not inside the {len} bytes of \
                     the frame's first chunk"
                ),
            });
        };
        self.checksum = Some(checksum);
        Ok(())
    }

    /// Checks that the request is possible for a frame with `len` bytes in its first chunk, which
    /// is its only chunk or not.
    pub(crate) fn check(&self, offloads: &Offloads, len: usize, only: bool) -> Result<(), Error> {
        let refuse = |request, why: &str| {
            Err(Error::Request {
                request,
                why: why.to_owned(),
            })
        };
        if let Some(PartialChecksum { start, offset, .. }) = self.checksum {
            let mut again = Self::NONE;
            again.set_checksum(start.into(), offset.into(), len)?;
            if !offloads.checksum {
                return refuse(
                    "checksum",
                    "the driver does not support it in zero-copy mode: open with `CopyMode::Copy`, or \
                     compute it yourself",
                );
            }
            if offloads.in_software && !only {
                return refuse(
                    "checksum",
                    "with `software_checksum` the kernel computes it for frames in one chunk only",
                );
            }
        }
        if self.timestamp.is_some() && !offloads.timestamp {
            return refuse(
                "timestamp",
                "the driver does not support it in zero-copy mode, or the frames of this socket are \
                 completed to another socket of the same queue",
            );
        }
        Ok(())
    }

    /// The request in the kernel's words.
    pub(crate) fn words(&self) -> [u8; TRANSMIT_METADATA as usize] {
        let mut words = [0; TRANSMIT_METADATA as usize];
        let mut flags = 0;
        if let Some(PartialChecksum { start, offset, .. }) = self.checksum {
            flags |= XDP_TXMD_FLAGS_CHECKSUM;
            words[8..10].copy_from_slice(&start.to_ne_bytes());
            words[10..12].copy_from_slice(&offset.to_ne_bytes());
        }
        if self.timestamp.is_some() {
            flags |= XDP_TXMD_FLAGS_TIMESTAMP;
        }
        words[..8].copy_from_slice(&flags.to_ne_bytes());
        words
    }
}

/// The word in which the kernel stores the timestamp, and which holds the request for a checksum
/// until then.
pub(crate) fn stamp_word(words: &[u8]) -> Option<u64> {
    let word = words.get(XSK_TX_METADATA_TIMESTAMP..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*word))
}

/// The error of a request on a socket that was opened without requests.
pub(crate) fn not_opened(request: &'static str) -> Error {
    Error::Request {
        request,
        why: "the socket was opened without `transmit_metadata`".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_inside_of_the_frame() {
        let set = |start, offset, len| Request::NONE.clone().set_checksum(start, offset, len);
        assert!(set(34, 6, 42).is_ok());
        assert!(set(0, 0, 2).is_ok());
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
            (0, 65_536, 70_000),
        ] {
            let refused = set(start, offset, len).unwrap_err();
            assert!(!refused.is_terminal(), "{start} {offset} {len}");
        }
    }

    #[test]
    fn what_the_driver_cannot_do_is_refused() {
        let mut checksum = Request::NONE;
        checksum.set_checksum(34, 6, 60).unwrap();
        let timestamp = Request {
            timestamp: Some(1),
            ..Request::NONE
        };
        let checked = |request: &Request, offloads, only| {
            let result = request.check(&offloads, 60, only);
            result.map_err(|error| error.to_string())
        };
        let none = Offloads::of_driver(&XdpFeatures::default());
        assert!(checked(&Request::NONE, none, true).is_ok());
        assert!(
            checked(&checksum, none, true)
                .unwrap_err()
                .contains("zero-copy")
        );
        assert!(
            checked(&timestamp, none, true)
                .unwrap_err()
                .contains("zero-copy")
        );
        let copy = Offloads::of_kernel(false);
        assert!(checked(&checksum, copy, false).is_ok());
        assert!(checked(&timestamp, copy, false).is_ok());
        let software = Offloads::of_kernel(true);
        assert!(checked(&checksum, software, true).is_ok());
        assert!(
            checked(&checksum, software, false)
                .unwrap_err()
                .contains("one chunk")
        );
        // A frame that was cut after the request.
        assert!(checksum.check(&copy, 41, true).is_err());
    }
}
