//! Sends what comes in on one interface out of another, without a copy: both sockets are over the same packet memory.
//! `cargo run --features xdp --example xdp_forward -- eth0 eth1 1000`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use netring::xdp::program::{AttachMode, Program};
use netring::xdp::{Umem, UmemConfig};
use netring::{Error, Interface, PacketSink, XdpSocket};

fn main() -> ExitCode {
    outcome::of(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("usage: xdp_forward FROM TO [PACKETS]".into());
    };
    let wanted = args.next().map_or(Ok(10), |packets| packets.parse())?;
    let (sent, refused) = forward(&from, &to, wanted)?;
    println!("{from} to {to}: {sent} sent, {refused} without room");
    Ok(())
}

/// Of the first queue; how many were sent, and how many found no room in the transmit ring.
fn forward(from: &str, to: &str, wanted: u64) -> Result<(u64, u64), Error> {
    Umem::scope(&UmemConfig::new(), |umem| {
        let mut rx = XdpSocket::builder(from, 0).open_receiver(umem)?;
        let mut tx = XdpSocket::builder(to, 0).open_transmitter(umem)?;

        let interface = Interface::by_name(from)?;
        let mut program = Program::redirect().queues(interface.rx_queues).load()?;
        program.sockets_mut().set(0, rx.as_fd())?;
        let _attached = program.attach(&interface, AttachMode::BestAvailable)?;

        let (mut sent, mut refused) = (0, 0);
        while sent < wanted {
            rx.wait(Duration::from_secs(1))?;
            // Here a packet could be changed where it is, or be left out.
            let forwarded = rx.receive().forward(&mut tx, |_packet| true);
            sent += forwarded.sent;
            refused += forwarded.refused;
            tx.flush()?;
        }
        tx.drain(Duration::from_secs(1))?;
        Ok((sent, refused))
    })
}
