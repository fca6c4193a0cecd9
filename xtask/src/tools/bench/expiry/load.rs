//! Flows that start together and idle out together, and the longest call meanwhile.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{
    Interest, Reassembler, ReassemblyConfig, StreamPoint, StreamVisitor, Subscription,
};
use netring_flow::session::{SessionEvent, SessionTracker};
use netring_flow::{FlowEvent, FlowTracker, Segment, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, PacketBatch, Timestamp};

use super::super::reassembly::First;

/// Packets in a batch.
const BATCH: usize = 256;
/// Nanoseconds between two packets.
const APART: i64 = 500;
/// Longer than any timeout, and no multiple of a revolution of the timer wheel.
const SILENCE: i64 = 400_000_000_000;

/// The subject of the measurement: a tracker with a receiver of its results.
pub(super) trait Tracks {
    fn batch(&mut self, batch: &Batch<'_>);
    fn expire(&mut self, now: Timestamp) -> bool;
    fn finish(&mut self) -> bool;
    fn active(&self) -> usize;
}

/// The longest calls, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Longest {
    /// Of `track_batch` while flows start.
    pub(super) start: f64,
    /// Of `track_batch` while all of them idle out.
    pub(super) busy: f64,
    /// Of `expire` while no packets arrive.
    pub(super) silent: f64,
    /// Of `finish`.
    pub(super) finish: f64,
}

impl Longest {
    pub(super) const fn figures(self) -> [f64; 4] {
        [self.start, self.busy, self.silent, self.finish]
    }
}

/// Frames of flows, each with a segment in order and, if they are to hold data, one behind a hole.
pub(super) struct Load<'a> {
    pub(super) template: &'a [u8],
    pub(super) flows: u32,
    pub(super) held: bool,
    /// The clock: CPU time, so that another program that runs meanwhile does not count.
    pub(super) clock: fn() -> Duration,
}

impl Load<'_> {
    /// Three trackers start the same flows. In the first they idle out while packets arrive, in
    /// the second while none does, and the third ends.
    pub(super) fn run<T: Tracks>(&self, new: impl Fn() -> T) -> Result<Longest, String> {
        let mut time = 1_700_000_000_000_000_000;
        let (mut one, first) = self.start(&new, &mut time)?;
        time += SILENCE;
        let mut busy = Duration::ZERO;
        while one.active() > 1 {
            // All of one flow.
            let frames = vec![self.frame(u32::MAX, 1); BATCH];
            busy = busy.max(self.timed(|| one.batch(&Batch::at(&frames, &mut time))));
        }
        drop(one);
        let (mut two, second) = self.start(&new, &mut time)?;
        let (mut silent, mut more) = (Duration::ZERO, true);
        for wait in [SILENCE / 100, SILENCE] {
            time += wait;
            while more {
                let now = Timestamp::from_nanos(time, Clock::Software);
                silent = silent.max(self.timed(|| more = two.expire(now)));
            }
            more = true;
        }
        if two.active() != 0 {
            return Err(format!("{} flows have not idled out", two.active()));
        }
        drop(two);
        let (mut three, third) = self.start(&new, &mut time)?;
        let (mut finish, mut more) = (Duration::ZERO, true);
        while more {
            finish = finish.max(self.timed(|| more = three.finish()));
        }
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        Ok(Longest {
            start: micros(first.max(second).max(third)),
            busy: micros(busy),
            silent: micros(silent),
            finish: micros(finish),
        })
    }

    /// A tracker in which all flows have started, and the longest call until then.
    fn start<T: Tracks>(
        &self,
        new: &impl Fn() -> T,
        time: &mut i64,
    ) -> Result<(T, Duration), String> {
        let (mut tracker, mut longest) = (new(), Duration::ZERO);
        let mut frames = Vec::with_capacity(BATCH + 2);
        for flow in 0..self.flows {
            frames.push(self.frame(flow, 1));
            if self.held {
                frames.push(self.frame(flow, 1000));
            }
            if frames.len() >= BATCH || flow + 1 == self.flows {
                longest = longest.max(self.timed(|| tracker.batch(&Batch::at(&frames, time))));
                frames.clear();
            }
        }
        if tracker.active() != self.flows as usize {
            return Err(format!("{} flows of {}", tracker.active(), self.flows));
        }
        Ok((tracker, longest))
    }

    fn timed(&self, work: impl FnOnce()) -> Duration {
        let start = (self.clock)();
        work();
        (self.clock)() - start
    }

    fn frame(&self, flow: u32, sequence: u32) -> Vec<u8> {
        let mut frame = self.template.to_vec();
        frame[26..30].copy_from_slice(&0x0b00_0000_u32.wrapping_add(flow).to_be_bytes());
        frame[38..42].copy_from_slice(&sequence.to_be_bytes());
        frame
    }
}

