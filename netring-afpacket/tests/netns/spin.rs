//! A wait that spins before it sleeps; and why the kernel's own busy polling is not offered.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, LinkState, Profile};
use netring_sys::kernel::packet::ETH_P_ALL;
use netring_sys::{Count, Error, Interface, PacketBatch, PacketSource, Readiness, syscall};
use xtask::load::{cost, wait_until};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, number, numbered};

const LIMIT: Duration = Duration::from_secs(10);
/// What a loaded machine may add to a duration.
const LATE: Duration = Duration::from_millis(300);

fn spinning(profile: Profile, time: Duration) -> Capture {
    veth("a", "b").unwrap();
    let builder = Capture::builder().interface("a").profile(profile);
    builder.snap_len(256).spin(time).build().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_that_comes_while_it_spins_wakes_nobody() {
    let _ns = Netns::enter().unwrap();
    let mut capture = spinning(Profile::Immediate, Duration::MAX);
    let sender = Sender::on("b").unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..100 {
                thread::sleep(Duration::from_millis(2));
                sender.send(&numbered(n, 100)).unwrap();
            }
        });
        let (numbers, cost) = cost(|| {
            let mut numbers = Vec::new();
            while numbers.len() < 100 {
                let batch = capture.next_batch().unwrap().unwrap();
                numbers.extend(batch.packets().filter_map(|packet| number(packet.data())));
            }
            numbers
        });
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        assert_eq!(cost.sleeps, 0, "{cost:?}");
    });
    let stats = capture.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.dropped),
        (Count::Exact(100), Count::Exact(0))
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn it_spins_for_its_time_and_then_sleeps() {
    let _ns = Netns::enter().unwrap();
    let spin = Duration::from_millis(50);
    let mut capture = spinning(Profile::Immediate, spin);
    let timeout = Duration::from_millis(1500);
    let (took, cost) = cost(|| {
        let start = Instant::now();
        assert_eq!(capture.wait(Some(timeout)).unwrap(), Readiness::Empty);
        start.elapsed()
    });
    assert!((timeout..timeout + LATE).contains(&took), "{took:?}");
    // It polled all the time, as far as other processes permitted, and no longer.
    assert!(cost.cpu < spin + LATE && cost.sleeps >= 1, "{cost:?}");

    // A shorter timeout ends the spinning.
    let timeout = Duration::from_millis(5);
    let start = Instant::now();
    assert_eq!(capture.wait(Some(timeout)).unwrap(), Readiness::Empty);
    assert!((timeout..timeout + LATE).contains(&start.elapsed()));
    // Packets are awaited as before.
    let sender = Sender::on("b").unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(3 * spin);
            sender.send(&numbered(7, 100)).unwrap();
        });
        let batch = capture.next_batch().unwrap().unwrap();
        let numbers: Vec<_> = batch
            .packets()
            .map(|packet| number(packet.data()))
            .collect();
        assert_eq!(numbers, [Some(7)]);
    });
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s8_a_stop_ends_the_spinning() {
    let _ns = Netns::enter().unwrap();
    for profile in [Profile::Immediate, Profile::LowLatency] {
        let mut capture = spinning(profile, Duration::MAX);
        let stop = capture.stop_handle();
        let (spins, spinning) = mpsc::channel();
        let stopped = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                spins.send(()).unwrap();
                let ended = capture.next_batch().unwrap().is_none();
                (ended, Instant::now())
            });
            spinning.recv_timeout(LIMIT).unwrap();
            thread::sleep(Duration::from_millis(20));
            let start = Instant::now();
            stop.stop();
            let (ended, end) = reader.join().unwrap();
            assert!(ended);
            end.duration_since(start)
        });
        assert!(stopped < LATE, "{stopped:?}");
        ip("link delete dev a").unwrap();
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s10_a_link_that_goes_down_or_away_is_reported_while_it_spins() {
    let _ns = Netns::enter().unwrap();
    let mut capture = spinning(Profile::Immediate, Duration::MAX);
    let mut monitor = capture.link_monitor().unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut reports = Vec::new();
            loop {
                let error = capture.wait(None).unwrap_err();
                let is_last = error.is_terminal();
                reports.push(error.to_string());
                if is_last {
                    return (reports, capture.stats().unwrap().link_downs);
                }
            }
        });
        ip("link set dev a down").unwrap();
        let mut seen = Vec::new();
        wait_until("the link is down", LIMIT, || {
            seen.extend(monitor.look().unwrap());
            seen == [LinkState::Down]
        });
        thread::sleep(Duration::from_millis(50));
        ip("link delete dev a").unwrap();
        let (reports, downs) = reader.join().unwrap();
        let down = "the interface a went down; packets resume when it is up again";
        let removed = Error::InterfaceRemoved {
            interface: "a".into(),
        }
        .to_string();
        assert_eq!(reports, [down, removed.as_str()]);
        assert_eq!(downs, Count::Exact(1));
    });
}

