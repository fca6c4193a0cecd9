//! Copying the contents of another file.

use std::io::{Read, Write};

use super::{CaptureWriter, Format};
use crate::pcap::read::{Batch, Block, CaptureFile};
use crate::{Error, PacketSource, Readiness};

impl<W: Write> CaptureWriter<W> {
    /// Writes the rest of a file, in its order: sections, interfaces, packets with their options,
    /// and the [blocks](Batch::blocks) that belong to no packet. Returns the number of packets. In
    /// a pcap file only the packets are written.
    ///
    /// The first section is that of [`WriterBuilder::section`](super::WriterBuilder::section),
    /// since it is in the file already. Times are in nanoseconds if theirs are finer, and in
    /// little-endian order like everything else. Parts marked as not to be copied are left out, and
    /// so are invalid blocks and blocks of unknown kinds: [`left_out`](Self::left_out) counts them.
    ///
    /// # Errors
    /// The errors of the file, after the packets before them, and those of
    /// [`write`](crate::PacketWriter::write).
    pub fn copy<R: Read>(&mut self, file: &mut CaptureFile<R>) -> Result<u64, Error> {
        let before = self.packets();
        let lent = file.set_lending(true);
        let copied = self.copy_batches(file);
        file.set_lending(lent);
        copied.map(|()| self.packets() - before)
    }

    /// Blocks that [`copy`](Self::copy) did not write: the format has none, they are marked as not
    /// to be copied, or they are invalid.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Writes a block of a file that belongs to no packet. Returns false for a block that is not
    /// written: it is marked as not to be copied, is invalid, or belongs to an interface that is
    /// not in this file.
    ///
    /// # Errors
    /// The errors of [`write`](crate::PacketWriter::write). A pcap file has no blocks: false.
    pub fn write_block(&mut self, block: &Block<'_>) -> Result<bool, Error> {
        self.out.check_open()?;
        self.out.make_room(&self.encoder, block.body().len())?;
        Ok(self.encoder.copied(self.out.buffer(), block))
    }

    fn copy_batches<R: Read>(&mut self, file: &mut CaptureFile<R>) -> Result<(), Error> {
        // Interfaces of the section that are described.
        let (mut section, mut described) = (file.sections(), 0);
        loop {
            let found = file.wait(None);
            if file.sections() > section && matches!(self.format(), Format::PcapNg) {
                section = file.sections();
                described = 0;
                self.next_section(file)?;
            }
            described += self.adopt(file, described)?;
            if found? != Readiness::Ready {
                return Ok(());
            }
            self.copy_batch(&file.batch())?;
        }
    }

    fn copy_batch(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        let mut blocks = batch.blocks().peekable();
        for (number, record) in batch.records().enumerate() {
            while let Some(block) = blocks.next_if(|block| block.packets_before() <= number) {
                self.copy_block(&block)?;
            }
            self.write_record(&record)?;
        }
        blocks.try_for_each(|block| self.copy_block(&block))
    }

    fn copy_block(&mut self, block: &Block<'_>) -> Result<(), Error> {
        let written = self.write_block(block)?;
        self.left_out += u64::from(!written);
        Ok(())
    }

    fn next_section<R: Read>(&mut self, file: &CaptureFile<R>) -> Result<(), Error> {
        self.out.check_open()?;
        let section = file.section().cloned().unwrap_or_default();
        let len = section.options.bytes().len();
        self.out.make_room(&self.encoder, len)?;
        self.encoder.next_section(self.out.buffer(), section);
        Ok(())
    }

    /// Describes the interfaces of a section from this one on that are not known yet. Returns their
    /// number.
    fn adopt<R: Read>(&mut self, file: &CaptureFile<R>, first: usize) -> Result<usize, Error> {
        let mut seen = 0;
        if matches!(self.format(), Format::PcapNg) {
            for (interface, description) in file.interfaces_from(first) {
                seen += 1;
                if !self.encoder.knows(interface, description.link_type) {
                    self.describe(interface, description)?;
                }
            }
        }
        Ok(seen)
    }
}
