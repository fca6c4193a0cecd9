//! The engine against a naive model: random conversations on a few keys in a small table, with the
//! events of each packet in their order, and all counters of each flow.

mod flow;

use std::collections::HashSet;
use std::time::Duration;

use netring_flow::extract::Orientation;
use netring_flow::{Anomaly, EndReason, FlowEvent, Timeouts, TrackerConfig};
use proptest::prelude::*;

use self::flow::{CLOSING, ESTABLISHED, Flow, OF_UDP, OPENING, Sent, State};
use crate::common::{ACK, Bench, Ended, FIN, RST, SERVER, SYN, side, tcp, udp};

/// Clients, of which the last speaks UDP. The address of some is below that of the server, and of
/// some above.
const CLIENTS: [&str; 6] = [
    "192.0.2.1:4001",
    "192.0.2.2:4002",
    "192.0.2.201:4003",
    "192.0.2.202:4004",
    "192.0.2.203:4005",
    "192.0.2.204:4006",
];
const UDP: usize = 5;

/// What may happen. What makes no sense at that time is left out.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// The client opens a connection.
    Open,
    /// It repeats its SYN.
    OpenAgain,
    /// The server answers.
    Answer,
    /// An end sends bytes.
    Data(usize, u16),
    /// It sends its last bytes again.
    Again(usize),
    /// It acknowledges.
    Ack(usize),
    /// It closes its side.
    Close(usize),
    /// It resets the connection, with a number inside the window or outside.
    Reset(usize, bool),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => Just(Action::Open),
        1 => Just(Action::OpenAgain),
        3 => Just(Action::Answer),
        5 => (0_usize..2, 2_u16..200).prop_map(|(end, len)| Action::Data(end, len)),
        1 => (0_usize..2).prop_map(Action::Again),
        6 => (0_usize..2).prop_map(Action::Ack),
        3 => (0_usize..2).prop_map(Action::Close),
        1 => (0_usize..2, any::<bool>()).prop_map(|(end, inside)| Action::Reset(end, inside)),
    ]
}

/// What happens without a pause: often a whole handshake, or both ends close.
fn actions() -> impl Strategy<Value = Vec<Action>> {
    use Action::{Ack, Answer, Close, Open};
    prop_oneof![
        3 => Just(vec![Open, Answer, Ack(0)]),
        2 => (0_usize..2).prop_map(|end| vec![Close(end), Close(1 - end), Ack(end)]),
        6 => prop::collection::vec(action(), 1..6),
    ]
}

/// Key, what happens, and the seconds that pass before it.
fn steps() -> impl Strategy<Value = Vec<(usize, Vec<Action>, u32)>> {
    let passed = prop_oneof![12 => Just(0_u32), 4 => 1_u32..3, 1 => 3_u32..12, 1 => 25_u32..40];
    prop::collection::vec((0..CLIENTS.len(), actions(), passed), 1..100)
}

struct Model {
    bench: Bench,
    now: f64,
    flows: Vec<Option<Flow>>,
    /// The number of what each end of a key sends next.
    next: Vec<[u32; 2]>,
    /// When the last packet of a closed connection came, once its flow has ended.
    closed: Vec<Option<f64>>,
    connections: u32,
    /// By [`COUNTED`]; and segments that trail a closed connection.
    totals: [u64; 4],
}

/// Events that the tracker counts.
const COUNTED: [&str; 3] = ["established", "closed", "out of window"];
const AFTER_CLOSE: usize = 3;

/// Flows that the table holds.
const ROOM: usize = 4;

impl Model {
    fn new() -> Self {
        let seconds = Duration::from_secs_f64;
        let timeouts = Timeouts::default()
            .tcp_opening(seconds(OPENING))
            .tcp_established(seconds(ESTABLISHED))
            .tcp_closing(seconds(CLOSING))
            .udp(seconds(OF_UDP));
        let config = TrackerConfig::new().max_flows(ROOM).timeouts(timeouts);
        Self {
            bench: Bench::with(config),
            now: 0.0,
            flows: vec![None; CLIENTS.len()],
            next: vec![[1000, 5000]; CLIENTS.len()],
            closed: vec![None; CLIENTS.len()],
            connections: 0,
            totals: [0; 4],
        }
    }

