//! One verdict per packet, wherever a filter runs: on a packet socket, over the packets of one, in
//! an XDP program on a wire, with VLAN tags in the bytes and beside them, and by test runs, and
//! over a capture file.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod frames;
mod places;

use netring::adapters::Filtered;
use netring::pcap::CaptureFile;
use netring::xdp::program::{AttachMode, Program};
use netring::{Error, Interface, LinkType, PacketBatch, PacketSource, Readiness, XdpCapture};
use xtask::netns::Netns;

use places::{Frames, Sockets, TestRun, Xdp, filter, of_file, socket, written};

/// Each expression with the numbers of the frames that tcpdump selects with it.
const EXPECTED: &str = include_str!("verdicts/expected.txt");

/// The expressions, and which frames they select.
fn expected() -> Vec<(&'static str, Vec<usize>)> {
    let line = |line: &'static str| {
        let (text, numbers) = line.split_once('\t').unwrap();
        let numbers = numbers.split_ascii_whitespace();
        (text, numbers.map(|n| n.parse().unwrap()).collect())
    };
    EXPECTED.lines().map(line).collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_s14_x21_a_filter_has_one_verdict_per_packet_everywhere() {
    let _ns = Netns::enter().unwrap();
    let frames = Frames::new();
    let mut sockets = Sockets::new();
    let native = Xdp::new("w0", "w1", AttachMode::Native);
    let generic = Xdp::new("x0", "x1", AttachMode::Generic);
    let bridged = Xdp::behind_a_bridge("y0", "y1");
    let file = written(&frames, &mut sockets);
    let (mut compared, mut differences) = (0, Vec::new());
    for (text, expected) in expected() {
        let [kernel, all, filtered] = sockets.select(&frames, text);
        for (place, selected) in [
            ("a packet socket", kernel),
            ("a packet socket of all interfaces", all),
            ("Filtered over a packet socket", filtered),
            ("a test run", TestRun::new(text).select(&frames)),
            ("XDP, native", native.select(&frames, text)),
            ("XDP, generic", generic.select(&frames, text)),
            ("XDP, tags aside", bridged.select(&frames, text)),
            ("a capture file", of_file(&frames, &file, text)),
        ] {
            if selected != expected {
                differences.push(format!("{text}: {place}: {selected:?}, not {expected:?}"));
            }
            compared += 1;
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared >= 8 * 100, "{compared}");
}

#[track_caller]
fn why<T>(result: Result<T, Error>) -> String {
    match result.err().expect("it is refused") {
        Error::Config {
            setting: "filter",
            why,
        } => why,
        other => panic!("{other}"),
    }
}

/// The frames that `text` selects, by tcpdump.
fn selected_by(text: &str) -> Vec<usize> {
    let found = expected().into_iter().find(|(known, _)| *known == text);
    found.unwrap().1
}

/// The direction is known to live sources only.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_of_the_direction_is_refused_where_it_is_not_known() {
    let _ns = Netns::enter().unwrap();
    let frames = Frames::new();
    let mut sockets = Sockets::new();
    let file = written(&frames, &mut sockets);
    for (text, expected) in [
        ("inbound and vlan", selected_by("vlan")),
        ("not outbound and ip6", selected_by("ip6")),
        ("outbound", vec![]),
    ] {
        let live = sockets.select(&frames, text);
        assert_eq!(
            live,
            [&expected, &expected, &expected].map(Vec::clone),
            "{text}"
        );
        let reason = "bound`: the direction is not in the bytes of a packet: a packet socket";
        let redirect = Program::redirect().filter(filter(text));
        let builder = XdpCapture::builder().interface("v1").filter(filter(text));
        for why in [
            why(redirect.load()),
            why(redirect.object()),
            why(builder.build()),
        ] {
            assert!(why.contains(reason), "{text}: {why}");
        }
        assert_eq!(Interface::by_name("v1").unwrap().xdp, None);
        let file = CaptureFile::new(&file[..]).unwrap();
        let mut file = Filtered::new(file, filter(text)).unwrap();
        assert_eq!(file.ready().unwrap(), Readiness::Ready);
        assert_eq!(file.batch().packets().count(), 0);
        let why = why(file.ready());
        assert!(
            why.starts_with("for a packet of the link type ETHERNET: `"),
            "{why}"
        );
        assert!(why.contains(reason), "{why}");
        assert!(matches!(file.ready(), Err(Error::Closed)));
        // Nothing is lost uncounted.
        let stats = file.stats().unwrap();
        assert_eq!(stats.left_out.exact(), Some(frames.all.len() as u64));
    }
}

