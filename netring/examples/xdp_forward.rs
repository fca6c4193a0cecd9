//! Forwards packets from one interface to another without a copy: both sockets share packet memory.
//! `cargo run --features xdp --example xdp_forward -- eth0 eth1 1000`. It ends after that many
//! packets, lost ones included, or after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::os::fd::AsFd;
use std::time::Duration;

use netring::xdp::program::{AttachMode, Program};
use netring::xdp::{Umem, UmemConfig};
use netring::{Error, Interface, PacketSink, XdpSocket};
use outcome::Time;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("xdp_forward FROM TO [PACKETS [SECONDS]]");
    let (from, to) = (args.interface()?, args.interface()?);
    let wanted = u64::from(args.number("PACKETS", 10)?);
    let mut time = args.seconds(10)?;
    let outcome = forward(&from, &to, wanted, &mut time)?;
    println!(
        "{from} to {to}: {} sent, {} without room",
        outcome.sent, outcome.refused
    );
    if outcome.lost > 0 {
        println!(
            "{} lost: longer than a chunk, or too fast for this program",
            outcome.lost
        );
    }
    if outcome.total() < wanted {
        println!(
            "time is up: received {} of {wanted} packets",
            outcome.total()
        );
    }
    Ok(())
}

/// The fate of the received packets.
#[derive(Default)]
struct Outcome {
    sent: u64,
    /// Packets for which the transmit ring had no room.
    refused: u64,
    /// Packets for which the kernel had no room.
    lost: u64,
}

impl Outcome {
    fn total(&self) -> u64 {
        self.sent + self.refused + self.lost
    }
}

/// Forwards the packets of the first queue.
fn forward(from: &str, to: &str, wanted: u64, time: &mut Time) -> Result<Outcome, Error> {
    Umem::scope(&UmemConfig::new(), |umem| {
        let mut rx = XdpSocket::builder(from, 0).open_receiver(umem)?;
        let mut tx = XdpSocket::builder(to, 0).open_transmitter(umem)?;

        let interface = Interface::by_name(from)?;
        let mut program = Program::redirect().queues(interface.rx_queues).load()?;
        program.sockets_mut().set(0, rx.as_fd())?;
        let _attached = program.attach(&interface, AttachMode::BestAvailable)?;

        let mut outcome = Outcome::default();
        while outcome.total() < wanted
            && let Some(left) = time.left()
        {
            // A lost packet does not end the wait.
            rx.wait(left.min(Duration::from_millis(100)))?;
            // The closure can change a packet in place, or return false to drop it.
            let forwarded = rx.receive().forward(&mut tx, |_packet| true);
            outcome.sent += forwarded.sent;
            outcome.refused += forwarded.refused;
            tx.flush()?;
            let kernel = rx.stats()?;
            outcome.lost = kernel.ring_full + kernel.no_chunk;
        }
        tx.drain(Duration::from_secs(1))?;
        Ok(outcome)
    })
}
