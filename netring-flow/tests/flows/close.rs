//! A RST or FIN that the other end would not accept closes nothing.

use etherparse::{PacketBuilder, TcpOptionElement};
use netring_flow::{Anomaly, EndReason, FlowEvent};

use crate::common::{ACK, Bench, CLIENT, FIN, RST, SERVER, SYN, tcp};
use crate::counting::{allocated, allocations};

/// A SYN or SYN-ACK with a window scale; a window of 65,000.
fn scaled(from: &str, to: &str, sequence: u32, ack: Option<u32>, scale: u8) -> Vec<u8> {
    let parse = |end: &str| end.parse::<std::net::SocketAddrV4>().unwrap();
    let (from, to) = (parse(from), parse(to));
    let mut frame = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from.ip().octets(), to.ip().octets(), 64)
        .tcp(from.port(), to.port(), sequence, 65_000)
        .syn()
        .options(&[TcpOptionElement::WindowScale(scale)])
        .unwrap();
    if let Some(ack) = ack {
        frame = frame.ack(ack);
    }
    let mut bytes = Vec::new();
    frame.write(&mut bytes, b"").unwrap();
    bytes
}

fn out_of_window(bench: &Bench) -> u64 {
    let reported = bench.count(|event| {
        matches!(
            event,
            FlowEvent::Anomaly {
                kind: Anomaly::OutOfWindow,
                key: Some(_),
                ..
            }
        )
    });
    assert_eq!(reported, bench.tracker.stats().out_of_window);
    reported
}

/// A connection after its handshake: the client sent 50 bytes that are acknowledged and 10 that are
/// not, the server 40 that are acknowledged.
fn open(scale: Option<u8>) -> Bench {
    let mut bench = Bench::new();
    match scale {
        Some(scale) => {
            bench.frame(0.0, &scaled(CLIENT, SERVER, 1000, None, scale));
            bench.frame(0.005, &scaled(SERVER, CLIENT, 9000, Some(1001), scale));
            bench.client(0.01, ACK, 1001, 9001, b"");
        }
        None => bench.handshake(0.0, 1000, 9000),
    }
    bench.client(0.1, ACK, 1001, 9001, &[7; 50]);
    bench.server(0.2, ACK, 9001, 1051, &[7; 40]);
    bench.client(0.3, ACK, 1051, 9041, &[7; 10]);
    bench
}

#[test]
fn a_rst_closes_inside_the_window_and_nowhere_else() {
    // Sequence number of a RST of the server; the client takes 65,000 bytes from 9041 on.
    for (scale, sequence, closes) in [
        (None, 9041, true),
        (None, 9042, true),
        (None, 9041 + 65_000, true),
        (None, 9041 + 65_001, false),
        (None, 9040, false),
        (None, 9001, false),
        (None, 0, false),
        (None, 900_000_000, false),
        (None, 9041_u32.wrapping_sub(1 << 31), false),
        (Some(7), 9041 + 65_001, true),
        (Some(7), 9041 + (65_000 << 7), true),
        (Some(7), 9042 + (65_000 << 7), false),
        (Some(0), 9042 + 65_000, false),
    ] {
        for flags in [RST, RST | ACK] {
            let mut bench = open(scale);
            bench.server(1.0, flags, sequence, 1061, b"");
            let case = format!("{sequence} by {scale:?}");
            assert_eq!(out_of_window(&bench), u64::from(!closes), "{case}");
            // Later packets count in the same flow, and the close is unaffected.
            bench.client(2.0, FIN | ACK, 1061, 9041, b"");
            bench.server(2.1, FIN | ACK, 9041, 1062, b"");
            let (reason, history) = if closes {
                (EndReason::Reset, "ShADdrFf")
            } else {
                (EndReason::Finished, "ShADdFf")
            };
            assert_eq!(bench.story(), [(reason, history.into())], "{case}");
            assert_eq!(bench.ended()[0].stats.by_responder().rst, 1);
        }
    }
}

#[test]
fn a_rst_is_accepted_with_data_in_flight_and_where_packets_were_lost() {
    // The client sent 10 bytes that the server has not acknowledged: its number may be before or
    // after them.
    for sequence in [1051, 1061] {
        let mut bench = open(None);
        bench.client(1.0, RST, sequence, 0, b"");
        assert_eq!(out_of_window(&bench), 0);
        assert_eq!(bench.story()[0].0, EndReason::Reset);
    }
    // More in flight than the last window seen: the capture lost acknowledgements.
    let mut bench = open(None);
    for n in 0..100 {
        let sequence = 1061 + n * 1000;
        bench.client(0.5, ACK, sequence, 9041, &[7; 1000]);
    }
    bench.client(1.0, RST | ACK, 101_061, 9041, b"");
    assert_eq!(bench.story()[0].0, EndReason::Reset);
}

