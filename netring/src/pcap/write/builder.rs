//! The settings of a file that is written.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::CaptureWriter;
use super::encoder::Encoder;
use super::format::Format;
use super::out::{Out, Output};
use crate::Error;
use crate::pcap::error::FileError;
use crate::pcap::interface::InterfaceDescription;
use crate::pcap::section::Section;

/// Settings of a [`CaptureWriter`]; they can be used for many files.
///
/// ```no_run
/// use netring::LinkType;
/// use netring::pcap::{CaptureWriter, Format, InterfaceDescription, Section};
///
/// let uplink = InterfaceDescription::new(LinkType::ETHERNET).with_name("eth0");
/// let writer = CaptureWriter::builder(Format::PcapNg)
///     .section(Section::new().with_application("probe 1.2"))
///     .interface(4, uplink)
///     .create_new("trace.pcapng")?;
/// # Ok::<(), netring::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WriterBuilder {
    format: Format,
    section: Option<Section>,
    interfaces: Vec<(u32, InterfaceDescription)>,
    #[cfg(feature = "compression")]
    gzip: bool,
}

impl WriterBuilder {
    pub(super) const fn new(format: Format) -> Self {
        Self {
            format,
            section: None,
            interfaces: Vec::new(),
            #[cfg(feature = "compression")]
            gzip: false,
        }
    }

    /// The description of the machine and the program in a pcapng file. By default the program is
    /// this library, and the machine is not described.
    #[must_use]
    pub fn section(mut self, section: Section) -> Self {
        self.section = Some(section);
        self
    }

    /// Adds an interface of a pcapng file, as [`CaptureWriter::describe`] does.
    #[must_use]
    pub fn interface(mut self, index: u32, description: InterfaceDescription) -> Self {
        self.interfaces.push((index, description));
        self
    }

    /// Compresses the file with gzip, at its fastest level. There is no zstd: its encoder in Rust
    /// takes twice as long for a file that is no smaller. Wireshark and [`CaptureFile`] read such
    /// files as they are; tcpdump does not.
    ///
    /// Packets are in the file once it was flushed, and the file is complete only at its end. A
    /// flush costs a few bytes, so one for each packet makes the file larger.
    ///
    /// [`CaptureFile`]: crate::pcap::CaptureFile
    #[cfg(feature = "compression")]
    #[must_use]
    pub const fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    /// Creates the file of this path, or replaces it.
    ///
    /// # Errors
    /// [`Error::Source`] with a [`FileError`] if the file cannot be created or written;
    /// [`Error::Config`] for settings that its format does not support, for
    /// [`LinkType::UNKNOWN`](crate::LinkType::UNKNOWN), and for an interface that is described
    /// twice.
    pub fn create(&self, path: impl AsRef<Path>) -> Result<CaptureWriter, Error> {
        self.open(
            path.as_ref(),
            OpenOptions::new().create(true).truncate(true),
        )
    }

    /// Creates the file of this path, which must not exist.
    ///
    /// # Errors
    /// As [`create`](Self::create), and if the path exists.
    pub fn create_new(&self, path: impl AsRef<Path>) -> Result<CaptureWriter, Error> {
        self.open(path.as_ref(), OpenOptions::new().create_new(true))
    }

    /// Writes to anything that takes the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Source`] with a [`FileError`] if it cannot be written to; [`Error::Config`] as
    /// [`create`](Self::create).
    pub fn write_to<W: Write>(&self, to: W) -> Result<CaptureWriter<W>, Error> {
        let out = Out::new(self.output(to), "the capture file".into());
        CaptureWriter::begin(out, self.encoder()?)
    }

    fn open(&self, path: &Path, options: &mut OpenOptions) -> Result<CaptureWriter, Error> {
        let name = path.display().to_string();
        let encoder = self.encoder()?;
        let file = options.write(true).open(path);
        let file = file.map_err(|error| FileError::Open(Arc::new(error)).of(&name))?;
        self.begin(file, name, encoder)
    }

    /// Begins a file with what an encoder knows of its interfaces.
    pub(in crate::pcap) fn begin(
        &self,
        file: File,
        name: String,
        encoder: Encoder,
    ) -> Result<CaptureWriter, Error> {
        // One that never had a name cannot lose it.
        let has_name = !is_removed(&file);
        let mut out = Out::new(self.output(file), name);
        if has_name {
            out.watch(is_removed);
        }
        CaptureWriter::begin(out, encoder)
    }

    fn output<W: Write>(&self, to: W) -> Output<W> {
        #[cfg(feature = "compression")]
        if self.gzip {
            return Output::gzip(to);
        }
        Output::plain(to)
    }

    /// What writes the format, with the interfaces that were described.
    pub(in crate::pcap) fn encoder(&self) -> Result<Encoder, Error> {
        Encoder::new(self.format, self.section.as_ref(), &self.interfaces)
    }
}

/// Whether a file has no name any more.
fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|about| about.nlink() == 0)
}
