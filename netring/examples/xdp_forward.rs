//! Sends what comes in on one interface out of another, without a copy: both sockets are over the same packet memory.
//! `cargo run --features xdp --example xdp_forward -- eth0 eth1 1000`. It ends when so many packets came, those that were lost included, or
//! after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use netring::xdp::program::{AttachMode, Program};
use netring::xdp::{Umem, UmemConfig};
use netring::{Error, Interface, PacketSink, XdpSocket};
use outcome::Time;

fn main() -> ExitCode {
    outcome::of(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("xdp_forward FROM TO [PACKETS [SECONDS]]");
    let (from, to) = (args.interface()?, args.interface()?);
    let wanted = u64::from(args.number("PACKETS", 10)?);
    let mut time = args.seconds(10)?;
    let became = forward(&from, &to, wanted, &mut time)?;
    println!(
        "{from} to {to}: {} sent, {} without room",
        became.sent, became.refused
    );
    if became.lost > 0 {
        println!(
            "{} lost: longer than a chunk, or faster than this program",
            became.lost
        );
    }
    if became.total() < wanted {
        println!(
            "the time is over: {} of {wanted} packets came",
            became.total()
        );
    }
    Ok(())
}

/// What became of the packets that came.
#[derive(Default)]
struct Became {
    sent: u64,
    /// The transmit ring had no room for them.
    refused: u64,
    /// The kernel had no place to put them.
    lost: u64,
}

impl Became {
    fn total(&self) -> u64 {
        self.sent + self.refused + self.lost
    }
}

/// Of the first queue.
fn forward(from: &str, to: &str, wanted: u64, time: &mut Time) -> Result<Became, Error> {
    Umem::scope(&UmemConfig::new(), |umem| {
        let mut rx = XdpSocket::builder(from, 0).open_receiver(umem)?;
        let mut tx = XdpSocket::builder(to, 0).open_transmitter(umem)?;

        let interface = Interface::by_name(from)?;
        let mut program = Program::redirect().queues(interface.rx_queues).load()?;
        program.sockets_mut().set(0, rx.as_fd())?;
        let _attached = program.attach(&interface, AttachMode::BestAvailable)?;

        let mut became = Became::default();
        while became.total() < wanted
            && let Some(left) = time.left()
        {
            // A packet that is lost wakes nobody.
            rx.wait(left.min(Duration::from_millis(100)))?;
            // Here a packet could be changed where it is, or be left out.
            let forwarded = rx.receive().forward(&mut tx, |_packet| true);
            became.sent += forwarded.sent;
            became.refused += forwarded.refused;
            tx.flush()?;
            let kernel = rx.stats()?;
            became.lost = kernel.ring_full + kernel.no_chunk;
        }
        tx.drain(Duration::from_secs(1))?;
        Ok(became)
    })
}
