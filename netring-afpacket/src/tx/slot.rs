//! Room for one frame, and its requests.

use netring_sys::{Error, Offload, PacketSlot, Segmentation};

use super::injector::Injector;
use super::request::Request;

/// Room for one frame in the ring; see [`PacketSlot`].
#[derive(Debug)]
#[must_use = "a slot that is not committed is not sent"]
pub struct Slot<'a> {
    injector: &'a mut Injector,
    len: usize,
}

impl<'a> Slot<'a> {
    #[inline]
    pub(super) const fn new(injector: &'a mut Injector, len: usize) -> Self {
        Self { injector, len }
    }

    /// Requests a checksum over the frame from byte `start` on, stored in the two bytes at `start +
    /// offset`: for UDP over IPv4 without options `start` is 34 and `offset` 6. When the frame is
    /// committed, these two bytes must hold the sum of the pseudo-header, not its complement.
    ///
    /// The card computes it, or else the kernel. A frame that does not leave this host, as over
    /// veth, may arrive without it: the receiver sees it marked as not yet computed.
    ///
    /// ```no_run
    /// use netring_afpacket::Injector;
    /// use netring_sys::{PacketSink, PacketSlot};
    ///
    /// # fn udp() -> Vec<u8> { vec![0; 60] }
    /// let mut injector = Injector::builder("eth0").offloads(true).build()?;
    /// let frame: Vec<u8> = udp();
    /// if let Some(mut slot) = injector.slot(frame.len())? {
    ///     slot.copy_from_slice(&frame);
    ///     slot.request_checksum(34, 6)?;
    ///     slot.commit();
    /// }
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Request`] if the injector was opened without
    /// [`offloads`](crate::InjectorBuilder::offloads), or the two bytes are not inside the frame.
    /// The slot stays as it was.
    #[doc(alias = "VIRTIO_NET_HDR_F_NEEDS_CSUM")]
    pub fn request_checksum(&mut self, start: usize, offset: usize) -> Result<(), Error> {
        let len = self.len;
        let request = self.offloads("checksum")?;
        request.set_checksum(start, offset, len)
    }

    /// Requests that the frame, which may be longer than the MTU allows, is cut into segments: each
    /// has the first `headers` bytes of the frame, with lengths, sequence numbers and checksums of
    /// its own, and `size` bytes of its payload; the last one has the rest. The card cuts it, or
    /// else the kernel, possibly only at its receiver. [Request the
    /// checksum](Self::request_checksum) first.
    ///
    /// The frame counts as one in all figures.
    ///
    /// # Errors
    /// [`Error::Request`] if the injector was opened without
    /// [`offloads`](crate::InjectorBuilder::offloads), no checksum was requested, the frame is not
    /// longer than one segment, a segment is longer than the MTU allows, or it makes more than 64
    /// datagrams. The slot stays as it was.
    #[doc(alias = "gso_size")]
    pub fn request_segmentation(
        &mut self,
        what: Segmentation,
        headers: usize,
        size: usize,
    ) -> Result<(), Error> {
        let (len, longest) = (self.len, self.injector.segment_len());
        let request = self.offloads("segmentation")?;
        request.set_segmentation(what, headers, size, len, longest)
    }

    /// Requests the time at which the frame goes out:
    /// [`Injector::transmit_timestamps`] returns it with `id`, which the caller chooses.
    ///
    /// # Errors
    /// [`Error::Request`] if the injector was opened without
    /// [`transmit_timestamps`](crate::InjectorBuilder::transmit_timestamps). The slot stays as it
    /// was.
    pub fn request_timestamp(&mut self, id: u64) -> Result<(), Error> {
        if !self.injector.takes_timestamps() {
            return Err(Error::Request {
                request: "timestamp",
                why: "the injector was opened without `transmit_timestamps`".into(),
            });
        }
        self.injector.request_mut().timestamp = Some(id);
        Ok(())
    }

    fn offloads(&mut self, request: &'static str) -> Result<&mut Request, Error> {
        if !self.injector.has_offloads() {
            return Err(Error::Request {
                request,
                why: "the injector was opened without `offloads`".into(),
            });
        }
        Ok(self.injector.request_mut())
    }
}

impl std::ops::Deref for Slot<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.injector.ring_ref().frame(self.len)
    }
}

impl std::ops::DerefMut for Slot<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.injector.ring_mut().frame_mut(self.len)
    }
}

impl PacketSlot for Slot<'_> {
    #[inline]
    fn commit(self) {
        self.injector.commit(self.len);
    }

    /// As [`request_checksum`](Slot::request_checksum) and
    /// [`request_segmentation`](Slot::request_segmentation) with the length of the headers in the
    /// frame. Returns false if one of them fails.
    fn request_offload(&mut self, offload: &Offload) -> bool {
        if !self.injector.has_offloads() {
            return false;
        }
        let longest = self.injector.segment_len();
        let request = Request::of(offload, &*self, longest);
        request.is_some_and(|request| {
            let before = self.injector.request_mut();
            before.take_offload(request);
            true
        })
    }
}