#[test]
fn a_rst_behind_a_fin_may_leave_the_fin_out() {
    // The server's FIN is acknowledged, and it answers later segments with the number before the
    // FIN.
    let mut bench = open(None);
    bench.server(1.0, FIN | ACK, 9041, 1061, b"");
    bench.client(1.1, ACK, 1061, 9042, &[7; 10]);
    bench.server(1.2, RST, 9041, 0, b"");
    assert_eq!(out_of_window(&bench), 0);
    assert_eq!(bench.story()[0].0, EndReason::Reset);
}

#[test]
fn a_syn_is_refused_by_what_acknowledges_it() {
    for (flags, ack, closes) in [
        (RST | ACK, 1001, true),
        (RST | ACK, 5001, false),
        (RST | ACK, 1000, false),
        (RST, 0, false),
    ] {
        let mut bench = Bench::new();
        bench.client(0.0, SYN, 1000, 0, b"");
        bench.server(0.1, flags, 0, ack, b"");
        assert_eq!(out_of_window(&bench), u64::from(!closes), "{flags} {ack}");
        if !closes {
            bench.server(0.2, SYN | ACK, 9000, 1001, b"");
            bench.client(0.3, ACK, 1001, 9001, b"");
            assert_eq!(bench.tracker.stats().flows_established, 1);
        }
        bench.finish();
    }
    // With data in the SYN, both may be acknowledged.
    for (ack, closes) in [(1001, true), (1004, true), (1005, false)] {
        let mut bench = Bench::new();
        bench.client(0.0, SYN, 1000, 0, b"GET");
        bench.server(0.1, RST | ACK, 0, ack, b"");
        assert_eq!(out_of_window(&bench), u64::from(!closes), "{ack}");
    }
}

#[test]
fn a_scan_that_resets_what_was_answered_closes_and_a_stray_in_the_handshake_does_not() {
    for (client, sequence, closes) in [
        (true, 1001, true),
        (true, 900_000_000, false),
        (false, 9001, true),
        (false, 900_000_000, false),
    ] {
        let mut bench = Bench::new();
        bench.client(0.0, SYN, 1000, 0, b"");
        bench.server(0.1, SYN | ACK, 9000, 1001, b"");
        if client {
            bench.client(0.2, RST, sequence, 0, b"");
        } else {
            bench.server(0.2, RST, sequence, 0, b"");
        }
        assert_eq!(out_of_window(&bench), u64::from(!closes), "{sequence}");
        let reason = bench.story()[0].0;
        assert_eq!(reason == EndReason::Reset, closes, "{sequence}");
    }
    // Before the answer, too.
    let mut bench = Bench::new();
    bench.client(0.0, SYN, 1000, 0, b"");
    bench.client(0.1, RST, 900_000_000, 0, b"");
    assert_eq!(out_of_window(&bench), 1);
    bench.client(0.2, RST, 1001, 0, b"");
    assert_eq!(bench.story()[0].0, EndReason::Reset);
}

#[test]
fn if_the_window_is_unknown_everything_is_accepted() {
    // Picked up mid-stream; one direction only; a SYN whose options were cut.
    let mut bench = Bench::new();
    bench.client(0.0, ACK, 1001, 9001, b"data");
    bench.server(0.1, ACK, 9001, 1005, b"data");
    bench.server(0.2, RST, 77, 0, b"");
    assert_eq!(bench.story()[0].0, EndReason::Reset);

    let mut bench = Bench::new();
    bench.server(0.0, ACK, 9001, 1005, b"data");
    bench.server(0.2, RST, 77, 0, b"");
    assert_eq!(bench.story()[0].0, EndReason::Reset);

    let mut bench = Bench::new();
    let syn = scaled(CLIENT, SERVER, 1000, None, 9);
    let packet = netring_sys::Packet::new(
        &syn[..54],
        crate::common::at(0.0),
        netring_sys::LinkType::ETHERNET,
    );
    let packet = packet.with_wire_len(syn.len() as u32);
    bench.tracker.track(&packet, &mut bench.events);
    bench.frame(0.1, &scaled(SERVER, CLIENT, 9000, Some(1001), 9));
    bench.client(0.2, ACK, 1001, 9001, b"");
    bench.server(0.3, RST, 9001 + (65_000 << 8), 0, b"");
    assert_eq!(bench.story()[0].0, EndReason::Reset);
}

