//! Packet memory and settings: what is refused before the kernel is asked, and what the kernel
//! accepts. Also runs in a user namespace, where 8 MiB of memory may be locked.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::os::fd::AsFd;
use std::time::Duration;

use common::bare::{BareSender, Cut};
use common::*;
use netring_sys::kernel::xdp::{XDP_UMEM_UNALIGNED_CHUNK_FLAG, xdp_desc, xdp_umem_reg};
use netring_sys::{Count, Error, Mmap, PacketSink, syscall};
use netring_xdp::{CopyMode, HugePages, Umem, UmemConfig, XdpInjector, XdpSocket};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sniffer, numbered};

/// What is refused here, the kernel refuses too; what is allowed, it accepts.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s20_the_kernel_agrees_with_what_is_refused() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let memory = Mmap::anonymous(64 * 4096).unwrap();
    let kernel_takes = |chunk_size: u32, headroom: u32, unaligned: bool| {
        let flags = if unaligned {
            XDP_UMEM_UNALIGNED_CHUNK_FLAG
        } else {
            0
        };
        let request = xdp_umem_reg {
            chunk_size,
            headroom,
            flags,
            ..xdp_umem_reg::default()
        };
        let socket = syscall::xdp_socket().unwrap();
        let taken = syscall::set_xdp_umem(socket.as_fd(), &memory, &request);
        // The limit of locked memory is a separate matter.
        !matches!(taken, Err(error) if error.is(22))
    };
    for chunk_size in [0, 1024, 2047, 2048, 3000, 4001, 4096, 8192, u32::MAX] {
        for headroom in [0, 128, 1344, 1345, 3392, 3393, 3840, u32::MAX] {
            for unaligned in [false, true] {
                let config = UmemConfig::new()
                    .chunk_size(chunk_size)
                    .chunks(32)
                    .headroom(headroom)
                    .unaligned(unaligned);
                let ours = Umem::scope(&config, |_| Ok(()));
                let kernel = kernel_takes(chunk_size, headroom, unaligned);
                assert_eq!(
                    ours.is_ok(),
                    kernel,
                    "{chunk_size} {headroom} {unaligned}: {ours:?}"
                );
            }
        }
    }
}

/// A flag that the kernel does not know is refused, and not dropped by using a shorter form of the
/// struct.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x12_a_flag_is_taken_or_refused() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    let memory = Mmap::anonymous(64 * 4096).unwrap();
    // (The bits in between are left to future kernels.)
    for bit in (0..3).chain(16..32) {
        let request = xdp_umem_reg {
            chunk_size: 2048,
            flags: 1 << bit,
            tx_metadata_len: if bit == 2 { 24 } else { 0 },
            ..xdp_umem_reg::default()
        };
        let socket = syscall::xdp_socket().unwrap();
        let taken = syscall::set_xdp_umem(socket.as_fd(), &memory, &request);
        assert_eq!(taken.is_ok(), bit < 3, "{bit}: {taken:?}");
    }
}

/// With the flags of the struct's second generation and without. The unit test of the call shows
/// which lengths are tried.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x12_the_running_kernel_takes_what_is_registered() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for unaligned in [false, true] {
        let size = if unaligned { 3000 } else { 2048 };
        let config = UmemConfig::new()
            .chunk_size(size)
            .chunks(256)
            .unaligned(unaligned);
        Umem::scope(&config, |umem| {
            let mut tx = XdpSocket::builder("v0", 0)
                .transmit_ring(ring(64))
                .open_transmitter(umem)?;
            for n in 0..50 {
                assert!(tx.send_frame(&numbered(n, 100)));
            }
            assert_eq!(tx.drain(LIMIT)?, 0);
            sniff_numbered(&sniffer, 50, 100);
            conserved(umem);
            Ok(())
        })
        .unwrap();
    }
}