/// Frames from a time on.
pub(super) struct Batch<'a> {
    frames: &'a [Vec<u8>],
    start: i64,
}

impl<'a> Batch<'a> {
    /// Advances the time by that of the frames.
    fn at(frames: &'a [Vec<u8>], time: &mut i64) -> Self {
        let start = *time;
        *time += APART * frames.len() as i64;
        Self { frames, start }
    }
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.frames.iter().zip(0..).map(|(frame, n)| {
            let time = Timestamp::from_nanos(self.start + APART * n, Clock::Software);
            Packet::new(frame, time, LinkType::ETHERNET)
        })
    }
}

fn tracker(flows: u32) -> FlowTracker<FiveTuple> {
    let config = TrackerConfig::new().max_flows(2 * flows as usize);
    FlowTracker::with_config(FiveTuple::bidirectional(), config)
        .unwrap_or_else(|_| FlowTracker::new(FiveTuple::bidirectional()))
}

/// The tracker alone, with its events in a vector.
pub(super) struct Alone {
    tracker: FlowTracker<FiveTuple>,
    events: Vec<FlowEvent<FiveTupleKey>>,
}

impl Alone {
    pub(super) fn new(flows: u32) -> Self {
        let (tracker, events) = (tracker(flows), Vec::with_capacity(8 * BATCH));
        Self { tracker, events }
    }
}

impl Tracks for Alone {
    fn batch(&mut self, batch: &Batch<'_>) {
        self.tracker.track_batch(batch, &mut self.events);
        self.events.clear();
    }

    fn expire(&mut self, now: Timestamp) -> bool {
        let more = self.tracker.expire(now, &mut self.events);
        self.events.clear();
        more
    }

    fn finish(&mut self) -> bool {
        let more = self.tracker.finish(&mut self.events);
        self.events.clear();
        more
    }

    fn active(&self) -> usize {
        self.tracker.active_flows()
    }
}

/// The tracker with a reassembler.
pub(super) struct Streams {
    tracker: FlowTracker<FiveTuple>,
    streams: Reassembler<FiveTupleKey, Count>,
}

impl Streams {
    pub(super) fn new(flows: u32) -> Self {
        let streams = Reassembler::new(ReassemblyConfig::new(), Count(0));
        Self {
            tracker: tracker(flows),
            streams: streams.unwrap_or_else(|_| unreachable!("the default settings are possible")),
        }
    }
}

impl Tracks for Streams {
    fn batch(&mut self, batch: &Batch<'_>) {
        self.tracker.track_batch(batch, &mut self.streams);
    }

    fn expire(&mut self, now: Timestamp) -> bool {
        self.streams.expire(now) || self.tracker.expire(now, &mut self.streams)
    }

    fn finish(&mut self) -> bool {
        self.tracker.finish(&mut self.streams)
    }

    fn active(&self) -> usize {
        self.tracker.active_flows()
    }
}

/// Counts the bytes.
struct Count(u64);

impl StreamVisitor<FiveTupleKey> for Count {
    type State = u64;

    fn subscribe(&mut self, _: &Segment<'_, FiveTupleKey>) -> Interest<u64> {
        Interest::Yes(0)
    }

    fn data(
        &mut self,
        _: StreamPoint<'_, FiveTupleKey>,
        state: &mut u64,
        bytes: &[u8],
    ) -> ControlFlow<()> {
        *state += bytes.len() as u64;
        self.0 += *state;
        ControlFlow::Continue(())
    }
}

/// Sessions with a message in each segment.
pub(super) struct Sessions {
    tracker: SessionTracker<FiveTuple, First>,
    events: Vec<SessionEvent<FiveTupleKey, u8>>,
}

impl Sessions {
    pub(super) fn new(flows: u32) -> Self {
        let config = ReassemblyConfig::new();
        let all = Subscription::all();
        let sessions = SessionTracker::new(tracker(flows), config, all, |_| Some(First));
        Self {
            tracker: sessions.unwrap_or_else(|_| unreachable!("the default settings are possible")),
            events: Vec::with_capacity(16 * BATCH),
        }
    }

    fn empty(&mut self) {
        black_box(&self.events);
        self.events.clear();
    }
}

impl Tracks for Sessions {
    fn batch(&mut self, batch: &Batch<'_>) {
        self.tracker.track_batch(batch, &mut self.events);
        self.empty();
    }

    fn expire(&mut self, now: Timestamp) -> bool {
        let more = self.tracker.expire(now, &mut self.events);
        self.empty();
        more
    }

    fn finish(&mut self) -> bool {
        let more = self.tracker.finish(&mut self.events);
        self.empty();
        more
    }

    fn active(&self) -> usize {
        self.tracker.tracker().active_flows()
    }
}
