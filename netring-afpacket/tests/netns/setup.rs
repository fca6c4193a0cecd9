//! Opening a capture: what enters the ring meanwhile, what it changes, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::process::Command;
use std::time::Duration;

use netring_afpacket::{Capture, CaptureBuilder, Profile, SockFilter};
use netring_sys::kernel::filter::{BPF_JEQ_K, BPF_LD_H_ABS, BPF_RET_K};
use netring_sys::{Count, Error, Interface, PacketSource};
use nix::sys::resource::{Resource, setrlimit};
use xtask::load::{Flood, wait_until};
use xtask::netns::{Netns, ip_says, veth};
use xtask::wire::{Sender, collect, numbered, udp4};

const SILENCE: Duration = Duration::from_millis(300);
/// A pause in a flood that only a loaded machine makes.
const PATIENCE: Duration = Duration::from_secs(10);

/// UDP port 2000, as `tcpdump -dd` compiles it for frames that are all UDP.
const TO_PORT_2000: [SockFilter; 4] = [
    SockFilter::stmt(BPF_LD_H_ABS, 36),
    SockFilter::jump(BPF_JEQ_K, 2000, 0, 1),
    SockFilter::stmt(BPF_RET_K, 65_535),
    SockFilter::stmt(BPF_RET_K, 0),
];

/// A frame whose source port identifies the interface; every second one is not for port 2000.
fn marked(interface: u16) -> impl FnMut(u64) -> Vec<u8> + Send + 'static {
    move |n| udp4(interface, 2000 + (n % 2) as u16, &n.to_be_bytes())
}

