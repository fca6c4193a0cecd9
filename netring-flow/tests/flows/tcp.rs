//! How TCP segments change flows.

use crate::common::{ACK, Bench, CLIENT, FIN, RST, SERVER, SYN, at, side, tcp};
use netring_flow::extract::Orientation;
use netring_flow::{Anomaly, EndReason, FlowEvent, Timeouts, TrackerConfig};

fn text(story: &[(EndReason, String)]) -> Vec<(EndReason, &str)> {
    story.iter().map(|(r, h)| (*r, h.as_str())).collect()
}

#[test]
fn a_connection_from_syn_to_fin() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.client(0.1, ACK, 1001, 9001, b"GET /");
    bench.server(0.2, ACK, 9001, 1006, b"200 hello");
    bench.client(0.3, FIN | ACK, 1006, 9010, b"");
    bench.server(0.4, FIN | ACK, 9010, 1007, b"");
    bench.client(0.5, ACK, 1007, 9011, b"");
    assert_eq!(text(&bench.story()), [(EndReason::Finished, "ShADdFf")]);

    let [
        FlowEvent::Started { initiator, key, .. },
        FlowEvent::Established { time, .. },
        FlowEvent::Closed { time: closed, .. },
        FlowEvent::Ended { .. },
    ] = bench.events[..]
    else {
        panic!("{:?}", bench.events);
    };
    assert_eq!(initiator, side(key, CLIENT));
    assert_eq!((time, closed), (at(0.01), at(0.5)));

    let stats = bench.ended()[0].stats;
    let (client, server) = (stats.by_initiator(), stats.by_responder());
    assert!(stats.established);
    assert_eq!((client.packets, server.packets), (5, 3));
    // 14 + 20 + 20 bytes of headers each.
    assert_eq!((client.bytes, server.bytes), (5 * 54 + 5, 3 * 54 + 9));
    assert_eq!((client.payload_bytes, server.payload_bytes), (5, 9));
    assert_eq!((client.syn, client.fin, client.rst), (1, 1, 0));
    assert_eq!((server.syn, server.fin, server.rst), (1, 1, 0));
    assert_eq!((client.retransmitted, server.retransmitted), (0, 0));
    assert_eq!((client.first, client.last), (Some(at(0.0)), Some(at(0.5))));
    assert_eq!(
        (server.first, server.last),
        (Some(at(0.005)), Some(at(0.4)))
    );
}

#[test]
fn side_and_address_order_are_different_things() {
    // The same connection with the higher and with the lower address as the client.
    for (client, server) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let mut bench = Bench::new();
        bench.frame(0.0, &tcp(client, server, 5, 0, SYN, b""));
        bench.frame(0.1, &tcp(server, client, 7, 6, SYN | ACK, b""));
        bench.finish();
        let ended = &bench.ended()[0];
        assert_eq!(ended.key.a().to_string(), SERVER);
        assert_eq!(ended.stats.initiator, side(ended.key, client));
        assert_eq!(ended.history, "Sh");
        assert_eq!(ended.stats.sent(side(ended.key, server)).syn, 1);
    }
}

#[test]
fn the_receiver_of_a_syn_ack_that_comes_first_is_the_initiator() {
    let mut bench = Bench::new();
    bench.server(0.0, SYN | ACK, 9000, 1001, b"");
    bench.client(0.1, ACK, 1001, 9001, b"");
    bench.finish();
    let ended = &bench.ended()[0];
    assert_eq!(ended.stats.initiator, side(ended.key, CLIENT));
    assert_eq!(ended.history, "^hA");
    // It is reported so from the first event on.
    let FlowEvent::Started { key, initiator, .. } = bench.events[0] else {
        panic!("{:?}", bench.events);
    };
    assert_eq!(initiator, side(key, CLIENT));
    assert_eq!(bench.tracker.stats().flows_established, 1);
}

#[test]
fn a_syn_that_was_overtaken_makes_its_sender_the_initiator() {
    let mut bench = Bench::new();
    bench.server(0.000, ACK, 9001, 1001, b"hello");
    bench.client(0.001, SYN, 1000, 0, b"");
    bench.finish();
    let ended = &bench.ended()[0];
    assert_eq!(ended.stats.initiator, side(ended.key, CLIENT));
    assert_eq!(ended.history, "^dS");
}

