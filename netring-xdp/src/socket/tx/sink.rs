//! The sending half as a packet sink, and the types that hold one.
#![deny(unsafe_code)]

use netring_sys::{Error, PacketSink, SinkStats};

use super::{Slot, TxHalf};

impl PacketSink for TxHalf {
    type Slot<'a> = Slot<'a>;

    #[inline]
    fn room(&mut self) -> Result<usize, Error> {
        Ok(Self::room(self) as usize)
    }

    #[inline]
    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        Slot::new(self, len)
    }

    fn flush(&mut self) -> Result<usize, Error> {
        Self::flush(self).map(|left| left as usize)
    }

    fn stats(&mut self) -> Result<SinkStats, Error> {
        Self::stats(self)
    }

    fn max_len(&self) -> usize {
        self.features.max_len
    }

    fn pending(&mut self) -> Result<u64, Error> {
        Ok(Self::pending(self))
    }
}

/// Implements the sending functions of a type with a sending half in its field `half`.
macro_rules! sending_half {
    ($type:ty) => {
        impl $type {
            /// Sends everything that was committed, and waits until it is completed or the timeout
            /// expires. Returns how many frames are still in flight; `None` waits forever.
            ///
            /// # Errors
            /// Those of [`flush`](netring_sys::PacketSink::flush).
            pub fn drain(
                &mut self,
                timeout: impl Into<Option<std::time::Duration>>,
            ) -> Result<u64, netring_sys::Error> {
                netring_sys::wait::drain(self, timeout.into())
            }

            /// Timestamps of frames that were sent and requested one
            /// ([`Slot::request_timestamp`](crate::Slot::request_timestamp)), as far as they are
            /// there now.
            ///
            /// As many wait to be read as the packet memory has chunks. Later ones are discarded,
            /// and counted in [`TimestampStats::lost`](crate::TimestampStats::lost).
            pub fn transmit_timestamps(&mut self) -> $crate::TransmitTimestamps<'_> {
                self.half.transmit_timestamps()
            }

            /// The fate of the requested timestamps.
            pub fn timestamp_stats(&mut self) -> $crate::TimestampStats {
                self.half.timestamp_stats()
            }

            /// System calls made to wake the kernel.
            pub const fn kicks(&self) -> u64 {
                self.half.kicks()
            }
        }

        impl netring_sys::PacketSink for $type {
            type Slot<'a>
                = $crate::Slot<'a>
            where
                Self: 'a;

            #[inline]
            fn room(&mut self) -> Result<usize, netring_sys::Error> {
                netring_sys::PacketSink::room(&mut self.half)
            }

            #[inline]
            fn slot(&mut self, len: usize) -> Result<Option<$crate::Slot<'_>>, netring_sys::Error> {
                self.half.slot(len)
            }

            fn flush(&mut self) -> Result<usize, netring_sys::Error> {
                netring_sys::PacketSink::flush(&mut self.half)
            }

            fn stats(&mut self) -> Result<netring_sys::SinkStats, netring_sys::Error> {
                netring_sys::PacketSink::stats(&mut self.half)
            }

            fn max_len(&self) -> usize {
                self.half.max_len()
            }

            fn pending(&mut self) -> Result<u64, netring_sys::Error> {
                netring_sys::PacketSink::pending(&mut self.half)
            }
        }
    };
}

pub(crate) use sending_half;