    /// What an action sends, if it makes sense now.
    fn sent(&mut self, key: usize, action: Action) -> Option<Sent> {
        let next = self.next[key];
        let segment = |from: usize, flags, len| Sent {
            from,
            flags,
            sequence: next[from],
            ack: next[1 - from],
            len,
            again: false,
            outside: false,
        };
        if key == UDP {
            return match action {
                Action::Data(from, len) => Some(segment(from, 0, len)),
                _ => None,
            };
        }
        let Some(flow) = &self.flows[key] else {
            // The capture began in the middle; or it is late.
            let trails = self.closed[key].map(|time| self.now - time);
            return match action {
                Action::Open => Some(self.open(key)),
                Action::Data(from, len) => Some(segment(from, ACK, len)),
                // How exactly a key is remembered is not modelled.
                Action::Ack(_) if trails.is_some_and(|ago| (ago - 240.0).abs() < 1.0) => None,
                Action::Ack(from) => Some(segment(from, ACK, 0)),
                _ => None,
            };
        };
        let silent = self.now - flow.silent_since();
        let opens = flow.state == State::Opening;
        let is_open = flow.state == State::Established;
        let may_send =
            |from: usize| is_open && !flow.fin[from] || opens && flow.answered && from == 0;
        match action {
            Action::Open if flow.state.is_closed() || is_open && silent >= 1.0 => {
                Some(self.open(key))
            }
            // Its next attempt may take longer, which is not modelled.
            Action::OpenAgain if opens && !flow.answered && flow.last[0] == Some(self.now) => {
                Some(Sent {
                    sequence: next[0].wrapping_sub(1),
                    again: true,
                    ..segment(0, SYN, 0)
                })
            }
            Action::Answer if opens && !flow.answered => Some(segment(1, SYN | ACK, 0)),
            Action::Data(from, len) if may_send(from) => Some(segment(from, ACK, len)),
            Action::Again(from) if is_open && !flow.fin[from] => {
                flow.sent[from].map(|(sequence, len)| Sent {
                    sequence,
                    again: true,
                    ..segment(from, ACK, len)
                })
            }
            Action::Ack(from) if may_send(from) || is_open || flow.state.is_closed() => {
                Some(segment(from, ACK, 0))
            }
            Action::Close(from) if is_open && !flow.fin[from] => Some(segment(from, FIN | ACK, 0)),
            Action::Reset(from, false) if is_open && flow.established => Some(Sent {
                sequence: next[from].wrapping_add(1 << 30),
                outside: true,
                ..segment(from, RST | ACK, 0)
            }),
            Action::Reset(from, true) if opens || is_open || flow.state == State::Closing => {
                Some(segment(from, RST | ACK, 0))
            }
            _ => None,
        }
    }

    /// The SYN of another connection. Some wrap.
    fn open(&mut self, key: usize) -> Sent {
        self.connections += 1;
        let first = 0xff00_0000_u32.wrapping_add(self.connections * 1_000_000);
        self.next[key] = [first, first.wrapping_add(500_000)];
        Sent {
            from: 0,
            flags: SYN,
            sequence: first,
            ack: 0,
            len: 0,
            again: false,
            outside: false,
        }
    }

    fn step(&mut self, key: usize, action: Action) -> Result<(), TestCaseError> {
        self.bench.events.clear();
        self.bench.expire(self.now);
        self.expire()?;
        let Some(sent) = self.sent(key, action) else {
            return Ok(());
        };
        // What was sent again was counted.
        let len = sent.len + u16::from(sent.flags & (SYN | FIN) != 0);
        if !sent.again {
            let next = &mut self.next[key][sent.from];
            *next = next.wrapping_add(len.into());
        }
        let ends = [CLIENTS[key], SERVER];
        let (from, to) = (ends[sent.from], ends[1 - sent.from]);
        let payload = vec![7; sent.len.into()];
        let frame = if sent.flags == 0 {
            udp(from, to, &payload)
        } else {
            tcp(from, to, sent.sequence, sent.ack, sent.flags, &payload)
        };
        self.bench.events.clear();
        self.bench.frame(self.now, &frame);
        self.packet(key, sent, frame.len())
    }

    /// Flows that were idle for too long have ended, and no others.
    fn expire(&mut self) -> Result<(), TestCaseError> {
        let ended = self.bench.ended();
        prop_assert_eq!(ended.len(), self.bench.events.len());
        for ended in ended {
            let key = key(&ended);
            let flow = self.flows[key].take().expect("it was alive");
            prop_assert!(self.now - flow.silent_since() >= flow.state.timeout());
            self.over(key, &flow, &ended, EndReason::IdleTimeout)?;
        }
        for flow in self.flows.iter().flatten() {
            prop_assert!(self.now - flow.silent_since() < flow.state.timeout());
        }
        Ok(())
    }

    fn over(
        &mut self,
        key: usize,
        flow: &Flow,
        ended: &Ended,
        otherwise: EndReason,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(ended.reason, flow.state.reason(otherwise));
        flow.check(ended, CLIENTS[key], self.now)?;
        if flow.state.is_closed() {
            self.closed[key] = Some(flow.silent_since());
        }
        Ok(())
    }