#[test]
fn a_connection_picked_up_in_its_middle_begins_with_the_first_sender_and_closes() {
    let mut bench = Bench::new();
    bench.server(0.0, ACK, 9001, 1001, b"data");
    bench.client(0.1, ACK, 1001, 9005, b"");
    bench.server(0.2, FIN | ACK, 9005, 1001, b"");
    bench.client(0.3, FIN | ACK, 1001, 9006, b"");
    assert_eq!(text(&bench.story()), [(EndReason::Finished, "DaFf")]);
    assert_eq!(bench.tracker.stats().flows_established, 0);
}

#[test]
fn a_refused_connection_is_reset_and_not_established() {
    let mut bench = Bench::new();
    bench.client(0.0, SYN, 1000, 0, b"");
    bench.server(0.1, RST | ACK, 0, 1001, b"");
    assert_eq!(text(&bench.story()), [(EndReason::Reset, "Sr")]);
    assert_eq!(bench.tracker.stats().flows_established, 0);
}

#[test]
fn what_trails_a_close_is_absorbed() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.close(1.0, 1000, 9000);
    // A FIN again, its acknowledgement, and a reset, up to 4.9 s later.
    bench.server(2.0, FIN | ACK, 9001, 1002, b"");
    bench.client(2.1, ACK, 1002, 9002, b"");
    bench.client(5.9, RST, 1002, 0, b"");
    bench.expire(10.8);
    assert_eq!(bench.tracker.active_flows(), 1);
    bench.expire(11.3);
    assert_eq!(bench.tracker.active_flows(), 0);
    assert_eq!(text(&bench.story()), [(EndReason::Finished, "ShAFftR")]);
    assert_eq!(bench.ended()[0].stats.by_responder().fin, 2);
}

#[test]
fn a_fin_sent_twice_by_one_end_closes_nothing() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.client(1.0, FIN | ACK, 1001, 9001, b"");
    bench.client(2.0, FIN | ACK, 1001, 9001, b"");
    // The other end keeps sending for a minute: a half-closed connection has not ended.
    bench.server(62.0, ACK, 9001, 1002, b"late");
    assert_eq!(text(&bench.story()), [(EndReason::SourceEnded, "ShAFTd")]);
}

#[test]
fn a_new_syn_on_a_closed_connection_is_another_flow() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.close(1.0, 1000, 9000);
    bench.handshake(1.5, 500_000, 700_000);
    assert_eq!(
        text(&bench.story()),
        [
            (EndReason::Finished, "ShAFf"),
            (EndReason::SourceEnded, "ShA")
        ]
    );
    let packets: Vec<_> = bench.ended().iter().map(|e| e.stats.packets()).collect();
    assert_eq!(packets, [6, 3]);
}

#[test]
fn the_syn_of_a_closed_connection_again_is_not_another_flow() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.close(1.0, 1000, 9000);
    bench.client(1.5, SYN, 1000, 0, b"");
    bench.server(1.6, SYN | ACK, 9000, 1001, b"");
    assert_eq!(text(&bench.story()), [(EndReason::Finished, "ShAFfTt")]);
}

#[test]
fn a_syn_ack_for_another_syn_on_a_closed_connection_is_another_flow() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.close(1.0, 1000, 9000);
    // The capture missed its SYN.
    bench.server(1.5, SYN | ACK, 700_000, 500_001, b"");
    assert_eq!(
        text(&bench.story()),
        [
            (EndReason::Finished, "ShAFf"),
            (EndReason::SourceEnded, "^h")
        ]
    );
}

#[test]
fn a_new_syn_on_an_established_connection_is_another_flow_if_that_is_idle() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    // Half a second after the last packet: an attack, or a stray.
    bench.client(0.5, SYN, 500_000, 0, b"");
    assert_eq!(bench.tracker.active_flows(), 1);
    bench.client(2.0, SYN, 600_000, 0, b"");
    assert_eq!(
        text(&bench.story()),
        [(EndReason::PortReuse, "ShA"), (EndReason::SourceEnded, "S")]
    );
}

#[test]
fn the_own_syn_again_is_never_another_flow() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.client(30.0, SYN, 1000, 0, b"");
    // The SYN was not seen before: the numbers that were sent show that it is the connection's own.
    let mut middle = Bench::new();
    middle.client(0.0, ACK, 1001, 1, b"0123456789");
    middle.client(30.0, SYN, 1000, 0, b"");
    middle.client(60.0, SYN, 77_000, 0, b"");
    assert_eq!(text(&bench.story()), [(EndReason::SourceEnded, "ShAT")]);
    assert_eq!(
        text(&middle.story()),
        [(EndReason::PortReuse, "DS"), (EndReason::SourceEnded, "S")]
    );
}