#[test]
fn windows_are_scaled_only_if_both_ends_offer_it() {
    let mut bench = Bench::new();
    bench.frame(0.0, &scaled(CLIENT, SERVER, 1000, None, 9));
    bench.frame(0.1, &tcp(SERVER, CLIENT, 9000, 1001, SYN | ACK, b""));
    bench.client(0.2, ACK, 1001, 9001, b"");
    bench.server(0.3, RST, 9001 + 65_001, 0, b"");
    assert_eq!(out_of_window(&bench), 1);
    bench.server(0.4, RST, 9001 + 65_000, 0, b"");
    assert_eq!(bench.story()[0].0, EndReason::Reset);
}

#[test]
fn a_fin_outside_the_window_closes_nothing() {
    let mut bench = open(None);
    bench.client(1.0, FIN | ACK, 800_000_000, 9041, b"");
    bench.server(1.1, FIN | ACK, 900_000_000, 1061, b"data");
    assert_eq!(out_of_window(&bench), 2);
    bench.client(2.0, ACK, 1061, 9041, &[7; 10]);
    assert_eq!(bench.story(), [(EndReason::SourceEnded, "ShADd".into())]);
    let stats = bench.ended()[0].stats;
    assert_eq!((stats.by_initiator().fin, stats.by_responder().fin), (1, 1));
    assert_eq!(stats.by_initiator().retransmitted, 0);
}

/// A connection of which the capture lost most: the client's FIN is a million bytes beyond the last
/// acknowledgement that was seen.
fn lost() -> (Bench, u32) {
    let mut bench = open(None);
    let fin = 1061 + 1_000_000;
    bench.client(1.0, FIN | ACK, fin, 9041, b"end");
    assert_eq!(out_of_window(&bench), 1);
    (bench, fin + 3)
}

#[test]
fn a_fin_beyond_the_window_counts_once_its_receiver_acknowledges_it() {
    // By a pure acknowledgement, and by the other FIN.
    for with_fin in [false, true] {
        let (mut bench, fin) = lost();
        if with_fin {
            bench.server(1.1, FIN | ACK, 9041, fin + 1, b"");
        } else {
            bench.server(1.1, ACK, 9041, fin + 1, b"");
            bench.server(1.2, FIN | ACK, 9041, fin + 1, b"");
        }
        bench.client(1.3, ACK, fin + 1, 9042, b"");
        let closed = bench.count(|event| matches!(event, FlowEvent::Closed { .. }));
        assert_eq!((closed, out_of_window(&bench)), (1, 1));
        let history = if with_fin { "ShADdFf" } else { "ShADdFaf" };
        assert_eq!(bench.story(), [(EndReason::Finished, history.into())]);
    }
    // The other end had closed before.
    let mut bench = open(None);
    bench.server(0.9, FIN | ACK, 9041, 1061, b"");
    bench.client(1.0, FIN | ACK, 2_000_000, 9042, b"");
    assert_eq!(out_of_window(&bench), 1);
    bench.server(1.1, ACK, 9042, 2_000_001, b"");
    assert_eq!(bench.story(), [(EndReason::Finished, "ShADdfFa".into())]);
    // Both FINs are beyond the windows.
    let mut bench = open(None);
    bench.client(1.0, FIN | ACK, 2_000_000, 9041, b"");
    bench.server(1.1, FIN | ACK, 3_000_000, 1061, b"");
    assert_eq!(out_of_window(&bench), 2);
    bench.server(1.2, ACK, 9041, 2_000_001, b"");
    bench.client(1.3, ACK, 2_000_001, 3_000_001, b"");
    assert_eq!(bench.story(), [(EndReason::Finished, "ShADdFaf".into())]);
}

