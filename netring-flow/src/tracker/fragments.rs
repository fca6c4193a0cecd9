//! Packets that take more than one step to read: fragments, and those with too many tunnels.

use netring_sys::{Packet, Timestamp};

use super::FlowTracker;
use crate::engine::{Counted, Item, Kept, Waited};
use crate::event::Incomplete;
use crate::extract::{Extract, Extracted, Fragment, Piece, Skip, TcpSegment};
use crate::parse::ip_len;
use crate::visitor::{EarlyFragments, FlowVisitor, Segment};

/// A packet whose flow was found.
pub(super) struct Read<K> {
    found: Extracted<K>,
    /// Fragments that waited for it.
    waited: Option<Waited>,
}

impl<E: Extract> FlowTracker<E> {
    /// Finds the flow of a fragment, or of a packet with too many tunnels. Any other packet without
    /// a flow is counted by cause.
    #[cold]
    pub(super) fn read_fragment(
        &mut self,
        packet: &Packet<'_>,
        cause: Skip,
        wants_segments: bool,
    ) -> Option<Read<E::Key>> {
        let mut last = None;
        if cause == Skip::Fragment {
            self.extract
                .fragments(packet, &mut |fragment| last = Some(fragment));
        }
        let engine = &mut self.engine;
        let found = match last {
            Some(last) if last.offset != 0 => {
                let ip_len = || self.extract.ip_len(packet).or_else(|| ip_len(packet));
                let stats = &mut engine.stats;
                let found = engine.fragments.later(&last, packet, ip_len, stats);
                if found.is_none() && wants_segments {
                    self.wait(packet);
                }
                found?
            }
            _ => {
                let found = match cause {
                    Skip::Fragment | Skip::TooDeep => self.extract.extract(packet),
                    _ => Err(cause),
                };
                let untracked = &mut engine.stats.untracked;
                found.inspect_err(|cause| untracked.count(*cause)).ok()?
            }
        };
        let (fragments, stats) = (&mut self.engine.fragments, &mut self.engine.stats);
        stats.too_deep += u64::from(cause == Skip::TooDeep);
        // It may be the first fragment of several layers.
        let (time, mut waited) = (packet.timestamp().as_nanos(), None);
        self.extract.fragments(packet, &mut |fragment| {
            if fragment.offset == 0
                && let Some(more) = fragments.first(&fragment, &found, time, stats)
            {
                waited = Some(more.and(waited));
            }
        });
        Some(Read { found, waited })
    }

    /// Counts such a packet in its flow, along with the fragments that waited for it.
    #[cold]
    pub(super) fn track_fragment<V: FlowVisitor<E::Key>>(
        &mut self,
        read: Read<E::Key>,
        packet: &Packet<'_>,
        visitor: &mut V,
    ) {
        let mut item = self.item(read.found, packet);
        if item.is_syn() {
            item.scale = self.extract.window_scale(packet);
        }
        self.engine.advance(item.time, visitor);
        let counted = self.engine.packet(&item, None, visitor);
        if V::SEGMENTS {
            let out_of_window = counted.is_some_and(|counted| counted.out_of_window);
            let kept = self.keep(packet, out_of_window);
            if let Some(counted) = counted {
                self.show(kept, counted, &item, packet, visitor);
            } else if let Kept::Whole(_) = kept {
                self.count_reassembled(Some(Incomplete::Unreadable));
            }
        }
        if let Some(waited) = &read.waited {
            self.count_waited(waited, counted, &item, visitor);
        }
    }

    /// Keeps a fragment, if packets are reassembled. If it completes a packet that itself contains
    /// a fragment, that one is kept in turn, and so on.
    pub(super) fn keep(&mut self, packet: &Packet<'_>, out_of_window: bool) -> Kept {
        let Some(joiner) = &mut self.engine.fragments.joiner else {
            return Kept::No;
        };
        let stats = &mut self.engine.stats.fragments.defragment;
        let Some(fragment) = outermost(&self.extract, packet) else {
            return Kept::No;
        };
        let mut kept = joiner.add(&fragment, packet, out_of_window, stats);
        while let Kept::Whole(whole) = kept {
            let inside = Packet::new(&whole.bytes, packet.timestamp(), whole.link_type);
            let Some(fragment) = outermost(&self.extract, &inside) else {
                return Kept::Whole(whole);
            };
            stats.reassembled += 1;
            kept = joiner.add(&fragment, &inside, whole.out_of_window, stats);
            joiner.spare = whole.bytes;
        }
        kept
    }