#[test]
fn port_reuse_can_be_left_alone() {
    let config = TrackerConfig::new()
        .split_port_reuse(false)
        .timeouts(Timeouts::never());
    let mut bench = Bench::with(config);
    for start in 0..3 {
        let start = start * 10_000;
        bench.handshake(f64::from(start), 1000 + start, 9000 + start);
        bench.close(f64::from(start) + 1.0, 1000 + start, 9000 + start);
    }
    bench.finish();
    assert_eq!(bench.ended().len(), 1);
    let stats = bench.ended()[0].stats;
    assert_eq!(stats.packets(), 18);
    assert_eq!((stats.by_initiator().syn, stats.by_responder().fin), (3, 3));
}

#[test]
fn a_segment_sent_again_is_a_retransmission_also_across_the_wrap() {
    for base in [1000_u32, u32::MAX - 3] {
        let mut bench = Bench::new();
        let next = |n: u32| base.wrapping_add(n);
        bench.client(0.0, ACK, next(0), 1, b"abcd");
        bench.client(0.1, ACK, next(4), 1, b"efgh");
        bench.client(0.2, ACK, next(4), 1, b"efgh");
        bench.client(0.3, ACK, next(6), 1, b"ghij");
        bench.client(0.4, ACK, next(10), 1, b"");
        bench.client(0.5, ACK, next(10), 1, b"k");
        bench.finish();
        let ended = &bench.ended()[0];
        assert_eq!(ended.stats.by_initiator().retransmitted, 2);
        assert_eq!(ended.stats.by_initiator().payload_bytes, 17);
        assert_eq!(ended.history, "DTA");
    }
}

#[test]
fn flags_that_exclude_each_other_are_reported_once_per_flow() {
    let mut bench = Bench::new();
    bench.client(0.0, SYN | FIN, 1000, 0, b"");
    bench.client(0.1, SYN | FIN, 1000, 0, b"");
    bench.finish();
    let reported = bench.count(|event| {
        matches!(
            event,
            FlowEvent::Anomaly {
                kind: Anomaly::TcpFlags,
                key: Some(_),
                ..
            }
        )
    });
    assert_eq!(reported, 1);
    assert_eq!(bench.ended()[0].stats.by_initiator().syn, 2);
    assert_eq!(bench.ended()[0].stats.by_initiator().fin, 2);
}

#[test]
fn a_connection_seen_in_one_direction_lives_on_and_is_not_reported_as_established() {
    let mut bench = Bench::new();
    bench.client(0.0, SYN, 1000, 0, b"");
    bench.client(0.1, ACK, 1001, 9001, b"");
    // The timeout of a half-open connection does not end it.
    bench.client(20.0, ACK, 1001, 9001, b"x");
    assert_eq!(text(&bench.story()), [(EndReason::SourceEnded, "SAD")]);
    // Or the other end only.
    bench.server(30.0, SYN | ACK, 9000, 1001, b"");
    bench.server(30.1, ACK, 9001, 1001, b"x");
    bench.server(50.0, ACK, 9002, 1001, b"x");
    assert_eq!(bench.story()[1..], [(EndReason::SourceEnded, "^hd".into())]);
    assert_eq!(bench.tracker.stats().flows_established, 0);
}

