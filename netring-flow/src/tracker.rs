//! The tracker: from packets to events.

mod fragments;

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use netring_sys::{Error, Packet, PacketBatch, Timestamp};

use crate::engine::{BUDGET, ByKey, Counted, Engine, Item, bytes_per_flow};
use crate::extract::{Extract, Extracted, Skip, TcpSegment, Transport, WindowScale};
use crate::parse::ip_len;
use crate::table::{Slot, Table};
use crate::visitor::FlowVisitor;
use crate::{LiveFlow, Segment, TrackerConfig, TrackerStats};

/// Flows that the tracker checks for expiry per packet; more than a packet can start.
const BUDGET_PER_PACKET: u32 = 2;

/// Packets of a batch that are processed together. Their cache lines are requested at once, and a
/// processor keeps only so many requests in flight: groups of 32 were slower.
const GROUP: usize = 16;

/// How many packets ahead a visitor prefetches its data for their flows. By then, the memory needed
/// to find that data has arrived.
const AHEAD: usize = 8;

/// Tracks the flows of the packets it is given and reports what happens to them.
///
/// It reports to a [`FlowVisitor`]: the simplest is a `Vec<FlowEvent>`, to which events are
/// appended and which the caller empties and reuses. No packet costs an allocation; an event with
/// the statistics of a flow costs one.
///
/// Time is packet time: the tracker has no clock of its own. It ends flows as packet time advances,
/// whatever the gaps between packets: with the first packet that is 0.3 s or more after the
/// timeout. A packet later than the timeout never counts in the old flow. One packet ends at most
/// 256 flows; if more are due, the next packets end the rest. To end flows while no packets arrive,
/// call [`expire`](Self::expire). A packet older than the one before it counts like any other; if
/// time goes back by more than a minute, timeouts restart from the new time.
///
/// ```
/// use netring_flow::extract::FiveTuple;
/// use netring_flow::{FlowEvent, FlowTracker};
/// use netring_sys::{Clock, LinkType, Packet, Timestamp};
///
/// # let mut frame = Vec::new();
/// # etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
/// #     .udp(5000, 53)
/// #     .write(&mut frame, b"question")?;
/// let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
/// let mut events = Vec::new();
/// let time = Timestamp::from_nanos(1_000_000_000, Clock::Unknown);
/// tracker.track(&Packet::new(&frame, time, LinkType::IPV4), &mut events);
/// while tracker.finish(&mut events) {}
///
/// for event in events.drain(..) {
///     if let FlowEvent::Ended {
///         key, reason, stats, ..
///     } = event
///     {
///         assert_eq!(key.to_string(), "udp 192.0.2.1:5000 192.0.2.2:53");
///         assert_eq!(reason.to_string(), "source-ended");
///         assert_eq!(stats.by_initiator().packets, 1);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FlowTracker<E: Extract> {
    extract: E,
    engine: Engine<E::Key>,
    /// The packets that are processed together; empty between calls.
    group: Vec<Item<E::Key>>,
    /// The group before it, whose memory is on its way; empty between calls.
    waiting: Waiting<E::Key>,
}

impl<E: Extract> FlowTracker<E> {
    /// Creates a tracker with the default settings.
    pub fn new(extract: E) -> Self {
        Self::checked(extract, &TrackerConfig::default())
    }

    /// Creates a tracker with these settings.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting is out of range.
    pub fn with_config(extract: E, config: TrackerConfig) -> Result<Self, Error> {
        config.check(bytes_per_flow::<E::Key>(&config))?;
        Ok(Self::checked(extract, &config))
    }

    fn checked(extract: E, config: &TrackerConfig) -> Self {
        Self {
            extract,
            engine: Engine::new(config),
            group: Vec::with_capacity(GROUP),
            waiting: Waiting::new(),
        }
    }

