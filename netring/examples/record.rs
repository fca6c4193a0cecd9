//! Records an interface in files until SIGTERM or Ctrl-C, and keeps the last five:
//! `cargo run --features rotation --example record -- eth0 '/tmp/eth0-%Y%m%d-{}.pcapng'`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::pcap::{CaptureWriter, Format, RotatingWriter};
use netring::{AsyncSource, Capture, adapters::Tee};
use tokio::signal::{ctrl_c, unix::SignalKind, unix::signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("record INTERFACE PATTERN [PACKETS]");
    let (interface, pattern) = (args.interface()?, args.path()?);

    let capture = Capture::open(&interface)?;
    let (index, about) = (capture.interface().index, capture.interface().into());
    let writer = RotatingWriter::builder(pattern.to_string_lossy())
        .writer(CaptureWriter::builder(Format::PcapNg).interface(index, about))
        .max_packets(args.number("PACKETS", 1_000_000)?.into())
        .keep(5)
        .on_finished(|file| println!("{}: {} packets", file.path.display(), file.packets))
        .create()?;
    let mut source = AsyncSource::new(Tee::new(capture, writer))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut more = true;
    while more {
        more = tokio::select! {
            batch = source.next_batch() => batch?.is_some(),
            _ = terminate.recv() => false,
            _ = ctrl_c() => false,
        };
    }
    let stats = source.stats()?;
    let (_, mut writer) = source.into_inner().finish()?;
    writer.set_statistics(index, stats)?;
    writer.finish()?;
    println!("{stats}");
    Ok(())
}