#[test]
fn a_forged_fin_closes_nothing_whatever_is_acknowledged_later() {
    // Other numbers than exactly its own.
    for ack in [1061, 1_001_063, 1_001_065, 1_001_066, 900_000_000] {
        let (mut bench, fin) = lost();
        assert_eq!(fin, 1_001_064);
        bench.server(1.1, ACK, 9041, ack.min(fin + 2), b"");
        bench.server(1.2, FIN | ACK, 9041, ack, b"");
        let story = bench.story();
        let is_proof = ack == fin + 1;
        assert_eq!(story[0].0 == EndReason::Finished, is_proof, "{ack}");
    }
    // Data is where it claims to be, and what is acknowledged is that.
    let (mut bench, fin) = lost();
    bench.client(1.1, ACK, fin - 9, 9041, &[7; 10]);
    bench.server(1.2, ACK, 9041, fin + 1, b"");
    bench.server(1.3, FIN | ACK, 9041, fin + 1, b"");
    assert_eq!(bench.story(), [(EndReason::SourceEnded, "ShADdaf".into())]);
    // The acknowledgement is forged too: its own number is outside of the window.
    let (mut bench, fin) = lost();
    bench.server(1.1, ACK, 900_000_000, fin + 1, b"");
    bench.server(1.2, ACK, 9041, 1061, b"");
    assert_eq!(bench.story(), [(EndReason::SourceEnded, "ShADda".into())]);
    // Its sender acknowledges it, not its receiver.
    let (mut bench, fin) = lost();
    bench.client(1.1, ACK, 1061, fin + 1, b"");
    assert_eq!(bench.story(), [(EndReason::SourceEnded, "ShADd".into())]);
    // A RST is not acknowledged by anyone.
    let mut bench = open(None);
    bench.client(1.0, RST | ACK, 2_000_000, 9041, b"");
    bench.client(1.0, FIN | RST, 2_000_000, 9041, b"");
    bench.server(1.1, ACK, 9041, 2_000_001, b"");
    assert_eq!(bench.story(), [(EndReason::SourceEnded, "ShADda".into())]);
}

/// The flow that a forged FIN was sent to goes on as before, with its timeout and its figures.
#[test]
fn a_flow_in_doubt_is_established() {
    let (mut bench, _) = lost();
    for n in 0..50 {
        let at = 2.0 + f64::from(n) * 200.0;
        bench.client(at, ACK, 1061 + n * 10, 9041, &[7; 10]);
        bench.server(at + 1.0, ACK, 9041, 1071 + n * 10, b"");
    }
    assert_eq!(bench.tracker.stats().flows_started, 1);
    let live = bench.tracker.largest_flows(1);
    assert_eq!(live[0].state, netring_flow::FlowState::TcpEstablished);
    assert_eq!(bench.story(), [(EndReason::SourceEnded, "ShADda".into())]);
    let stats = bench.ended()[0].stats;
    assert_eq!(stats.by_initiator().packets, 2 + 2 + 1 + 50);
    assert_eq!(stats.by_initiator().retransmitted, 0);
}

/// Forged FINs cost one table, however many flows they are sent to, and the last are kept.
#[test]
fn forged_fins_take_bounded_memory() {
    const FLOWS: u32 = 5000;
    let mut bench = Bench::new();
    let client = |n: u32| format!("10.1.{}.{}:5000", n >> 8, n & 255);
    for n in 0..FLOWS {
        let client = client(n);
        bench.frame(0.0, &tcp(&client, SERVER, 1000, 0, SYN, b""));
        bench.frame(0.1, &tcp(SERVER, &client, 9000, 1001, SYN | ACK, b""));
        bench.frame(0.2, &tcp(&client, SERVER, 1001, 9001, ACK, b""));
    }
    let frames: Vec<_> = (0..FLOWS)
        .map(|n| tcp(&client(n), SERVER, 2_000_000, 9001, FIN | ACK, b""))
        .collect();
    bench.events.reserve(2 * FLOWS as usize);
    let before = (allocated(), allocations());
    for frame in &frames {
        bench.frame(0.3, frame);
    }
    let after = (allocated(), allocations());
    assert_eq!((after.0 - before.0, after.1 - before.1), (8192, 1));
    assert_eq!(out_of_window(&bench), FLOWS.into());
    // The receiver of each acknowledges it: that of the last 256 flows is known.
    for n in 0..FLOWS {
        let ack = tcp(SERVER, &client(n), 9001, 2_000_001, FIN | ACK, b"");
        bench.frame(0.4, &ack);
    }
    for n in 0..FLOWS {
        let ack = tcp(&client(n), SERVER, 2_000_001, 9002, ACK, b"");
        bench.frame(0.5, &ack);
    }
    assert_eq!(bench.tracker.stats().flows_closed, 256);
    bench.finish();
}