/// With metadata, the kernel accepts no descriptor whose metadata would begin outside its chunk,
/// even if it has none; nor do we.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x4_the_kernel_agrees_with_what_stands_before_a_frame() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let cut = Cut {
        chunk_size: 2048,
        chunks: 4,
        unaligned: false,
    };
    let bare = BareSender::bind_with_metadata("v0", cut, 24);
    let desc = |addr, len| xdp_desc {
        addr,
        len,
        options: 0,
    };
    for (addr, len, taken) in [
        (24, 64, true),
        (24, 2024, true),
        (2048 + 24, 64, true),
        (8192 - 64, 64, true),
        (0, 64, false),
        (20, 64, false),
        (2048, 64, false),
        (2048 + 20, 64, false),
        (24, 2028, false),
    ] {
        let invalid = bare.statistics().tx_invalid_descs;
        bare.publish(&[desc(addr, len)]);
        bare.kick_all();
        let now = bare.statistics().tx_invalid_descs;
        assert_eq!(now - invalid, u64::from(!taken), "{addr} {len}");
    }
    // (Frames longer than the MTU are accepted but not sent.)
    for _ in 0..3 {
        assert_eq!(sniffer.receive(LIMIT).unwrap().unwrap().len(), 64);
    }
    assert_eq!(sniffer.receive(Duration::from_millis(20)).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn huge_pages_are_used_or_the_reason_is_reported() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    let config = UmemConfig::new().chunks(64);
    let with = |pages| config.clone().huge_pages(pages);
    Umem::scope(&with(HugePages::No), |umem| {
        assert!(!umem.is_huge() && umem.why_not_huge().is_none());
        Ok(())
    })
    .unwrap();
    let set_aside = std::fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap();
    let there = set_aside.trim() != "0";
    Umem::scope(&with(HugePages::Try), |umem| {
        assert_eq!(umem.is_huge(), umem.why_not_huge().is_none());
        assert_eq!(umem.is_huge(), there);
        Ok(())
    })
    .unwrap();
    let required = Umem::scope(&with(HugePages::Require), |umem| {
        assert!(umem.is_huge());
        Ok(())
    });
    assert_eq!(required.is_ok(), there);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn settings_that_cannot_be_are_refused_with_a_sentence() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let reported = |error: Error, sentence: &str| {
        let text = error.to_string();
        assert!(text.contains(sentence), "{text}");
    };
    Umem::scope(&small(), |umem| {
        let open = |interface, queue| XdpSocket::builder(interface, queue).open(umem);
        reported(
            open("v0", 7).unwrap_err(),
            "queue: 7 does not exist: v0 has 1, numbered from 0",
        );
        reported(
            open("nowhere", 0).unwrap_err(),
            "there is no interface \"nowhere\"",
        );
        // 2048 chunks to receive and 2048 to send, of 1024.
        reported(
            open("v0", 0).unwrap_err(),
            "2048 requested, but only 1024 of the UMEM's 1024 are left",
        );
        let none = XdpSocket::builder("v0", 0).receive_chunks(0);
        reported(none.open_receiver(umem).unwrap_err(), "at least one chunk");
        let strict = XdpSocket::builder("v0", 0).copy_mode(CopyMode::ZeroCopy);
        let refused = strict.open(umem).unwrap_err();
        assert!(matches!(refused, Error::Syscall(_)), "{refused}");
        Ok(())
    })
    .unwrap();
    let odd = UmemConfig::new()
        .chunk_size(3000)
        .chunks(64)
        .unaligned(true);
    Umem::scope(&odd, |umem| {
        let strict = XdpSocket::builder("v0", 0).copy_mode(CopyMode::ZeroCopy);
        reported(strict.open(umem).unwrap_err(), "needs huge pages");
        Ok(())
    })
    .unwrap();
    let first = injector(64);
    let start = std::time::Instant::now();
    let second = XdpInjector::open("v0").unwrap_err();
    reported(second, "queue 0 of v0 already has an AF_XDP socket");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "patience has an end"
    );
    drop(first);
    // The retry also covers a queue that the kernel releases a little later.
    injector(64);
}

/// The error for a limit of locked memory names the ways around it. (Root has CAP_IPC_LOCK; a child
/// that dropped it has not.)
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn too_much_locked_memory_is_an_error_with_advice() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let locked = has_ipc_lock();
    let config = UmemConfig::new().chunks(64 << 10);
    let opened = Umem::scope(&config, |umem| {
        XdpSocket::builder("v0", 0)
            .transmit_ring(ring(64))
            .open_transmitter(umem)
            .map(drop)
    });
    match (locked, opened) {
        (true, Ok(())) => {}
        (false, Err(error)) => {
            let text = error.to_string();
            for words in [
                "134217728 bytes",
                "ulimit -l",
                "cap_ipc_lock",
                "fewer chunks",
            ] {
                assert!(text.contains(words), "{text}");
            }
        }
        (locked, other) => panic!("CAP_IPC_LOCK of the host: {locked}; {other:?}"),
    }
}

