//! Interfaces in two network namespaces may have the same index: an index identifies an interface
//! only together with its namespace.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::io;

use common::{conserved, ring, small, sniff_numbered, turn};
use netring_sys::{Error, Interface, PacketSink, wait};
use netring_xdp::{Transmitter, Umem, XdpSocket};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sniffer, numbered};

fn index() -> u32 {
    Interface::by_name("v0").unwrap().index
}

fn transmitter(umem: Umem<'_>) -> Result<Transmitter<'_>, Error> {
    let builder = XdpSocket::builder("v0", 0).transmit_ring(ring(64));
    builder.transmit_chunks(64).open_transmitter(umem)
}

/// Queue 0 of `v0` in one namespace and queue 0 of `v0` in the other are two queues, each with a
/// fill and a completion ring of its own.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn sockets_over_one_umem_may_be_on_the_same_index_in_two_namespaces() {
    let _turn = turn();
    let _here = Netns::enter().unwrap();
    let there = Netns::new().unwrap();
    veth("v0", "v1").unwrap();
    let other = there.run(|| veth("v0", "v1").map(|()| index())).unwrap();
    assert_eq!(index(), other, "the same number");
    let sniffer = Sniffer::on("v1").unwrap();
    let far = there.run(|| Sniffer::on("v1").map_err(io::Error::other));
    let far = far.unwrap();
    Umem::scope(&small(), |umem| {
        let mut near = transmitter(umem)?;
        let away = there.run(|| transmitter(umem).map_err(io::Error::other));
        let mut away = away.unwrap_or_else(|error| panic!("{error:?}"));
        // Another one on the same queue there, which shares that queue's rings.
        let third = there.run(|| transmitter(umem).map_err(io::Error::other));
        let mut third = third.unwrap_or_else(|error| panic!("{error:?}"));
        for n in 0..50 {
            for tx in [&mut near, &mut away, &mut third] {
                assert!(wait::send(tx, &numbered(n, 100), Some(common::LIMIT))?);
                // Received one by one: two of the three send to the same interface.
                assert_eq!(tx.drain(common::LIMIT)?, 0);
            }
        }
        sniff_numbered(&sniffer, 50, 100);
        for n in 0..100 {
            let frame = far.receive(common::LIMIT)?;
            assert_eq!(frame, Some(numbered(n / 2, 100)), "frame {n}");
        }
        for mut tx in [near, away, third] {
            let stats = tx.stats()?;
            assert_eq!((stats.committed, stats.pending), (50, 0));
        }
        conserved(umem);
        Ok(())
    })
    .unwrap();
}