/// Client or server, flags, sequence and acknowledgement numbers, data.
type Step = (char, u8, u32, u32, &'static [u8]);

#[test]
fn a_handshake_is_complete_only_if_each_number_is_right() {
    let syn: Step = ('c', SYN, 1000, 0, b"");
    let syn_ack: Step = ('s', SYN | ACK, 9000, 1001, b"");
    let ack: Step = ('c', ACK, 1001, 9001, b"");
    let cases: [(&[Step], u64); 16] = [
        (&[syn, syn_ack, ack], 1),
        // The acknowledgement has data, or a FIN, or was lost and data followed it.
        (&[syn, syn_ack, ('c', ACK, 1001, 9001, b"GET")], 1),
        (&[syn, syn_ack, ('c', FIN | ACK, 1001, 9001, b"")], 1),
        (&[syn, syn_ack, ('c', ACK, 1101, 9001, b"more")], 1),
        // Data in the SYN, acknowledged or not; data after the SYN-ACK.
        (
            &[
                ('c', SYN, 1000, 0, b"GET"),
                ('s', SYN | ACK, 9000, 1004, b""),
                ('c', ACK, 1004, 9001, b""),
            ],
            1,
        ),
        (&[('c', SYN, 1000, 0, b"GET"), syn_ack, ack], 1),
        (
            &[
                syn,
                syn_ack,
                ('s', ACK, 9001, 1001, b"hello"),
                ('c', ACK, 1001, 9006, b""),
            ],
            1,
        ),
        // Retransmitted; with another number.
        (&[syn, syn, syn_ack, syn_ack, ack, ack], 1),
        (
            &[
                syn,
                ('c', SYN, 2000, 0, b""),
                ('s', SYN | ACK, 9000, 2001, b""),
                ('c', ACK, 2001, 9001, b""),
            ],
            1,
        ),
        // The SYN was not seen.
        (&[syn_ack, ack], 1),
        // The SYN-ACK answers another SYN.
        (&[syn, ('s', SYN | ACK, 9000, 5001, b""), ack], 0),
        // The acknowledgement number is wrong, or its sequence number is.
        (&[syn, syn_ack, ('c', ACK, 1001, 9900, b"")], 0),
        (&[syn, syn_ack, ('c', ACK, 900_000, 9001, b"")], 0),
        // No SYN-ACK: a challenge, a stray.
        (&[syn, ('s', ACK, 7000, 900_000, b"")], 0),
        (&[syn, ('s', ACK, 9001, 1001, b"")], 0),
        (&[syn, syn_ack, ('s', ACK, 9001, 1001, b"")], 0),
    ];
    for (number, (steps, established)) in cases.into_iter().enumerate() {
        let mut bench = Bench::new();
        for (n, (who, flags, sequence, ack, data)) in steps.iter().enumerate() {
            let time = n as f64 * 0.01;
            match who {
                'c' => bench.client(time, *flags, *sequence, *ack, data),
                _ => bench.server(time, *flags, *sequence, *ack, data),
            }
        }
        bench.finish();
        let stats = bench.tracker.stats();
        assert_eq!(stats.flows_established, established, "case {number}");
        assert_eq!(stats.flows_started, 1, "case {number}");
        assert_eq!(bench.ended()[0].stats.established, established == 1);
    }
}

#[test]
fn a_syn_ack_that_answers_a_new_syn_is_another_flow_at_once() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.client(0.1, ACK, 1001, 9001, b"GET");
    // The client starts again 0.2 s after its last packet, and the server has forgotten the first
    // connection.
    bench.client(0.3, SYN, 500_000, 0, b"");
    assert_eq!(bench.tracker.active_flows(), 1);
    bench.server(0.31, SYN | ACK, 700_000, 500_001, b"");
    bench.client(0.32, ACK, 500_001, 700_001, b"");
    assert_eq!(
        text(&bench.story()),
        [
            (EndReason::PortReuse, "ShAD"),
            (EndReason::SourceEnded, "^hA")
        ]
    );
    assert_eq!(bench.tracker.stats().flows_established, 2);
}

#[test]
fn a_stray_syn_that_is_not_answered_changes_nothing() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.client(0.1, SYN, 500_000, 0, b"");
    // Challenged, and the connection continues: its numbers are as before, and so are its own SYN
    // and SYN-ACK.
    bench.server(0.11, ACK, 9001, 1001, b"");
    bench.client(0.2, ACK, 1001, 9001, b"data");
    bench.client(0.3, SYN, 1000, 0, b"");
    bench.server(0.4, SYN | ACK, 9000, 1001, b"");
    bench.server(0.5, SYN | ACK, 9000, 333_333, b"");
    bench.close(0.6, 1004, 9000);
    assert_eq!(text(&bench.story()), [(EndReason::Finished, "ShAaDTtFf")]);
    let stats = bench.ended()[0].stats;
    assert_eq!(stats.by_initiator().out_of_order, 0);
    // The repeated SYN; the stray one does not count.
    assert_eq!(stats.by_initiator().retransmitted, 1);
}

#[test]
fn a_header_that_was_cut_counts_and_changes_nothing() {
    let mut bench = Bench::new();
    let frame = tcp(CLIENT, SERVER, 1000, 0, SYN, b"");
    for cut in [38, 46, 54] {
        let packet =
            netring_sys::Packet::new(&frame[..cut], at(0.0), netring_sys::LinkType::ETHERNET);
        bench
            .tracker
            .track(&packet.with_wire_len(54), &mut bench.events);
    }
    bench.finish();
    let ended = &bench.ended()[0];
    assert_eq!(ended.history, "S");
    assert!(ended.stats.cut);
    assert_eq!(ended.stats.sent(Orientation::Reverse).packets, 3);
    assert_eq!(ended.stats.sent(Orientation::Reverse).bytes, 3 * 54);
    assert_eq!(bench.tracker.stats().cut, 2);
}