    /// Sets idle timeouts for individual keys: if `timeout` returns one, it replaces that of the
    /// flow's state. A connection whose handshake is incomplete, or that is closed, keeps the
    /// timeout of its state. `Duration::MAX` means never. Default: none.
    ///
    /// It is called for each packet, so it should be quick.
    ///
    /// ```
    /// use netring_flow::FlowTracker;
    /// use netring_flow::extract::{FiveTuple, FiveTupleKey};
    /// use std::time::Duration;
    ///
    /// let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    /// // A name lookup is over once it is answered.
    /// tracker.set_key_timeout(|key: &FiveTupleKey| {
    ///     let is_dns = key.a().port() == 53 || key.b().port() == 53;
    ///     is_dns.then_some(Duration::from_secs(10))
    /// });
    /// ```
    pub fn set_key_timeout(
        &mut self,
        timeout: impl Fn(&E::Key) -> Option<Duration> + Send + 'static,
    ) {
        self.engine.by_key = ByKey(Some(Box::new(timeout)));
    }

    /// Counts a packet in its flow and reports to `visitor` what happened. A `Vec<FlowEvent>`
    /// collects the events.
    pub fn track<V: FlowVisitor<E::Key>>(&mut self, packet: &Packet<'_>, visitor: &mut V) {
        match self.read(packet) {
            Ok(found) => self.track_found(found, packet, visitor),
            Err(cause) => match self.read_fragment(packet, cause, V::SEGMENTS) {
                Some(read) => self.track_fragment(read, packet, visitor),
                None => self.engine.advance(packet.timestamp(), visitor),
            },
        }
        self.engine.expire(BUDGET_PER_PACKET, visitor);
    }

    #[inline]
    fn track_found<V: FlowVisitor<E::Key>>(
        &mut self,
        found: Extracted<E::Key>,
        packet: &Packet<'_>,
        visitor: &mut V,
    ) {
        let mut item = self.item(found, packet);
        if item.is_syn() {
            item.scale = self.extract.window_scale(packet);
        }
        self.engine.advance(item.time, visitor);
        let counted = self.engine.packet(&item, None, visitor);
        if V::SEGMENTS
            && let Some(counted) = counted
        {
            visitor.segment(&self.segment::<V>(counted, &item, packet));
        }
    }

    /// Counts the packets of a batch. Equivalent to calling [`track`](Self::track) for each, but
    /// faster, because the memory of up to 16 packets is on its way while the tracker reads the
    /// next ones.
    pub fn track_batch<V: FlowVisitor<E::Key>>(
        &mut self,
        batch: &impl PacketBatch,
        visitor: &mut V,
    ) {
        // A visitor that panicked may have left packets here.
        self.group.clear();
        self.waiting.items.clear();
        // Those of the group that is read, and of the one that waits, in turn.
        let mut packets = [[None; GROUP]; 2];
        let mut reading = 0;
        for packet in batch.packets() {
            match self.read(&packet) {
                Ok(found) => {
                    if V::SEGMENTS {
                        packets[reading][self.group.len()] = Some(packet);
                    }
                    let item = self.item(found, &packet);
                    self.engine.table.prefetch_index(item.tag);
                    self.group.push(item);
                    // Checked in place: checking it before the push would split the copy.
                    if self.group.last().is_some_and(Item::is_syn) {
                        self.read_scale(&packet);
                    }
                }
                Err(cause) => {
                    let of = [reading, 1 - reading].map(|n| wanted::<V, _>(&packets[n]));
                    self.track_unread(&packet, cause, of, visitor);
                }
            }
            if self.group.len() == GROUP {
                self.process_waiting(wanted::<V, _>(&packets[1 - reading]), visitor);
                reading = 1 - reading;
            }
        }
        self.process_waiting(wanted::<V, _>(&packets[1 - reading]), visitor);
        self.process_waiting(wanted::<V, _>(&packets[reading]), visitor);
    }

    /// Reads the options of the last packet of the group. This is separate because few packets are
    /// SYNs.
    #[cold]
    fn read_scale(&mut self, packet: &Packet<'_>) {
        if let Some(item) = self.group.last_mut() {
            item.scale = self.extract.window_scale(packet);
        }
    }