/// The kernel's number of the receive queue that the packets of a socket came from.
#[allow(unsafe_code, reason = "no safe function asks for this option")]
fn napi(socket: BorrowedFd<'_>) -> u32 {
    let (mut value, mut len) = (0_u32, 4);
    // SAFETY: value and length are on this stack; nobody else uses them; the kernel writes at most
    // four bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_INCOMING_NAPI_ID,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    value
}

const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGRO: u32 = 0x2c;

/// Sets an offload as `ethtool -K` does.
fn set_offload(name: &str, cmd: u32, data: u32) {
    #[repr(C)]
    struct EthtoolValue {
        cmd: u32,
        data: u32,
    }
    let mut value = EthtoolValue { cmd, data };
    // SAFETY: an `ifreq` of zeros is valid; it is on this stack; nobody else has it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    let socket = syscall::packet_socket().unwrap();
    // SAFETY: request and value are on this stack; nobody else uses them; the kernel reads no more
    // than the two.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCETHTOOL as libc::Ioctl,
            &raw mut request,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Busy polling polls the queue that a socket's packets came from. If a kernel begins to record it
/// for packet sockets, this fails, and `SO_BUSY_POLL` is worth an option.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_kernel_does_not_record_for_a_packet_socket_what_busy_polling_needs() {
    let _ns = Netns::enter().unwrap();
    let there = Netns::new().unwrap();
    veth("a", "b").unwrap();
    there.take("b").unwrap();
    // With receive offload veth receives by NAPI, as a card does, what a peer without segmentation
    // offload sends.
    set_offload("a", ETHTOOL_SGRO, 1);
    ip("address add 10.0.0.1/24 dev a").unwrap();
    let far = || {
        set_offload("b", ETHTOOL_STSO, 0);
        ip("address add 10.0.0.2/24 dev b")?;
        ip("link set dev b up")
    };
    there.run(far).unwrap();
    wait_until("a has a carrier", LIMIT, || {
        Interface::by_name("a").unwrap().is_up()
    });
    let packet = syscall::packet_socket().unwrap();
    let index = Interface::by_name("a").unwrap().index;
    syscall::bind_packet(packet.as_fd(), index, ETH_P_ALL).unwrap();
    let udp = UdpSocket::bind("10.0.0.1:5000").unwrap();
    udp.set_read_timeout(Some(LIMIT)).unwrap();
    let send = || UdpSocket::bind("10.0.0.2:0")?.send_to(b"hello", "10.0.0.1:5000");
    assert_eq!(there.run(send).unwrap(), 5);
    let mut buffer = [0; 2048];
    assert_eq!(udp.recv(&mut buffer).unwrap(), 5);
    // The packet socket received it first.
    let mut had = false;
    while let Some((len, _)) = syscall::receive(packet.as_fd(), &mut buffer).unwrap() {
        had |= buffer[..len].ends_with(b"hello");
    }
    assert!(had);
    assert_ne!(napi(udp.as_fd()), 0);
    assert_eq!(napi(packet.as_fd()), 0);
}
