//! The description of a pcapng file's origin.

use std::borrow::Cow;

use super::block::{COMMENT, SHB_HARDWARE, SHB_OS, SHB_USERAPPL};
use super::options::Options;

/// The machine and the program that made a section of a pcapng file, and comments on it.
///
/// ```
/// use netring::pcap::Section;
///
/// let section = Section::new().with_application("probe 1.2").with_comment("rack 7");
/// assert_eq!(section.application().as_deref(), Some("probe 1.2"));
/// assert_eq!(section.os(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "SHB")]
pub struct Section {
    pub(super) options: Options,
}

impl Section {
    /// An empty description.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hardware of the machine.
    #[doc(alias = "shb_hardware")]
    pub fn hardware(&self) -> Option<Cow<'_, str>> {
        self.options.text(SHB_HARDWARE)
    }

    /// The operating system.
    #[doc(alias = "shb_os")]
    pub fn os(&self) -> Option<Cow<'_, str>> {
        self.options.text(SHB_OS)
    }

    /// The program that made it.
    #[doc(alias = "shb_userappl")]
    pub fn application(&self) -> Option<Cow<'_, str>> {
        self.options.text(SHB_USERAPPL)
    }

    /// Its comments, in order.
    #[doc(alias = "opt_comment")]
    pub fn comments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.options.comments()
    }

    /// Sets the hardware. Like any text of the format it has up to 65,535 bytes, and is cut there.
    #[must_use]
    pub fn with_hardware(mut self, text: &str) -> Self {
        self.options.set(SHB_HARDWARE, text.as_bytes());
        self
    }

    /// Sets the operating system.
    #[must_use]
    pub fn with_os(mut self, text: &str) -> Self {
        self.options.set(SHB_OS, text.as_bytes());
        self
    }

    /// Sets the program.
    #[must_use]
    pub fn with_application(mut self, text: &str) -> Self {
        self.options.set(SHB_USERAPPL, text.as_bytes());
        self
    }

    /// Adds a comment.
    #[must_use]
    pub fn with_comment(mut self, text: &str) -> Self {
        self.options.push(COMMENT, text.as_bytes());
        self
    }
}