    /// Counts a fragment in its flow, after the packets before it; for any other packet without a
    /// flow it only advances the time, after the packets before it if that makes a difference.
    #[inline(never)]
    fn track_unread<V: FlowVisitor<E::Key>>(
        &mut self,
        packet: &Packet<'_>,
        cause: Skip,
        [group, waiting]: [&[Option<Packet<'_>>]; 2],
        visitor: &mut V,
    ) {
        let (time, read) = (
            packet.timestamp(),
            self.read_fragment(packet, cause, V::SEGMENTS),
        );
        if read.is_some() || self.engine.is_elsewhere(time.as_nanos()) {
            self.process_waiting(waiting, visitor);
            self.process_waiting(group, visitor);
        }
        match read {
            Some(read) => {
                self.track_fragment(read, packet, visitor);
                self.engine.expire(BUDGET_PER_PACKET, visitor);
            }
            None => self.engine.advance(time, visitor),
        }
    }

    /// Reads a packet; a fragment comes back as [`Skip::Fragment`].
    #[inline(always)]
    fn read(&mut self, packet: &Packet<'_>) -> Result<Extracted<E::Key>, Skip> {
        self.engine.stats.packets += 1;
        self.extract.extract_whole(packet)
    }

    /// What a visitor sees of a counted packet.
    #[inline]
    fn segment<'a, V: FlowVisitor<E::Key>>(
        &'a self,
        counted: Counted,
        item: &Item<E::Key>,
        packet: &'a Packet<'a>,
    ) -> Segment<'a, E::Key> {
        segment::<E, V>(&self.extract, &self.engine, counted, item, packet)
    }

    /// The packet as the engine processes it.
    #[inline(always)]
    fn item(&self, found: Extracted<E::Key>, packet: &Packet<'_>) -> Item<E::Key> {
        Item {
            tag: self.engine.table.tag(&found.key),
            scale: WindowScale::UNKNOWN,
            found,
            time: packet.timestamp(),
            wire_len: packet.wire_len(),
            cut: packet.is_cut(),
        }
    }

