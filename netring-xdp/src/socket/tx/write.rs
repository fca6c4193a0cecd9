//! Frames that are written in place, many at a time.
#![deny(unsafe_code)]

use netring_sys::kernel::xdp::xdp_desc;

use super::TxHalf;
use crate::ring::Entry;

impl TxHalf {
    /// Shows a free chunk to `write` for each frame, up to `most`, and stages those whose length it
    /// returns. Returns how many were staged, and the length that ended it if that is not possible.
    #[inline]
    pub(crate) fn write_each(
        &mut self,
        most: u32,
        mut write: impl FnMut(&mut [u8]) -> usize,
    ) -> (u32, Option<usize>) {
        if self.features.short == 0 {
            return self.write_each_slowly(most, write);
        }
        let mut wanted = most.min(self.pool.len().min(self.tx.room(1)));
        if wanted < most {
            self.reclaim();
            wanted = most.min(self.pool.len().min(self.tx.room(most)));
        }
        let (mut count, mut bad) = (0, None);
        // Twice if the ring wraps in between.
        while count < wanted && bad.is_none() {
            let view = self.shared.region().view();
            let size = self.shared.geometry().chunk_size() as usize;
            let entries = self.tx.run(wanted - count);
            let room = entries.len();
            let mut written = 0;
            for (token, entry) in self.pool.free_mut().top_mut(room).iter_mut().zip(entries) {
                let (addr, bytes) = view.chunk(token);
                let len = write(bytes);
                if len == 0 || len > size {
                    bad = Some(len);
                    break;
                }
                let desc = xdp_desc {
                    addr,
                    len: len as u32,
                    options: 0,
                };
                desc.store(entry);
                written += 1;
            }
            self.pool.free_mut().give_up(room, written);
            self.stage_run(written as u32);
            count += written as u32;
        }
        self.publish_count();
        (count, bad)
    }
}