fn port(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(*frame[at..].first_chunk().unwrap())
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p1_nothing_but_matching_packets_of_the_interface_from_the_first_on() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let index = Interface::by_name("a").unwrap().index;
    let floods = [
        Flood::on("b", marked(1)).unwrap(),
        Flood::on("d", marked(2)).unwrap(),
    ];
    // The shortest wrong order, a filter attached right after the last bind, leaves a window of
    // microseconds, which takes many tries to hit.
    for round in 0..150 {
        let builder = Capture::builder()
            .interface("a")
            .profile(Profile::LowMemory);
        let builder = builder.retire_timeout(Duration::from_millis(1));
        let mut capture = builder.filter(TO_PORT_2000).build().unwrap();
        let packets = collect(&mut capture, 200, PATIENCE).unwrap();
        assert!(packets.len() >= 200, "{} packets of a flood", packets.len());
        for (n, packet) in packets.iter().enumerate() {
            let facts = (
                packet.interface(),
                port(packet.data(), 34),
                port(packet.data(), 36),
            );
            assert_eq!(facts, (index, 1, 2000), "round {round}, packet {n}");
        }
        let stats = capture.stats().unwrap();
        if stats.dropped == Count::Exact(0) {
            // All of them from the first on.
            let number = |frame: &[u8]| u64::from_be_bytes(*frame[42..].first_chunk().unwrap());
            let numbers: Vec<_> = packets.iter().map(|packet| number(packet.data())).collect();
            assert!(
                numbers.windows(2).all(|pair| pair[1] == pair[0] + 2),
                "{numbers:?}"
            );
        }
    }
    for flood in floods {
        assert!(flood.stop() > 2000);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s5_without_a_filter_it_is_the_chosen_interface_alone() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let floods = [
        Flood::on("b", marked(1)).unwrap(),
        Flood::on("d", marked(2)).unwrap(),
    ];
    for _ in 0..30 {
        let builder = Capture::builder()
            .interface("a")
            .profile(Profile::LowMemory);
        let mut capture = builder
            .retire_timeout(Duration::from_millis(1))
            .build()
            .unwrap();
        let packets = collect(&mut capture, 200, PATIENCE).unwrap();
        assert!(packets.len() >= 200);
        assert!(packets.iter().all(|packet| port(packet.data(), 34) == 1));
    }
    drop(floods);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_a_filter_rejects_is_not_offered_and_not_lost() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = Capture::builder()
        .interface("a")
        .profile(Profile::LowMemory);
    let mut capture = builder.filter(TO_PORT_2000).build().unwrap();
    let (sender, mut frame) = (Sender::on("b").unwrap(), marked(1));
    for n in 0..100 {
        sender.send(&frame(n)).unwrap();
    }
    assert_eq!(
        collect(&mut capture, usize::MAX, SILENCE).unwrap().len(),
        50
    );
    let stats = capture.stats().unwrap();
    let facts = (stats.offered, stats.delivered, stats.dropped);
    assert_eq!(facts, (Count::Exact(50), Count::Exact(50), Count::Exact(0)));
}

/// The kernel's count of requests for promiscuous mode.
fn promiscuity() -> u32 {
    let reported = ip_says("-details link show dev a").unwrap();
    let (_, rest) = reported.split_once("promiscuity ").unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn promiscuous_mode_is_set_and_undone() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let plain = Capture::open("a").unwrap();
    assert_eq!(promiscuity(), 0);
    let builder = Capture::builder().interface("a").promiscuous(true);
    let (one, two) = (builder.clone().build().unwrap(), builder.build().unwrap());
    assert_eq!(promiscuity(), 2);
    drop(one);
    assert_eq!(promiscuity(), 1);
    drop(two);
    assert_eq!(promiscuity(), 0);
    drop(plain);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_kernel_takes_every_size_that_is_not_refused() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = || Capture::builder().interface("a");
    let page = netring_sys::syscall::page_size();
    let sizes = |size, count| builder().block_size(size).block_count(count);
    let times = |millis| {
        builder()
            .profile(Profile::LowMemory)
            .retire_timeout(Duration::from_millis(millis))
    };
    let builders: [(CaptureBuilder, (usize, usize)); 12] = [
        (sizes(page, 2), (page, 2)),
        (sizes(3 * page, 5), (3 * page, 5)),
        (sizes(page, 10_000), (page, 10_000)),
        (sizes(64 << 20, 2), (64 << 20, 2)),
        (times(1), (128 << 10, 32)),
        (times(65_535), (128 << 10, 32)),
        (builder(), (256 << 10, 256)),
        (builder().profile(Profile::LowLatency), (128 << 10, 512)),
        (builder().profile(Profile::HighThroughput), (1 << 20, 256)),
        (builder().profile(Profile::LowMemory), (128 << 10, 32)),
        (builder().profile(Profile::Jumbo), (512 << 10, 256)),
        (builder().profile(Profile::Immediate), (1 << 20, 64)),
    ];
    let sender = Sender::on("b").unwrap();
    for (builder, (block_size, block_count)) in builders {
        let text = format!("{builder:?}");
        let mut capture = builder.build().unwrap();
        let ring = capture.ring();
        assert_eq!(
            (ring.block_size, ring.block_count),
            (block_size, block_count),
            "{text}"
        );
        assert!(!ring.is_short());
        // Blocks that stay open for long are handed over when they are full.
        let count = if text.contains("65.535s") { 1000 } else { 1 };
        for n in 0..count {
            sender.send(&numbered(n, 1000)).unwrap();
        }
        assert!(
            !collect(&mut capture, 1, Duration::from_secs(1))
                .unwrap()
                .is_empty(),
            "{text}"
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_is_not_there_is_named() {
    let _ns = Netns::enter().unwrap();
    for name in ["eth7", "a-name-that-is-too-long"] {
        let error = Capture::open(name).unwrap_err();
        assert!(
            matches!(&error, Error::NoSuchInterface { name: reported, .. } if reported == name),
            "{error}"
        );
        assert!(error.to_string().contains("`ip link`"));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_that_the_kernel_refuses_is_a_setting_that_cannot_be() {
    let _ns = Netns::enter().unwrap();
    let no_return = [SockFilter::stmt(BPF_LD_H_ABS, 0)];
    let out_of_itself = [
        SockFilter::jump(BPF_JEQ_K, 0, 9, 9),
        SockFilter::stmt(BPF_RET_K, 1),
    ];
    for (program, reported) in [
        (&no_return[..], "the last instruction does not return"),
        (
            &out_of_itself,
            "instruction 0 (code 0x15, k 0x0): it jumps out",
        ),
    ] {
        let error = Capture::builder()
            .interface("lo")
            .filter(program)
            .build()
            .unwrap_err();
        assert!(
            matches!(
                &error,
                Error::Config {
                    setting: "filter",
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains(reported), "{error}");
    }
}

const CHILD: &str = "NETRING_TEST_CHILD";

/// Runs the test with this name in a process of its own, through this command.
fn in_a_process_of_its_own(name: &str, words: &[&str]) {
    let program = std::env::current_exe().unwrap();
    let mut line = words.to_vec();
    line.push(program.to_str().unwrap());
    let output = Command::new(line[0])
        .args(&line[1..])
        .args([
            "--exact",
            &format!("setup::{name}"),
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, name)
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && reported.contains("1 passed"),
        "{reported}{why}"
    );
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// If a process locks all of its memory, what it maps counts against its limit, unless it has
/// CAP_IPC_LOCK.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn where_locked_memory_is_short_the_ring_is_smaller_and_says_so() {
    let _ns = Netns::enter().unwrap();
    if !is_child() {
        let name = "where_locked_memory_is_short_the_ring_is_smaller_and_says_so";
        let without = ["setpriv", "--bounding-set", "-ipc_lock"];
        return in_a_process_of_its_own(name, &without);
    }
    setrlimit(Resource::RLIMIT_MEMLOCK, 6 << 20, 6 << 20).unwrap();
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    assert_eq!(unsafe { libc::mlockall(libc::MCL_FUTURE) }, 0);
    let builder = Capture::builder()
        .interface("lo")
        .block_size(256 << 10)
        .block_count(64);
    let capture = builder.clone().build().unwrap();
    let ring = capture.ring();
    assert_eq!((ring.block_count, ring.requested_blocks), (16, 64));
    let why = capture.why_ring_short().unwrap().to_string();
    assert!(
        why.starts_with("mmap failed; raise the limit of locked memory (`ulimit -l`)"),
        "{why}"
    );
    drop(capture);
    let error = builder.block_size(4 << 20).build().unwrap_err();
    assert!(error.to_string().contains("`ulimit -l`"), "{error}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn where_memory_is_short_the_ring_is_smaller_says_so_and_works() {
    let _ns = Netns::enter().unwrap();
    if !is_child() {
        let name = "where_memory_is_short_the_ring_is_smaller_says_so_and_works";
        return in_a_process_of_its_own(name, &["env"]);
    }
    veth("a", "b").unwrap();
    // Room for 24 MiB beyond the present use: of 64 blocks of 1 MiB, halving finds 16.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .unwrap();
    let kib: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = (kib << 10) + (24 << 20);
    setrlimit(Resource::RLIMIT_AS, limit, limit).unwrap();

    let builder = Capture::builder()
        .interface("a")
        .block_size(1 << 20)
        .block_count(64);
    let mut capture = builder.clone().build().unwrap();
    let ring = capture.ring();
    assert_eq!(
        (ring.block_count, ring.requested_blocks, ring.is_short()),
        (16, 64, true)
    );
    assert_eq!(ring.bytes(), 16 << 20);
    let why = capture.why_ring_short().unwrap().to_string();
    assert_eq!(
        why,
        "mmap failed; request a smaller ring, or free some memory"
    );
    // Two rounds of the ring.
    let before = Interface::by_name("a").unwrap().counters.rx_packets;
    let sender = Sender::on("b").unwrap();
    let mut seen = 0;
    for round in 0..34 {
        for n in 0..660 {
            sender.send(&numbered(round * 660 + n, 1500)).unwrap();
            // The wire itself loses packets if the kernel has a thousand that it did not get to.
            if n % 100 == 0 {
                wait_until("they arrive", PATIENCE, || {
                    let received = Interface::by_name("a").unwrap().counters.rx_packets;
                    received == before + round * 660 + n + 1
                });
            }
        }
        seen += collect(&mut capture, 660, PATIENCE).unwrap().len();
    }
    assert_eq!(seen, 34 * 660);
    // If there is not even memory for two blocks, that is the error.
    let error = builder.block_size(32 << 20).build().unwrap_err();
    assert!(
        error.to_string().contains("request a smaller ring"),
        "{error}"
    );
}