    /// Processes the waiting group, and puts the group just read in its place.
    ///
    /// Each packet that is processed requests the records of one that was read. A processor keeps
    /// only so many requests in flight, and with more it stands still.
    fn process_waiting<V: FlowVisitor<E::Key>>(
        &mut self,
        packets: &[Option<Packet<'_>>],
        visitor: &mut V,
    ) {
        let (waiting, engine) = (&mut self.waiting, &mut self.engine);
        let (version, found_at) = (engine.table.version(), waiting.version);
        let mut read = self.group.iter();
        for (number, item) in waiting.items.iter().enumerate() {
            let hint = &mut waiting.hints[number % GROUP];
            let found = *hint;
            if let Some(item) = read.next() {
                *hint = request(&engine.table, item, visitor);
            }
            if V::SEGMENTS {
                // Of this group, or of the one that was read, as far as it was requested.
                prefetch(waiting.hints[(number + AHEAD) % GROUP], visitor);
            }
            engine.advance(item.time, visitor);
            // The flow may have ended since then.
            let found = found.filter(|_| engine.table.version() == found_at);
            let counted = engine.packet(item, found, visitor);
            if V::SEGMENTS
                && let Some(counted) = counted
                && let Some(packet) = &packets[number]
            {
                visitor.segment(&segment::<E, V>(
                    &self.extract,
                    engine,
                    counted,
                    item,
                    packet,
                ));
            }
        }
        let done = waiting.items.len();
        for (item, hint) in read.zip(&mut waiting.hints[done..]) {
            *hint = request(&engine.table, item, visitor);
        }
        if V::SEGMENTS && done < GROUP {
            let first = &waiting.hints[..AHEAD.min(self.group.len())];
            first.iter().for_each(|hint| prefetch(*hint, visitor));
        }
        waiting.version = version;
        engine.expire(BUDGET_PER_PACKET * done as u32, visitor);
        waiting.items.clear();
        std::mem::swap(&mut self.group, &mut waiting.items);
    }

    /// Advances the time to `now`, ends flows that have been idle for too long, and reports
    /// long-lived ones. It checks at most 256 flows and returns true if more are due; call it again
    /// then.
    ///
    /// For a live source, `now` is the time of the last packet plus the time that has passed since
    /// by the host's clock. Before the first packet, or if `now` is not later than the tracker's
    /// time, time does not advance.
    pub fn expire(&mut self, now: Timestamp, visitor: &mut impl FlowVisitor<E::Key>) -> bool {
        self.engine.wait(now);
        self.engine.expire(BUDGET, visitor)
    }

    /// Ends all flows because the source has ended, at most 256 in a call. Returns true if there
    /// are more; call it again then.
    pub fn finish(&mut self, visitor: &mut impl FlowVisitor<E::Key>) -> bool {
        self.engine.finish(BUDGET, visitor)
    }

    /// The outcome of every packet and every flow so far.
    pub fn stats(&self) -> TrackerStats {
        self.engine.stats()
    }

    /// Flows in the table, including closed ones that linger.
    pub fn active_flows(&self) -> usize {
        self.engine.table.len()
    }

    /// Returns a snapshot of each flow in the table, in no particular order. It changes neither the
    /// timeout of a flow nor which flow is evicted next.
    ///
    /// ```
    /// use netring_flow::FlowTracker;
    /// use netring_flow::extract::FiveTuple;
    ///
    /// fn print(tracker: &FlowTracker<FiveTuple>) {
    ///     for flow in tracker.flows() {
    ///         println!("{} {} {} bytes", flow.key, flow.state, flow.stats.bytes());
    ///     }
    /// }
    /// # print(&FlowTracker::new(FiveTuple::bidirectional()));
    /// ```
    pub fn flows(&self) -> impl Iterator<Item = LiveFlow<E::Key>> {
        self.engine.flows()
    }

    /// Returns snapshots of the `count` flows with the most bytes on the wire, in descending order;
    /// among equals, the older first. It looks at every flow, which takes about 30 ms for a
    /// million, and needs memory for `count` only.
    pub fn largest_flows(&self, count: usize) -> Vec<LiveFlow<E::Key>> {
        self.engine.largest(count)
    }

    /// The newest packet time; `None` before the first packet. If time went back by more than a
    /// minute, the newest since then.
    pub fn latest(&self) -> Option<Timestamp> {
        self.engine.latest()
    }
}

/// A group whose memory was requested.
struct Waiting<K> {
    items: Vec<Item<K>>,
    /// Where their flows were found.
    hints: [Option<Slot>; GROUP],
    /// The version of the table before that.
    version: u64,
}

impl<K> Waiting<K> {
    fn new() -> Self {
        Self {
            items: Vec::with_capacity(GROUP),
            hints: [None; GROUP],
            version: 0,
        }
    }
}

/// Finds the flow of a packet, and requests its memory.
#[inline(always)]
fn request<K: Eq + Hash, V: FlowVisitor<K>>(
    table: &Table<K>,
    item: &Item<K>,
    visitor: &V,
) -> Option<Slot> {
    let slot = table.prefetch_record(item.tag, item.found.orientation)?;
    if V::SEGMENTS {
        visitor.announce(slot.index());
    }
    Some(slot)
}

/// Lets the visitor prefetch its data for the flow of a packet.
#[inline(always)]
fn prefetch<K>(found: Option<Slot>, visitor: &impl FlowVisitor<K>) {
    if let Some(slot) = found {
        visitor.prefetch(slot.index());
    }
}

/// What a visitor sees of a counted packet.
#[inline]
fn segment<'a, E: Extract, V: FlowVisitor<E::Key>>(
    extract: &E,
    engine: &'a Engine<E::Key>,
    counted: Counted,
    item: &Item<E::Key>,
    packet: &'a Packet<'a>,
) -> Segment<'a, E::Key> {
    // Both come first: a segment that is changed after it is built is copied once more.
    let urgent = match &item.found.transport {
        Transport::Tcp(Some(tcp)) if tcp.has(TcpSegment::URG) => extract.urgent_pointer(packet),
        _ => 0,
    };
    let ip_len = if V::IP_LENGTHS {
        extract.ip_len(packet).or_else(|| ip_len(packet))
    } else {
        None
    };
    engine.segment(counted, item, packet, (urgent, ip_len))
}

/// The packets of a group, if the visitor wants segments. Otherwise the array is never passed on,
/// so the compiler drops it.
#[inline(always)]
fn wanted<'p, 'a, V: FlowVisitor<K>, K>(
    packets: &'p [Option<Packet<'a>>; GROUP],
) -> &'p [Option<Packet<'a>>] {
    if V::SEGMENTS { packets } else { &[] }
}

impl<E: Extract> fmt::Debug for FlowTracker<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowTracker")
            .field("active_flows", &self.active_flows())
            .field("latest", &self.latest())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
