//! A capture, written in every form.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use netring::pcap::{CaptureFile, CaptureWriter, Format};

use super::contents::Contents;
use crate::Result;

/// A form in which a capture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    name: &'static str,
    is_ng: bool,
    is_packed: bool,
}

pub(super) const FORMS: [Form; 4] = [
    Form {
        name: "pcapng",
        is_ng: true,
        is_packed: false,
    },
    Form {
        name: "pcapng.gz",
        is_ng: true,
        is_packed: true,
    },
    Form {
        name: "pcap",
        is_ng: false,
        is_packed: false,
    },
    Form {
        name: "pcap.gz",
        is_ng: false,
        is_packed: true,
    },
];

impl Form {
    pub(super) const fn is_ng(self) -> bool {
        self.is_ng
    }

    pub(super) fn is_first(self) -> bool {
        self == FORMS[0]
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A copy of a capture.
pub(super) struct Copy {
    pub(super) path: PathBuf,
    /// Blocks that the copy does not contain.
    pub(super) left_out: u64,
}

/// A folder for copies, which is deleted when this is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only a unique number is needed.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("netring-conformance-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Writes a capture in this form; `None` if it has none.
    pub(super) fn copy(&self, from: &Path, about: &Contents, form: Form) -> Result<Option<Copy>> {
        let mut file = CaptureFile::open(from)?;
        let format = match (form.is_ng, about.pcap_link_type()) {
            (true, _) => Format::PcapNg,
            (false, Some(link_type)) => Format::Pcap(link_type),
            (false, None) => return Ok(None),
        };
        let mut settings = CaptureWriter::builder(format);
        if let (true, Some(section)) = (form.is_ng, file.section()) {
            settings = settings.section(section.clone());
        }
        if form.is_packed {
            settings = settings.gzip();
        }
        let path = self.0.join(format!("copy.{form}"));
        let mut writer = settings.create(&path)?;
        // Damage at the end of the original is not a fault of the copy.
        if let Err(why) = writer.copy(&mut file)
            && about.end.is_ok()
        {
            return Err(why.into());
        }
        let left_out = writer.left_out();
        writer.finish()?;
        Ok(Some(Copy { path, left_out }))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about files that stay in the temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
