//! Several receiving halves forward through one transmitting half: none of them runs out of chunks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::time::Duration;

use common::*;
use netring_sys::PacketSink;
use netring_xdp::program::AttachMode;
use netring_xdp::{CopyMode, Receiver, Transmitter, Umem, UmemConfig, XdpSocket};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, Sniffer, numbered};

const FEW: u32 = 16;

/// Sends frames one by one to `rx`, which forwards each through `tx`, as a program does that polls
/// and never waits for a completion.
fn goes_on<'umem>(
    rx: &mut Receiver<'umem>,
    tx: &mut Transmitter<'umem>,
    sender: &Sender,
    sniffer: &Sniffer,
    count: u64,
) {
    for n in 0..count {
        sender.send(&numbered(n, 64)).unwrap();
        assert!(rx.wait(LIMIT / 5).unwrap(), "packet {n} never came");
        assert_eq!(rx.receive().forward(tx, |_| true).sent, 1);
        tx.flush().unwrap();
        assert_eq!(sniffer.receive(LIMIT).unwrap().unwrap(), numbered(n, 64));
        tx.flush().unwrap();
    }
}

/// The packets of a socket without a fill ring are in chunks of the socket that has it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_forwarder_without_a_fill_ring_leaves_no_completions_lying() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    let (sender, sniffer) = (Sender::on("v1").unwrap(), Sniffer::on("w1").unwrap());
    Umem::scope(&UmemConfig::new().chunks(8192), |umem| {
        let on = |interface| XdpSocket::builder(interface, 0).copy_mode(CopyMode::Copy);
        let mut first = on("v0").receive_chunks(FEW).open_receiver(umem)?;
        let mut second = on("v0").open_receiver(umem)?;
        let mut tx = on("w0").open_transmitter(umem)?;
        let _attached = attach("v0", AttachMode::Native, &second);
        for _ in 0..u64::from(FEW) * 4 {
            // It owns the fill ring, so it has to be served.
            drop(first.receive());
            goes_on(&mut second, &mut tx, &sender, &sniffer, 1);
        }
        conserved(umem);
        Ok(())
    })
    .unwrap();
}

/// One half with few chunks and one with many, some of whose completions may stay in the ring:
/// those of the other must not.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_forwarder_with_few_chunks_gets_them_back_beside_one_with_many() {
    for by_hand in [false, true] {
        let _ns = Netns::enter().unwrap();
        for (one, other) in [("v0", "v1"), ("w0", "w1"), ("x0", "x1")] {
            veth(one, other).unwrap();
        }
        let (to_few, to_many) = (Sender::on("v1").unwrap(), Sender::on("w1").unwrap());
        let sniffer = Sniffer::on("x1").unwrap();
        Umem::scope(&UmemConfig::new().chunks(8192), |umem| {
            let on = |interface| XdpSocket::builder(interface, 0).copy_mode(CopyMode::Copy);
            let mut few = on("v0").receive_chunks(FEW).open_receiver(umem)?;
            let mut many = on("w0").open_receiver(umem)?;
            let mut tx = on("x0").open_transmitter(umem)?;
            let _few = attach("v0", AttachMode::Native, &few);
            let _many = attach("w0", AttachMode::Native, &many);
            for n in 0..u64::from(FEW) {
                to_few.send(&numbered(n, 64)).unwrap();
            }
            std::thread::sleep(Duration::from_millis(50));
            let mut sent = 0;
            if by_hand {
                let mut received = few.receive();
                while let Some(chunk) = received.take() {
                    assert!(tx.send(chunk).is_ok());
                    sent += 1;
                }
            } else {
                sent = few.receive().forward(&mut tx, |_| true).sent;
            }
            assert_eq!(sent, u64::from(FEW));
            // All chunks of the first are in flight when the second forwards its last packet.
            to_many.send(&numbered(0, 64)).unwrap();
            assert!(many.wait(LIMIT)?);
            assert_eq!(many.receive().forward(&mut tx, |_| true).sent, 1);
            tx.flush()?;
            for _ in 0..=sent {
                assert!(sniffer.receive(LIMIT).unwrap().is_some());
            }
            // They have completed by now.
            tx.flush()?;
            few.wait(Duration::from_millis(1))?;
            goes_on(&mut few, &mut tx, &to_few, &sniffer, 4);
            conserved(umem);
            Ok(())
        })
        .unwrap();
    }
}
