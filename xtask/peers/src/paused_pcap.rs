//! libpcap, through the crate `pcap`, with its default settings and a reader that pauses.

use std::io::Read;

use pcap::Capture;

use crate::Result;

/// Reads nothing: what libpcap has not dropped by the end of the pause is what it kept.
pub(crate) fn run(interface: &str) -> Result<()> {
    let mut capture = Capture::from_device(interface)?.open()?;
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    println!("dropped {}", capture.stats()?.dropped);
    Ok(())
}
