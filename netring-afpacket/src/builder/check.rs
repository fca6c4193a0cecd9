//! Which settings of a capture are possible.

use netring_sys::Error;
use netring_sys::syscall::page_size;

use super::CaptureBuilder;
use crate::rx::geometry::{FRAME_SIZE, MIN_BLOCKS, slot_size};

impl CaptureBuilder {
    /// Refuses settings that no kernel accepts, with a text that says what is allowed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let page = page_size();
        let refuse = |setting, why| Err(Error::Config { setting, why });
        self.check_interface()?;
        if self.block_size == 0 || !self.block_size.is_multiple_of(page) {
            let why = format!(
                "{} bytes; must be a multiple of the page size, which is {page} bytes here",
                self.block_size
            );
            return refuse("block_size", why);
        }
        if self.block_count < MIN_BLOCKS {
            let why = format!(
                "{}; a ring needs at least {MIN_BLOCKS} blocks, one for the kernel and one for the reader",
                self.block_count
            );
            return refuse("block_count", why);
        }
        // In the kernel a block's size is a positive `int`, the number of frames in the ring an
        // `unsigned int`.
        let bytes = self.block_size.checked_mul(self.block_count);
        let frame = self.slot_size().unwrap_or(FRAME_SIZE);
        let all_fit = |all| all <= isize::MAX as usize && all / frame <= u32::MAX as usize;
        if self.block_size > i32::MAX as usize || !bytes.is_some_and(all_fit) {
            let why = format!(
                "{} × {} bytes; a block must be smaller than 2 GiB, and a ring smaller than 8 TiB (4 billion slots) or than the address \
                 space",
                self.block_count, self.block_size
            );
            return refuse("block_count × block_size", why);
        }
        self.check_time(refuse)?;
        if self.snap_len == Some(0) {
            let why = "0 bytes; keep at least 1, or leave it unset to keep all".into();
            return refuse("snap_len", why);
        }
        self.check_kernel_filter()?;
        self.check_shape()?;
        self.check_card()?;
        if let Some(filter) = &self.filter {
            filter.check()?;
        }
        Ok(())
    }

    fn check_time(
        &self,
        refuse: impl Fn(&'static str, String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.immediate {
            if !self.retire_timeout.is_zero() {
                let why = "an immediate capture has no blocks to retire; leave it unset, or choose another profile";
                return refuse("retire_timeout", why.into());
            }
            if self.rx_hash {
                let why = "the ring of an immediate capture (TPACKET_V2) has no place for it; choose another profile, such as \
                           `Profile::LowLatency`";
                return refuse("rx_hash", why.into());
            }
            return Ok(());
        }
        let millis = self.retire_timeout.as_millis();
        let whole = self.retire_timeout.subsec_nanos().is_multiple_of(1_000_000);
        if !(1..=u128::from(u16::MAX)).contains(&millis) || !whole {
            let why = format!(
                "{:?}; must be 1 to 65,535 whole milliseconds",
                self.retire_timeout
            );
            return refuse("retire_timeout", why);
        }
        Ok(())
    }

    /// Bytes of a slot, if each packet has one to itself.
    pub(crate) fn slot_size(&self) -> Option<usize> {
        let (snap_len, extra) = (self.snap_len, self.shape_bytes());
        self.immediate
            .then(|| slot_size(self.block_size, snap_len, extra))
    }
}