/// A packet socket cannot read across the place from which the kernel took a tag.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_that_reads_across_a_tag_is_refused_by_packet_sockets() {
    let _ns = Netns::enter().unwrap();
    let frames = Frames::new();
    let mut sockets = Sockets::new();
    let file = written(&frames, &mut sockets);
    let native = Xdp::new("w0", "w1", AttachMode::Native);
    for (text, expected) in [
        (
            "ether[12:4] = 0x81000005",
            &[35, 39, 46, 51, 56, 74, 75, 81][..],
        ),
        (
            "ether[11:2] = 0x0181",
            &[35, 36, 37, 38, 39, 43, 44, 46, 51, 56, 74, 75, 81],
        ),
        (
            "ether[len - 60] = 2",
            &[
                1, 2, 3, 4, 6, 7, 10, 11, 12, 13, 14, 17, 20, 21, 22, 23, 27, 36, 45, 46, 47, 50,
                54, 60, 61, 62, 64, 65, 66, 77,
            ],
        ),
    ] {
        let reason = "it reads bytes across a VLAN tag, or at a computed offset from the start";
        let why_not = why(socket("v1").filter(filter(text)).build());
        assert!(why_not.starts_with(reason), "{why_not}");
        // Packets with the tag beside their bytes have no verdict either.
        frames.send(&sockets.sender);
        let mut filtered = Filtered::new(&mut sockets.unfiltered, filter(text)).unwrap();
        let error = loop {
            match filtered.next_batch_timeout(places::LIMIT) {
                Ok(batch) => drop(batch.batch().unwrap()),
                Err(error) => break error,
            }
        };
        let why_not = why(Err::<(), _>(error));
        assert!(why_not.contains(reason), "{why_not}");
        places::drain(&mut sockets.unfiltered, &frames);

        let by_file = of_file(&frames, &file, text);
        assert_eq!(by_file, expected, "{text}");
        assert_eq!(TestRun::new(text).select(&frames), by_file, "{text}");
        assert_eq!(native.select(&frames, text), by_file, "{text}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_an_xdp_program_refuses_what_is_out_of_its_reach() {
    let _ns = Netns::enter().unwrap();
    let frames = Frames::new();
    let mut sockets = Sockets::new();
    let text = "ip[65530] = 1 or arp";
    let expected = selected_by("arp");
    let live = sockets.select(&frames, text);
    assert_eq!(live, [&expected, &expected, &expected].map(Vec::clone));
    let why_not = why(Program::redirect().filter(filter(text)).load());
    let reason =
        "an XDP program reaches the first 65535 bytes of a packet; a packet socket does all";
    assert!(why_not.ends_with(reason), "{why_not}");
}

/// A program that was compiled for tunnels does not run on Ethernet.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_program_for_another_link_type_is_not_attached() {
    let _ns = Netns::enter().unwrap();
    xtask::netns::veth("v0", "v1").unwrap();
    let interface = Interface::by_name("v1").unwrap();
    let redirect = Program::redirect().link_type(LinkType::RAW_IP);
    let program = redirect.clone().filter(filter("tcp")).load().unwrap();
    let why_not = why(program.attach(&interface, AttachMode::Generic));
    assert_eq!(
        why_not,
        "it was compiled for the link type RAW_IP, and v1 has ETHERNET: load the program for that \
         one (`Redirect::link_type`)"
    );
    assert_eq!(Interface::by_name("v1").unwrap().xdp, None);
    let why_not = why(redirect.clone().filter(filter("vlan 5 and tcp")).load());
    assert!(
        why_not.starts_with("`vlan 5`: VLAN tags are not in packets of the link type"),
        "{why_not}"
    );
    // Without an expression it does not matter.
    let program = redirect.load().unwrap();
    assert!(program.attach(&interface, AttachMode::Generic).is_ok());
}