    /// What a packet changes, in the order in which it is reported.
    fn packet(&mut self, key: usize, sent: Sent, bytes: usize) -> Result<(), TestCaseError> {
        let mut events = std::mem::take(&mut self.bench.events)
            .into_iter()
            .peekable();
        // Another connection on these ports.
        let is_another = sent.flags == SYN && !sent.again;
        if is_another && let Some(flow) = self.flows[key].take() {
            let ended = events.next().as_ref().and_then(Ended::of);
            self.over(key, &flow, &ended.expect("an end"), EndReason::PortReuse)?;
        }
        if self.flows[key].is_none() {
            let trails = sent.flags == ACK && sent.len == 0;
            if trails && self.closed[key].is_some_and(|time| self.now - time <= 240.0) {
                self.totals[AFTER_CLOSE] += 1;
                prop_assert!(events.next().is_none());
                return Ok(());
            }
            if self.flows.iter().flatten().count() == ROOM {
                self.evict(&mut events)?;
            }
            self.flows[key] = Some(Flow::new(sent));
            let initiator = match events.next() {
                Some(FlowEvent::Started { key, initiator, .. }) => (key, initiator),
                other => panic!("{other:?} in place of a start"),
            };
            let client = side(initiator.0, CLIENTS[key]);
            let expected: [Orientation; 2] = [client, client.flipped()];
            prop_assert_eq!(initiator.1, expected[sent.from]);
        }
        let flow = self.flows[key].as_mut().expect("it is alive");
        let expected = flow.take(sent, bytes, self.next[key], self.now);
        let found: Vec<_> = events.map(|event| name(&event)).collect();
        prop_assert_eq!(&found, &expected, "{:?} after {:?}", flow, sent);
        for event in expected {
            let place = COUNTED.iter().position(|name| *name == event);
            self.totals[place.expect("a name")] += 1;
        }
        Ok(())
    }

    /// A flow goes because there is no room: one that was idle for a quarter of its time, or one of
    /// the least value.
    fn evict(
        &mut self,
        events: &mut std::iter::Peekable<impl Iterator<Item = crate::common::Event>>,
    ) -> Result<(), TestCaseError> {
        let mut names = Vec::new();
        while let Some(event) = events.next_if(|event| !matches!(event, FlowEvent::Started { .. }))
        {
            names.push(name(&event));
            let Some(ended) = Ended::of(&event) else {
                continue;
            };
            let key = key(&ended);
            let values = self.flows.iter().flatten().map(Flow::value);
            let least = values.min().expect("the table is full");
            let flow = self.flows[key].take().expect("it was alive");
            let is_overdue = self.now - flow.silent_since() >= flow.state.timeout() / 4.0;
            prop_assert!(is_overdue || flow.value() == least, "{:?}", flow);
            let otherwise = match is_overdue && ended.reason != EndReason::TableFull {
                true => EndReason::Emergency,
                false => EndReason::TableFull,
            };
            self.over(key, &flow, &ended, otherwise)?;
        }
        let expected = ["emergency began", "ended", "emergency over", "ended"];
        prop_assert!(
            names.len() >= 3 && names == expected[..names.len()],
            "{names:?}"
        );
        Ok(())
    }

    fn finish(mut self) -> Result<(), TestCaseError> {
        let alive: HashSet<_> = (0..CLIENTS.len())
            .filter(|key| self.flows[*key].is_some())
            .collect();
        self.bench.events.clear();
        while self.bench.tracker.finish(&mut self.bench.events) {}
        let ended = self.bench.ended();
        prop_assert_eq!(ended.iter().map(key).collect::<HashSet<_>>(), alive);
        for ended in ended {
            let key = key(&ended);
            let flow = self.flows[key].take().expect("it was alive");
            self.over(key, &flow, &ended, EndReason::SourceEnded)?;
        }
        let stats = self.bench.tracker.stats();
        prop_assert_eq!(stats.flows_started, stats.ended.total());
        prop_assert_eq!(stats.packets, stats.tracked + stats.untracked.total());
        prop_assert_eq!(stats.untracked.total(), stats.untracked.after_close);
        let totals = [
            stats.flows_established,
            stats.flows_closed,
            stats.out_of_window,
            stats.untracked.after_close,
        ];
        prop_assert_eq!(totals, self.totals);
        Ok(())
    }
}

/// The number of the client of a flow.
fn key(ended: &Ended) -> usize {
    let ends = [ended.key.a().to_string(), ended.key.b().to_string()];
    let is_client = |client: &str| ends.iter().any(|end| end == client);
    let found = CLIENTS.into_iter().position(is_client);
    found.expect("a client")
}

fn name(event: &crate::common::Event) -> &'static str {
    match event {
        FlowEvent::Established { .. } => "established",
        FlowEvent::Closed { .. } => "closed",
        FlowEvent::Ended { .. } => "ended",
        FlowEvent::Anomaly { kind, .. } => match kind {
            Anomaly::OutOfWindow => "out of window",
            Anomaly::EmergencyBegan => "emergency began",
            Anomaly::EmergencyOver => "emergency over",
            _ => "another anomaly",
        },
        _ => "another event",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn flows_are_those_of_the_model(steps in steps()) {
        let mut model = Model::new();
        for (key, actions, passed) in steps {
            model.now += f64::from(passed);
            for action in actions {
                model.step(key, action)?;
            }
        }
        model.finish()?;
    }
}
