//! Room for one frame, and its requests.
#![deny(unsafe_code)]

use netring_sys::{Error, PacketSlot};

use super::{Request, TxHalf, not_opened};

/// Room for one frame in the transmit ring; see [`PacketSlot`].
#[derive(Debug)]
#[must_use = "a slot that is not committed is not sent"]
pub struct Slot<'a> {
    half: &'a mut TxHalf,
    len: u32,
    /// The frame does not fit a chunk, or there may be a request with it.
    slow_path: bool,
}

impl<'a> Slot<'a> {
    #[inline]
    pub(crate) fn new(half: &'a mut TxHalf, len: usize) -> Result<Option<Self>, Error> {
        // A length of 0 wraps to the longest of all.
        let slow_path = len.wrapping_sub(1) >= half.features.short;
        let room = if slow_path {
            match Self::room_for_long(half, len) {
                Some(room) => room,
                None => {
                    let max = half.features.max_len;
                    return Err(Error::FrameLength { len, max });
                }
            }
        } else {
            half.has_room_for_one()
        };
        Ok(room.then_some(Self {
            half,
            len: len as u32,
            slow_path,
        }))
    }

    /// Whether there is room for a frame on the slow path; `None` if it is too long or empty.
    #[cold]
    fn room_for_long(half: &mut TxHalf, len: usize) -> Option<bool> {
        if len == 0 || len > half.features.max_len {
            half.refused += 1;
            return None;
        }
        half.features.request = Request::NONE;
        Some(half.has_room(half.pieces(len)))
    }

    /// Requests a checksum over the frame from byte `start` on, stored in the two bytes at `start +
    /// offset`: for UDP over IPv4 without options `start` is 34 and `offset` 6. When the frame is
    /// committed, these two bytes must hold the sum of the pseudo-header, not its complement.
    ///
    /// In copy mode the kernel computes it or has the driver do so; see
    /// [`UmemConfig::software_checksum`](crate::UmemConfig::software_checksum). In zero-copy mode
    /// the card does.
    ///
    /// ```no_run
    /// use netring_sys::{PacketSink, PacketSlot};
    /// use netring_xdp::XdpInjector;
    ///
    /// # fn udp() -> Vec<u8> { vec![0; 60] }
    /// let mut injector = XdpInjector::builder("eth0")
    ///     .transmit_metadata(true)
    ///     .build()?;
    /// let frame: Vec<u8> = udp();
    /// if let Some(mut slot) = injector.slot(frame.len())? {
    ///     slot.copy_from_slice(&frame);
    ///     slot.request_checksum(34, 6)?;
    ///     slot.request_timestamp(1)?;
    ///     slot.commit();
    /// }
    /// injector.drain(None)?;
    /// for (number, time) in injector.transmit_timestamps() {
    ///     println!("frame {number} went out at {time}");
    /// }
    /// # Ok::<(), netring_xdp::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Request`] if the socket was opened without `transmit_metadata`, the two bytes are
    /// not inside the frame or its first chunk, or the driver does not support it. The slot stays
    /// as it was.
    pub fn request_checksum(&mut self, start: usize, offset: usize) -> Result<(), Error> {
        let first = self.first_len("checksum")?;
        let mut request = self.half.features.request;
        request.set_checksum(start, offset, first)?;
        self.request(request, first)
    }

    /// Requests the time at which the frame goes out. Once the frame is completed,
    /// [`XdpInjector::transmit_timestamps`](crate::XdpInjector::transmit_timestamps) returns it
    /// with `id`, which the caller chooses.
    ///
    /// In copy mode it is the kernel's time ([`Clock::Tai`](netring_sys::Clock::Tai)) at which it
    /// was done with the frame, even if it dropped it; in zero-copy mode the card's
    /// ([`Clock::Hardware`](netring_sys::Clock::Hardware)).
    ///
    /// # Errors
    /// [`Error::Request`] if the socket was opened without `transmit_metadata`, the driver does not
    /// support it, or the socket's frames are completed to another socket of the same queue. The
    /// slot stays as it was.
    pub fn request_timestamp(&mut self, id: u64) -> Result<(), Error> {
        let first = self.first_len("timestamp")?;
        let mut request = self.half.features.request;
        request.timestamp = Some(id);
        self.request(request, first)
    }

    fn request(&mut self, request: Request, first: usize) -> Result<(), Error> {
        let only = self.half.pieces(self.len()) == 1;
        request.check(&self.half.features.offloads, first, only)?;
        self.half.features.request = request;
        Ok(())
    }

    /// Bytes of the frame that are in its first chunk.
    fn first_len(&self, request: &'static str) -> Result<usize, Error> {
        let geometry = self.half.shared.geometry();
        if geometry.front() == 0 {
            return Err(not_opened(request));
        }
        Ok(self.len().min(geometry.transmit_room() as usize))
    }

    #[cold]
    fn long(&self) -> &[u8] {
        let (geometry, len) = (self.half.shared.geometry(), self.len);
        if len > geometry.transmit_room() {
            return self
                .half
                .features
                .scratch
                .get(..len as usize)
                .unwrap_or_default();
        }
        let token = self.half.pool.next();
        token.map_or(&[], |token| {
            self.half
                .shared
                .region()
                .bytes(token, geometry.front(), len)
        })
    }

    #[cold]
    fn long_mut(&mut self) -> &mut [u8] {
        let (geometry, len) = (self.half.shared.geometry(), self.len);
        if len > geometry.transmit_room() {
            let scratch = self.half.features.scratch.get_mut(..len as usize);
            return scratch.unwrap_or_default();
        }
        match self.half.pool.next_mut() {
            Some(token) => self
                .half
                .shared
                .region()
                .bytes_mut(token, geometry.front(), len),
            None => &mut [],
        }
    }
}

impl std::ops::Deref for Slot<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.slow_path {
            return self.long();
        }
        let region = self.half.shared.region();
        let token = self.half.pool.next();
        token.map_or(&[], |token| region.bytes(token, 0, self.len))
    }
}

impl std::ops::DerefMut for Slot<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        if self.slow_path {
            return self.long_mut();
        }
        let region = self.half.shared.region();
        match self.half.pool.next_mut() {
            Some(token) => region.bytes_mut(token, 0, self.len),
            None => &mut [],
        }
    }
}

impl PacketSlot for Slot<'_> {
    #[inline]
    fn commit(self) {
        // The slot is the next chunk of the pool, or several: they leave it only now.
        if self.slow_path {
            return self.half.stage_slot(self.len);
        }
        self.half.stage_next(self.len);
    }
}
