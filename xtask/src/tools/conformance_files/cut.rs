//! A capture that is cut short.

use std::path::Path;

use netring::pcap::CaptureFile;

use super::contents::Contents;
use crate::Result;

/// How often a capture is cut.
const CUTS: usize = 8;
/// A longer one is not cut.
const LONGEST: usize = 4 << 20;

/// Cuts a capture in several places, and reads the rest. Returns how often, and how it differs.
pub(super) fn check(path: &Path, original: &Contents) -> Result<(u64, Option<String>)> {
    let bytes = std::fs::read(path)?;
    if bytes.len() > LONGEST {
        return Ok((0, None));
    }
    let mut cuts = 0;
    for n in 1..=CUTS {
        let cut = bytes.len() * n / (CUTS + 1);
        // Without the header of a file, nothing can be read.
        let Ok(file) = CaptureFile::new(&bytes[..cut]) else {
            continue;
        };
        cuts += 1;
        let found = Contents::read(file);
        let count = found.packets.len();
        if count > original.packets.len() {
            return Ok((
                cuts,
                Some(format!("cut to {cut} bytes it has {count} packets")),
            ));
        }
        let mut both = found.packets.iter().zip(&original.packets);
        // A packet without a time may take that of one that is cut off.
        if let Some(at) = both.position(|(this, that)| that.has_time() && !this.is_like(that)) {
            return Ok((
                cuts,
                Some(format!("cut to {cut} bytes, packet {} differs", at + 1)),
            ));
        }
    }
    Ok((cuts, None))
}