    /// Counts a packet that was reassembled, or why it is not shown.
    fn count_reassembled(&mut self, incomplete: Option<Incomplete>) {
        let stats = &mut self.engine.stats.fragments.defragment;
        match incomplete {
            None => stats.reassembled += 1,
            Some(why) => stats.incomplete.count(why),
        }
    }

    /// Shows a fragment that was counted in a flow, or the packet that it completes.
    fn show<V: FlowVisitor<E::Key>>(
        &mut self,
        kept: Kept,
        counted: Counted,
        item: &Item<E::Key>,
        packet: &Packet<'_>,
        visitor: &mut V,
    ) {
        let whole = match kept {
            Kept::No => return visitor.segment(&self.segment::<V>(counted, item, packet)),
            Kept::Held => {
                return visitor.segment(&Segment {
                    piece: Piece::Held,
                    payload: &[],
                    payload_len: 0,
                    ..self.segment::<V>(counted, item, packet)
                });
            }
            Kept::Whole(whole) => whole,
        };
        let ip = Packet::new(&whole.bytes, packet.timestamp(), whole.link_type);
        match self.extract.read_reassembled(&ip, &item.found.key) {
            Ok(found) => {
                self.count_reassembled(None);
                let segment = self.segment::<V>(counted, item, packet);
                let mut segment = Segment {
                    piece: Piece::Reassembled,
                    transport: found.transport,
                    payload: found.payload(&ip),
                    payload_len: found.payload_len,
                    out_of_window: whole.out_of_window,
                    ..segment
                };
                if segment.tcp().is_some_and(|tcp| tcp.has(TcpSegment::URG)) {
                    segment.urgent = self.extract.urgent_pointer(&ip);
                }
                visitor.segment(&segment);
            }
            Err(_) => {
                self.count_reassembled(Some(Incomplete::Unreadable));
                visitor.segment(&self.segment::<V>(counted, item, packet));
            }
        }
        if let Some(joiner) = &mut self.engine.fragments.joiner {
            joiner.spare = whole.bytes;
        }
    }

    fn count_waited<V: FlowVisitor<E::Key>>(
        &mut self,
        waited: &Waited,
        counted: Option<Counted>,
        first: &Item<E::Key>,
        visitor: &mut V,
    ) {
        let from = first.found.orientation;
        let Some(counted) = counted else {
            self.engine.stats.untracked.fragments += waited.packets;
            return;
        };
        self.engine.count_waited(counted.slot, from, waited);
        if V::SEGMENTS {
            let flow = self.engine.table.get(counted.slot);
            let time = |nanos| Timestamp::from_nanos(nanos, first.time.clock());
            visitor.early_fragments(&EarlyFragments {
                key: &flow.key,
                flow: flow.id(),
                orientation: from,
                packets: waited.packets,
                bytes: waited.bytes,
                ip_bytes: waited.ip_bytes,
                payload_bytes: waited.payload,
                first: time(waited.first),
                last: time(waited.last),
            });
        }
    }

    /// Keeps the bytes of a fragment that waits for the first of its packet.
    fn wait(&mut self, packet: &Packet<'_>) {
        if let Kept::Whole(_) = self.keep(packet, false) {
            // Its flow is no longer remembered.
            self.count_reassembled(Some(Incomplete::Unreadable));
        }
    }
}

/// The outermost packet that a packet is a fragment of.
fn outermost(extract: &impl Extract, packet: &Packet<'_>) -> Option<Fragment> {
    let mut outermost = None;
    extract.fragments(packet, &mut |fragment| {
        outermost.get_or_insert(fragment);
    });
    outermost
}
