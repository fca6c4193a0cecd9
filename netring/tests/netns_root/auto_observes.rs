//! The effect of automatic backend selection on the host's own traffic: none, unless it is
//! permitted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netring::PacketSource;
use netring::auto::{self, AutoCapture, Backend};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::collect;

const SILENCE: Duration = Duration::from_millis(200);
const HERE: &str = "10.0.0.1";
const ASK: &[u8] = b"are you there?";

/// This host, with `v1`, and another one on its wire. Each knows the other's address, so the wire
/// carries only what a test sends.
fn two_hosts() -> (Netns, Netns) {
    let (here, there) = (Netns::enter().unwrap(), Netns::new().unwrap());
    veth("v0", "v1").unwrap();
    there.take("v0").unwrap();
    for end in [
        "v0 address 02:00:00:00:00:02",
        "v1 address 02:00:00:00:00:01",
    ] {
        let set = || ip(&format!("link set {end}"));
        if end.starts_with("v0") {
            there.run(set).unwrap();
        } else {
            set().unwrap();
        }
    }
    there
        .run(|| {
            ip("link set v0 addrgenmode none")?;
            ip("link set v0 up")?;
            ip("address add 10.0.0.2/24 dev v0")?;
            ip("neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev v0")
        })
        .unwrap();
    ip(&format!("address add {HERE}/24 dev v1")).unwrap();
    ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v1").unwrap();
    (here, there)
}

/// The other host sends a request to this one over TCP; returns the answer.
fn ask(there: &Netns, listener: &TcpListener) -> Result<Vec<u8>, ErrorKind> {
    let to: SocketAddr = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            there.run(|| {
                let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(500))?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                stream.write_all(ASK)?;
                let mut answer = vec![0; ASK.len()];
                stream.read_exact(&mut answer)?;
                Ok(answer)
            })
        });
        listener.set_nonblocking(true).unwrap();
        while !asked.is_finished() {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                let mut got = vec![0; ASK.len()];
                stream.read_exact(&mut got).unwrap();
                stream.write_all(&got).unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        asked.join().unwrap().map_err(|error| error.kind())
    })
}

/// The SYNs, and the packets with the request, in the capture.
fn captured(capture: &mut AutoCapture) -> (usize, usize) {
    let packets = collect(capture, 1000, SILENCE).unwrap();
    let count = |is: fn(&[u8]) -> bool| packets.iter().filter(|packet| is(packet.data())).count();
    (
        count(|data| data.get(47).is_some_and(|flags| flags & 0x3f == 2)),
        count(|data| data.ends_with(ASK)),
    )
}

#[track_caller]
fn told(capture: &AutoCapture, lines: &[&str]) {
    let attempts = capture.attempts().iter().map(ToString::to_string);
    assert_eq!(attempts.collect::<Vec<_>>(), lines);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_host_answers_while_auto_observes_it() {
    let (_here, there) = two_hosts();
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let mut capture = auto::open("v1").unwrap();
    told(
        &capture,
        &[
            "AF_XDP zero-copy, native, generic (skb): divert: AF_XDP takes packets away from this host; permit it with `divert(true)`",
            "AF_PACKET: opened",
        ],
    );
    assert_eq!(ask(&there, &listener).unwrap(), ASK);
    // Both captures see the one connection.
    assert_eq!(captured(&mut capture), (1, 1));
    assert_eq!(capture.stats().unwrap().dropped, netring::Count::Exact(0));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_host_is_silent_while_auto_diverts_its_packets() {
    let (_here, there) = two_hosts();
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    for backend in [Backend::XdpNative, Backend::XdpGeneric] {
        let builder = auto::builder().interface("v1").divert(true);
        let mut capture = builder.backends([backend]).build().unwrap();
        assert_eq!(ask(&there, &listener).unwrap_err(), ErrorKind::TimedOut);
        // The capture has the packet that the host did not receive. TCP repeats a SYN after a
        // second.
        assert_eq!(captured(&mut capture), (1, 0), "{backend}");
        drop(capture);
        assert_eq!(ask(&there, &listener).unwrap(), ASK, "{backend}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_interface_of_the_default_route_takes_a_second_word() {
    for (route, port) in [
        ("route add default via 10.0.0.2", false),
        ("-6 route add default via fd00::2", false),
        ("route add default dev br", true),
    ] {
        let (_here, _there) = two_hosts();
        veth("w0", "w1").unwrap();
        ip("address add fd00::1/64 dev v1 nodad").unwrap();
        if port {
            xtask::netns::bridge("br", &["v1"]).unwrap();
        }
        ip(route).unwrap();
        let builder = |name| auto::builder().interface(name).divert(true);
        told(
            &builder("v1").build().unwrap(),
            &[
                "AF_XDP zero-copy, native, generic (skb): divert: a default route leads through v1, and AF_XDP could cut this host off; permit it with `divert_default_route(true)`",
                "AF_PACKET: opened",
            ],
        );
        let native = [
            "AF_XDP zero-copy: bind(AF_XDP) failed: Operation not supported (os error 95)",
            "AF_XDP native: opened; captured packets do not reach this host",
        ];
        // No other interface carries a default route.
        told(&builder("w1").build().unwrap(), &native);
        let permitted = builder("v1").divert_default_route(true);
        told(&permitted.build().unwrap(), &native);
        // The second permission alone permits nothing.
        let alone = auto::builder().interface("v1").divert_default_route(true);
        assert_eq!(alone.build().unwrap().backend(), Backend::AfPacket);
        // If nothing else may be tried, the refusal is the error.
        let only = builder("v1").backends([Backend::XdpNative]);
        let refused = only.build().unwrap_err().to_string();
        assert!(
            refused.starts_with("divert: a default route leads through v1"),
            "{refused}"
        );
    }
}
