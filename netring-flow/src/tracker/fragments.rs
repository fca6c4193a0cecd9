//! Packets that are not read in one step: fragments, and those with too many tunnels.

use netring_sys::{Packet, Timestamp};

use super::FlowTracker;
use crate::engine::{Counted, Item, Waited};
use crate::extract::{Extract, Extracted, Skip};
use crate::visitor::{FlowVisitor, WaitedFragments};

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
    ) -> Option<Read<E::Key>> {
        let mut last = None;
        if cause == Skip::Fragment {
            self.extract
                .fragments(packet, &mut |fragment| last = Some(fragment));
        }
        let (fragments, stats) = (&mut self.engine.fragments, &mut self.engine.stats);
        let found = match last {
            Some(last) if last.offset != 0 => fragments.later(&last, packet, stats)?,
            _ => {
                let found = match cause {
                    Skip::Fragment | Skip::TooDeep => self.extract.extract(packet),
                    _ => Err(cause),
                };
                found
                    .inspect_err(|cause| stats.untracked.count(*cause))
                    .ok()?
            }
        };
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

    /// Counts such a packet in its flow, and what waited for it.
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
        if V::SEGMENTS
            && let Some(counted) = counted
        {
            visitor.segment(&self.segment(counted, &item, packet));
        }
        if let Some(waited) = &read.waited {
            self.count_waited(waited, counted, &item, visitor);
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
            visitor.waited(&WaitedFragments {
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
}
