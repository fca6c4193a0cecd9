//! From the streams of a reassembler to the buffers of conversations.

use std::ops::ControlFlow;
use std::sync::Arc;

use netring_flow::EndReason;
use netring_flow::Segment;
use netring_flow::extract::{Orientation, TcpSegment, Transport};
use netring_flow::reassembly::{
    ClosedFlow, Interest, Reassembler, Side, StreamEnd, StreamPoint, StreamVisitor, Subscription,
};
use netring_sys::Timestamp;

use super::accept::{Accept, Pushed};
use super::buffer::{At, Put, Room, Shared};
use super::{Conversation, ConversationHalf};
use crate::flows::Collect;

/// Fills the buffers of conversations.
pub(super) struct Feed<K> {
    pub(super) subscription: Subscription<K>,
    pub(super) accept: Arc<Accept<K>>,
    pub(super) room: Arc<Room>,
    pub(super) begun: u64,
    pub(super) refused: u64,
    /// Bytes.
    pub(super) overrun: u64,
    /// A buffer or the backlog is more than half full: its reader should have a turn.
    pub(super) is_pressed: bool,
    /// Calls that produced something for a reader.
    passed_on: usize,
}

/// The state kept for each subscribed flow.
pub(super) struct State {
    /// From the first byte on.
    open: Option<Open>,
    time: Timestamp,
    mid_stream: bool,
}

struct Open {
    shared: Arc<Shared>,
    /// The end that began the flow, as far as was known at the first byte.
    initiator: Orientation,
}

impl Open {
    /// The number of the half that this end sends.
    fn half(&self, sender: Orientation) -> usize {
        usize::from(sender != self.initiator)
    }
}

/// A flow whose task is gone has ended for its readers too.
impl Drop for Open {
    fn drop(&mut self) {
        for half in [0, 1] {
            let reason = StreamEnd::Flow(EndReason::SourceEnded);
            self.shared.end(half, reason);
        }
    }
}

impl<K> Feed<K> {
    pub(super) fn new(
        subscription: Subscription<K>,
        accept: Arc<Accept<K>>,
        room: Arc<Room>,
    ) -> Self {
        Self {
            subscription,
            accept,
            room,
            begun: 0,
            refused: 0,
            overrun: 0,
            is_pressed: false,
            passed_on: 0,
        }
    }
}

impl<K: Clone> Feed<K> {
    /// The conversation of a flow, which begins with its first byte. `None` if it was refused.
    fn open<'s>(&mut self, at: &StreamPoint<'_, K>, state: &'s mut State) -> Option<&'s Open> {
        if state.open.is_none() {
            let shared = Arc::new(Shared::new(self.room.clone()));
            let half = |side| ConversationHalf::new(shared.clone(), side);
            let pushed = self.accept.push(|| Conversation {
                key: at.key.clone(),
                flow: at.flow,
                time: state.time,
                mid_stream: state.mid_stream,
                initiator: half(Side::Initiator),
                responder: half(Side::Responder),
            });
            match pushed {
                Pushed::Queued {
                    more_than_half_full,
                } => self.is_pressed |= more_than_half_full,
                Pushed::Refused => {
                    self.refused += 1;
                    self.is_pressed = true;
                    return None;
                }
            }
            self.begun += 1;
            let initiator = match at.side {
                Side::Initiator => at.orientation,
                Side::Responder => at.orientation.flipped(),
            };
            state.open = Some(Open { shared, initiator });
        }
        self.passed_on += 1;
        state.open.as_ref()
    }
}

impl<K: Clone> StreamVisitor<K> for Feed<K> {
    type State = State;

    fn subscribe(&mut self, first: &Segment<'_, K>) -> Interest<State> {
        let Transport::Tcp(header) = &first.transport else {
            return Interest::No;
        };
        let state = State {
            open: None,
            time: first.time,
            mid_stream: header
                .as_ref()
                .is_some_and(|header| !header.has(TcpSegment::SYN)),
        };
        self.subscription.interest(first, state)
    }

    fn first_bytes(&mut self, at: StreamPoint<'_, K>, _: &mut State, bytes: &[u8]) -> Option<bool> {
        self.subscription.decide(at, bytes)
    }

    fn data(&mut self, at: StreamPoint<'_, K>, state: &mut State, bytes: &[u8]) -> ControlFlow<()> {
        let Some(open) = self.open(&at, state) else {
            return ControlFlow::Break(());
        };
        match open
            .shared
            .put(open.half(at.orientation), place(&at), bytes)
        {
            Put::Kept {
                more_than_half_full,
            } => self.is_pressed |= more_than_half_full,
            Put::Overrun => {
                self.overrun += bytes.len() as u64;
                self.is_pressed = true;
            }
            Put::NoReader if open.shared.is_abandoned() => return ControlFlow::Break(()),
            Put::NoReader => {}
        }
        ControlFlow::Continue(())
    }

    fn gap(&mut self, at: StreamPoint<'_, K>, state: &mut State, missing: u64) -> ControlFlow<()> {
        let Some(open) = self.open(&at, state) else {
            return ControlFlow::Break(());
        };
        open.shared
            .put_gap(open.half(at.orientation), place(&at), missing);
        if open.shared.is_abandoned() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, at: StreamPoint<'_, K>, state: &mut State, reason: StreamEnd) {
        if let Some(open) = &state.open {
            open.shared.end(open.half(at.orientation), reason);
            self.passed_on += 1;
        }
    }

    fn close(&mut self, flow: ClosedFlow<'_, K>, state: State) {
        if let Some(open) = &state.open {
            for half in [0, 1] {
                open.shared.end(half, flow.reason);
            }
            self.passed_on += 1;
        }
    }
}

fn place<K>(at: &StreamPoint<'_, K>) -> At {
    At {
        time: at.time,
        offset: at.offset,
    }
}

impl<K: Clone> Collect<K> for Reassembler<K, Feed<K>> {
    fn collected(&self) -> usize {
        self.visitor().passed_on
    }

    fn advance(&mut self, now: Timestamp) -> bool {
        self.expire(now)
    }
}
