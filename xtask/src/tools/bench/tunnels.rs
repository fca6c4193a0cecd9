//! The cost that a tunnel adds to reading a packet's flow, next to flowscope's decapsulating
//! extractors: the cost of a packet in tunnels without the cost of the packet alone, for each
//! tunnel.

mod frames;

use flowscope::PacketView;
use flowscope::extract::{
    FiveTuple as TheirTuple, FiveTupleKey as TheirKey, InnerGre, InnerGtpU, InnerVxlan, StripMpls,
    StripVlan,
};
use flowscope::extractor::{Extracted as Theirs, FlowExtractor};
use netring_flow::extract::{Extract, FiveTuple, FiveTupleKey, Tunnels};
use netring_flow::{FlowEvent, FlowTracker, TrackerConfig};
use netring_sys::PacketBatch;
use std::hint::black_box;

use self::frames::{Frames, Kind};
use super::{Options, Row, Table, Target, measure};
use crate::Result;

const OURS: FiveTuple = FiveTuple::bidirectional().with_tunnels(Tunnels::all());
const KINDS: [Kind; 7] = [
    Kind::Vxlan,
    Kind::Geneve,
    Kind::GtpU,
    Kind::Gre,
    Kind::IpInIp,
    Kind::Mpls,
    Kind::Vlan,
];
const DEPTHS: [usize; 3] = [1, 2, 4];
/// Flows inside; their packets are in random order.
const FLOWS: [u32; 2] = [1, 10_000];
/// Nanoseconds for a layer.
const MOST: f64 = 10.0;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    for flows in FLOWS {
        let plain = Frames::new(Kind::Vxlan, 0, flows);
        for kind in KINDS {
            for depth in DEPTHS {
                let inside = Frames::new(kind, depth, flows);
                extractors(options, table, &plain, &inside)?;
            }
        }
        for kind in KINDS {
            trackers(options, table, &plain, &Frames::new(kind, 1, flows))?;
        }
    }
    table.note(
        "tunnels: (frames in tunnels − the same frames alone) / layers, measured one after the \
         other in each round; alone they have 64 bytes. A layer of \
         VXLAN and Geneve is an IP, a UDP, a tunnel and an Ethernet header, of GTP-U the first \
         three, of GRE two, of IP in IP, MPLS and VLAN one. Ours looks for all kinds at once, \
         flowscope for the one that is there.",
    );
    Ok(())
}

/// The extractors alone.
fn extractors(options: &Options, table: &mut Table, plain: &Frames, inside: &Frames) -> Result<()> {
    for (alone, wrapped) in plain.batch().packets().zip(inside.batch().packets()) {
        let [alone, wrapped] = [alone, wrapped].map(|packet| OURS.extract(&packet));
        match (alone, wrapped) {
            (Ok(alone), Ok(wrapped)) if alone.key == wrapped.key => {}
            found => return Err(format!("{inside}: {found:?}").into()),
        }
    }
    let layers = inside.depth as f64;
    let mut ours = || Ok((our_cost(options, inside) - our_cost(options, plain)) / layers);
    let row = |ours| Row::new(inside.to_string(), "ns/layer", ours).target(Target::AtMost(MOST));
    let Some(peer) = peer(inside) else {
        let [cost] = measure::in_turn(options, [&mut ours])?;
        table.add(row(cost));
        return Ok(());
    };
    let alone = TheirTuple::bidirectional();
    let mut theirs = || {
        let wrapped = their_cost(options, inside, &peer);
        let alone = their_cost(options, plain, |view| alone.extract(view));
        Ok((wrapped - alone) / layers)
    };
    let [cost, peer] = measure::in_turn(options, [&mut ours, &mut theirs])?;
    table.add(row(cost).peer("flowscope", peer));
    Ok(())
}

fn our_cost(options: &Options, frames: &Frames) -> f64 {
    measure::cost(options, || {
        for packet in frames.batch().packets() {
            black_box(&OURS.extract(&packet));
        }
        (frames.count as u64, ())
    })
}

type Peer = dyn Fn(PacketView<'_>) -> Option<Theirs<TheirKey>>;

fn their_cost(
    options: &Options,
    frames: &Frames,
    extract: impl Fn(PacketView<'_>) -> Option<Theirs<TheirKey>>,
) -> f64 {
    measure::cost(options, || {
        for packet in frames.batch().packets() {
            let time = flowscope::Timestamp::new(1, 0);
            black_box(&extract(PacketView::new(packet.data(), time)));
        }
        (frames.count as u64, ())
    })
}

/// flowscope's extractor for these frames; `None` if it has none, or that does not find their flow.
fn peer(frames: &Frames) -> Option<Box<Peer>> {
    const FLOW: fn() -> TheirTuple = TheirTuple::bidirectional;
    fn boxed(extract: impl FlowExtractor<Key = TheirKey> + 'static) -> Box<Peer> {
        Box::new(move |view| extract.extract(view))
    }
    macro_rules! nested {
        ($new:expr) => {
            match frames.depth {
                1 => boxed($new(FLOW())),
                2 => boxed($new($new(FLOW()))),
                _ => boxed($new($new($new($new(FLOW()))))),
            }
        };
    }
    let extract = match frames.kind {
        Kind::Vxlan => nested!(InnerVxlan::new),
        Kind::GtpU => nested!(InnerGtpU::new),
        Kind::Gre => nested!(InnerGre::new),
        // It takes all labels and tags off.
        Kind::Mpls => boxed(StripMpls(FLOW())),
        Kind::Vlan => boxed(StripVlan(FLOW())),
        Kind::Geneve | Kind::IpInIp => return None,
    };
    let finds = frames.batch().packets().all(|packet| {
        let time = flowscope::Timestamp::new(1, 0);
        let theirs = extract(PacketView::new(packet.data(), time));
        let theirs = theirs.map(|found| (found.key.a, found.key.b));
        let ours = OURS.extract(&packet).ok();
        theirs == ours.map(|found| (found.key.a(), found.key.b()))
    });
    finds.then_some(extract)
}

/// The same with a tracker.
fn trackers(options: &Options, table: &mut Table, plain: &Frames, inside: &Frames) -> Result<()> {
    let mut trackers = [Tracker::new(plain)?, Tracker::new(inside)?];
    let [cost] = measure::in_turn(
        options,
        [&mut || {
            let [alone, wrapped] = &mut trackers;
            Ok(wrapped.cost(options) - alone.cost(options))
        }],
    )?;
    for tracker in &trackers {
        let active = tracker.tracker.active_flows();
        if active != tracker.frames.flows as usize {
            return Err(format!("{}: {active} flows in the table", tracker.frames).into());
        }
    }
    let row = Row::new(format!("{inside}, with a tracker"), "ns/layer", cost);
    table.add(row.target(Target::AtMost(MOST)));
    Ok(())
}

struct Tracker<'a> {
    tracker: FlowTracker<FiveTuple>,
    events: Vec<FlowEvent<FiveTupleKey>>,
    frames: &'a Frames,
}

impl<'a> Tracker<'a> {
    fn new(frames: &'a Frames) -> Result<Self> {
        let config = TrackerConfig::new().max_flows(2 * frames.flows as usize);
        Ok(Self {
            tracker: FlowTracker::with_config(OURS, config)?,
            events: Vec::new(),
            frames,
        })
    }

    fn cost(&mut self, options: &Options) -> f64 {
        measure::cost(options, || {
            self.tracker
                .track_batch(&self.frames.batch(), &mut self.events);
            self.events.clear();
            (self.frames.count as u64, ())
        })
    }
}
