//! Writes a capture file as pcapng, with all its information about the packets:
//! `cargo run --features compression --example convert -- trace.pcap.zst trace.pcapng.gz`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::path::Path;

use netring::pcap::{CaptureFile, CaptureWriter, Format};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("convert FROM TO");
    let (from, to) = (args.path()?, args.path()?);
    args.end()?;

    let mut file = CaptureFile::open(from)?;
    let mut settings = CaptureWriter::builder(Format::PcapNg);
    if let Some(section) = file.section() {
        settings = settings.section(section.clone());
    }
    if Path::new(&to).extension().is_some_and(|it| it == "gz") {
        settings = settings.gzip();
    }
    let mut writer = settings.create_new(to)?;
    // The packets before damage are written, and the file is still complete.
    let copied = writer.copy(&mut file);
    println!("{} packets", writer.packets());
    writer.finish()?;
    copied?;
    Ok(())
}
