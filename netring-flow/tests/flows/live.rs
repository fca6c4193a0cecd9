//! Looking at the flows that have not ended.

use netring_flow::{FlowState, LiveFlow, TrackerConfig};

use netring_flow::extract::FiveTupleKey;

use crate::common::{ACK, Bench, FIN, RST, SYN, tcp, udp};

/// One flow in each state, and the port of its client.
fn one_of_each() -> Bench {
    let mut bench = Bench::new();
    let server = "192.0.2.10:443";
    bench.frame(0.0, &udp("192.0.2.200:1", server, b"0123456789"));
    bench.frame(0.1, &tcp("192.0.2.200:2", server, 5, 0, SYN, b""));
    bench.frame(0.2, &tcp("192.0.2.200:3", server, 5, 9, ACK, b"data"));
    bench.frame(0.3, &tcp("192.0.2.200:4", server, 5, 9, RST, b""));
    bench.frame(0.4, &tcp("192.0.2.200:5", server, 5, 9, FIN | ACK, b""));
    bench.frame(0.5, &tcp(server, "192.0.2.200:5", 9, 6, FIN | ACK, b""));
    bench
}

/// The port of each flow's client.
fn ports(flows: &[LiveFlow<FiveTupleKey>]) -> Vec<u16> {
    flows.iter().map(|flow| flow.key.b().port()).collect()
}

fn sorted(bench: &Bench) -> Vec<LiveFlow<FiveTupleKey>> {
    let mut flows: Vec<_> = bench.tracker.flows().collect();
    assert_eq!(flows.len(), bench.tracker.active_flows());
    flows.sort_by_key(|flow| flow.flow);
    flows
}

#[test]
fn every_flow_is_there_with_its_state_and_its_statistics() {
    let mut bench = one_of_each();
    let flows = sorted(&bench);
    assert_eq!(ports(&flows), [1, 2, 3, 4, 5]);
    let states: Vec<_> = flows.iter().map(|flow| flow.state).collect();
    assert_eq!(
        states,
        [
            FlowState::Udp,
            FlowState::TcpOpening,
            FlowState::TcpEstablished,
            FlowState::TcpClosing,
            FlowState::TcpClosing,
        ]
    );
    // No packet comes any more, so each ends as it is now.
    bench.finish();
    let mut ended = bench.ended();
    ended.sort_by_key(|ended| ended.flow);
    assert_eq!(ended.len(), 5);
    for (flow, ended) in flows.iter().zip(ended) {
        assert_eq!((flow.key, flow.flow.get()), (ended.key, ended.flow));
        assert_eq!(flow.history.to_string(), ended.history);
        assert_eq!(flow.stats, ended.stats);
    }
    assert_eq!(bench.tracker.flows().count(), 0);
}

#[test]
fn the_largest_come_first_and_of_equal_ones_the_older() {
    let mut bench = Bench::new();
    for (port, len) in [(1, 10), (2, 300), (3, 10), (4, 200), (5, 200), (6, 0)] {
        let client = format!("192.0.2.200:{port}");
        bench.frame(0.1, &udp(&client, "192.0.2.10:53", &vec![0; len]));
    }
    let largest = |count| ports(&bench.tracker.largest_flows(count));
    assert_eq!(largest(0), []);
    assert_eq!(largest(1), [2]);
    assert_eq!(largest(4), [2, 4, 5, 1]);
    assert_eq!(largest(6), [2, 4, 5, 1, 3, 6]);
    assert_eq!(largest(usize::MAX), [2, 4, 5, 1, 3, 6]);
    // Both directions count.
    bench.frame(0.2, &udp("192.0.2.10:53", "192.0.2.200:6", &[0; 500]));
    assert_eq!(ports(&bench.tracker.largest_flows(2)), [6, 2]);
}

#[test]
fn a_flow_that_ended_is_gone_and_its_place_is_used_again() {
    let mut bench = one_of_each();
    // The closed ones have lingered, and the attempt had no answer.
    bench.expire(6.0);
    assert_eq!(ports(&sorted(&bench)), [1, 3]);
    bench.frame(6.1, &udp("192.0.2.200:6", "192.0.2.10:443", b""));
    assert_eq!(ports(&sorted(&bench)), [1, 3, 6]);
    assert_eq!(ports(&bench.tracker.largest_flows(9)), [3, 1, 6]);
}

#[test]
fn looking_changes_no_timeout_and_no_eviction() {
    let run = |look: bool| {
        let mut bench = Bench::with(TrackerConfig::new().max_flows(64));
        for n in 0..2_000_u32 {
            let client = format!("192.0.2.200:{}", 1 + n * 7 % 300);
            bench.frame(f64::from(n) * 0.5, &udp(&client, "192.0.2.10:53", b"x"));
            if look {
                assert_eq!(bench.tracker.flows().count(), bench.tracker.active_flows());
                assert_eq!(
                    bench.tracker.largest_flows(5).len(),
                    5.min(bench.tracker.active_flows())
                );
            }
        }
        bench.finish();
        bench
    };
    let (looked, not) = (run(true), run(false));
    assert_eq!(looked.events, not.events);
    assert_eq!(looked.tracker.stats(), not.tracker.stats());
}