/// In the initial user namespace: the root of another one has the capability for nothing that the
/// kernel locks.
fn has_ipc_lock() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .unwrap();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap();
    initial && effective & 1 << 14 != 0
}

/// All sockets over a UMEM agree with the first on packets in several chunks: a socket without
/// multi-buffer would take each chunk of a long packet for a packet, and one with it would get
/// none.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x14_sockets_over_one_umem_have_packets_in_several_chunks_or_none_has() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let on = |interface, several| {
        let builder = XdpSocket::builder(interface, 0).multi_buffer(several);
        let builder = builder.transmit_ring(ring(64)).receive_ring(ring(64));
        builder.copy_mode(CopyMode::Copy)
    };
    for several in [false, true] {
        Umem::scope(&small(), |umem| {
            let first = on("v0", several).open_transmitter(umem)?;
            for queue in ["v0", "v1"] {
                let refused = on(queue, !several).open(umem).unwrap_err().to_string();
                assert!(refused.starts_with("multi_buffer: "), "{refused}");
                assert!(refused.contains("first socket over a UMEM"), "{refused}");
            }
            // A socket that receives nothing sends its frames in one chunk.
            let sends = on("v1", false).open_transmitter(umem)?;
            assert_eq!(sends.max_len(), 2048);
            // Also after the first is closed.
            drop(first);
            assert!(on("v1", !several).open_receiver(umem).is_err());
            on("v1", several).open_receiver(umem).map(drop)
        })
        .unwrap();
    }
}

/// The kernel ignores the copy mode of a socket that shares its memory: one that requests a mode
/// which it would not get is refused.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_socket_that_shares_its_memory_is_never_quietly_in_another_mode() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    Umem::scope(&small(), |umem| {
        let on = |interface, copying| {
            let builder = XdpSocket::builder(interface, 0).transmit_ring(ring(64));
            builder.copy_mode(copying).open_transmitter(umem)
        };
        let _first = on("v0", CopyMode::Copy)?;
        for interface in ["v0", "v1"] {
            let refused = on(interface, CopyMode::ZeroCopy).unwrap_err().to_string();
            assert!(refused.starts_with("copy_mode: "), "{refused}");
        }
        // None of those is left.
        on("v1", CopyMode::Copy)?;
        on("v0", CopyMode::Best).map(drop)
    })
    .unwrap();
}

/// Figures of a socket that has its queue to itself are exact, even after another one failed to
/// share the queue.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_socket_that_could_not_be_opened_leaves_the_first_as_it_was() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    Umem::scope(&small(), |umem| {
        let builder = XdpSocket::builder("v0", 0).transmit_ring(ring(64));
        let mut first = builder.open_transmitter(umem)?;
        let refused = builder.clone().transmit_chunks(1 << 20);
        let refused = refused.open_transmitter(umem).unwrap_err().to_string();
        assert!(refused.starts_with("transmit_chunks: "), "{refused}");
        assert!(first.send_frame(&numbered(0, 64)));
        assert_eq!(first.drain(LIMIT)?, 0);
        let stats = PacketSink::stats(&mut first)?;
        assert_eq!(stats.sent, Count::Exact(1));
        // Once the queue is shared, whose frames were completed is unknown.
        let _second = builder.open_transmitter(umem)?;
        assert_eq!(PacketSink::stats(&mut first)?.sent, Count::Unavailable);
        Ok(())
    })
    .unwrap();
}

/// A half keeps the chunks that it was given: they are assigned only when there are enough for
/// both.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_socket_that_cannot_have_its_chunks_takes_none() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    Umem::scope(&UmemConfig::new().chunks(1024), |umem| {
        let with = |receive, transmit| {
            let builder = XdpSocket::builder("v0", 0).receive_chunks(receive);
            builder.transmit_chunks(transmit).open(umem)
        };
        let refused = with(600, 425).map(drop).unwrap_err().to_string();
        let sentence = "425 requested, but only 424 of the UMEM's 1024 are left";
        assert!(refused.contains(sentence), "{refused}");
        with(600, 424).map(drop)
    })
    .unwrap();
}
