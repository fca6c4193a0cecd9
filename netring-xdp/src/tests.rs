//! Both halves of a socket against a kernel that is simulated here: what it does in what order is
//! random, and where every chunk is meanwhile is checked after each step.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use netring_sys::kernel::xdp::{XDP_PKT_CONTD, XDP_RING_NEED_WAKEUP, xdp_desc};
use netring_sys::{Interface, PacketSink, PacketSlot};
use proptest::prelude::*;

use crate::injector::XdpInjector;
use crate::memory::accounting::Rings;
use crate::memory::geometry::Geometry;
use crate::memory::umem::{Shared, UmemConfig};
use crate::ring::{Consumer, Memory, Producer};
use crate::socket::bound::BoundSocket;
use crate::socket::rx::Assembly;
use crate::socket::rx::RxHalf;
use crate::socket::tx::Slot;
use crate::socket::tx::{NONE_SENT_ON, Offloads, Request, TxFeatures, TxHalf};

mod batches;
mod metadata;
mod slow_path;

const RING: u32 = 8;

/// The kernel's halves of the four rings, and what it holds between two of them.
struct Kernel {
    geometry: Geometry,
    fill: Consumer<u64>,
    rx: Producer<xdp_desc>,
    tx: Consumer<xdp_desc>,
    completion: Producer<u64>,
    held: VecDeque<u64>,
    in_flight: VecDeque<u64>,
    /// What was sent, byte for byte.
    sent: Vec<Vec<u8>>,
    flags: [Memory; 2],
    // The other end of what the halves take for a socket: their kicks arrive here.
    kicks: UnixDatagram,
}

struct Harness {
    shared: Arc<Shared>,
    rx: RxHalf,
    tx: TxHalf,
    kernel: Kernel,
}

/// A socket's two halves with their chunks, over rings whose positions start at 0, as the kernel's
/// do.
fn harness(receive_chunks: u32, transmit_chunks: u32, multi_buffer: bool) -> Harness {
    harness_over(
        &UmemConfig::new(),
        receive_chunks,
        transmit_chunks,
        multi_buffer,
    )
}

/// The same, over packet memory with these settings.
fn harness_over(
    config: &UmemConfig,
    receive_chunks: u32,
    transmit_chunks: u32,
    multi_buffer: bool,
) -> Harness {
    let config = config.clone().chunks(receive_chunks + transmit_chunks);
    let shared = Arc::new(config.build().unwrap());
    let (ours, kicks) = UnixDatagram::pair().unwrap();
    kicks.set_nonblocking(true).unwrap();
    ours.set_nonblocking(true).unwrap();
    let interface = Interface::by_name("lo").unwrap();
    let [rx, tx] = [(); 2].map(|()| Memory::alone(RING as usize * 2, 0));
    let [fill, completion] = [(); 2].map(|()| Memory::alone(RING as usize, 0));
    let staged = Arc::new(AtomicU32::new(0));
    let rings = Rings {
        fill: Some(fill.clone()),
        receive: Some(rx.clone()),
        transmit: Some(tx.clone()),
        completion: Some(completion.clone()),
        staged: staged.clone(),
    };
    let simulated = BoundSocket::simulated(OwnedFd::from(ours), interface, &shared, &rings);
    let socket = Arc::new(simulated);
    let kernel = Kernel {
        geometry: *shared.geometry(),
        fill: Consumer::new(fill.clone(), RING),
        rx: Producer::new(rx.clone(), RING),
        tx: Consumer::new(tx.clone(), RING),
        completion: Producer::new(completion.clone(), RING),
        held: VecDeque::new(),
        in_flight: VecDeque::new(),
        sent: Vec::new(),
        flags: [fill.clone(), tx.clone()],
        kicks,
    };
    let mut receiving = RxHalf {
        pool: shared.assign(receive_chunks, "receive_chunks").unwrap(),
        socket: socket.clone(),
        shared: shared.clone(),
        rx: Consumer::new(rx, RING),
        fill: Some(Producer::new(fill, RING)),
        delivered: 0,
        invalid: 0,
        assembly: multi_buffer.then(Assembly::default),
        metadata: None,
        kicks: 0,
    };
    receiving.top_up();
    let sending = TxHalf {
        pool: shared.assign(transmit_chunks, "transmit_chunks").unwrap(),
        max_pieces: if multi_buffer { RING } else { 1 },
        socket,
        shared: shared.clone(),
        tx: Producer::new(tx, RING),
        completion: Some(Consumer::new(completion, RING)),
        staged,
        published: 0,
        continued: 0,
        completed: 0,
        dropped: 0,
        refused: 0,
        foreign: Vec::new(),
        keep: 0,
        sent_on: NONE_SENT_ON,
        kicks: 0,
        features: TxFeatures::new(
            shared.geometry(),
            if multi_buffer { RING } else { 1 },
            true,
            false,
            Offloads::of_kernel(false),
        ),
    };
    Harness {
        shared,
        rx: receiving,
        tx: sending,
        kernel,
    }
}

impl Kernel {
    /// Takes up to `count` chunks from the fill ring.
    fn take_fill(&mut self, count: u32) {
        let count = self.fill.available(count).min(count);
        self.held.extend(self.fill.entries(count));
        self.fill.release(count);
    }

    /// A packet of so many fragments arrives: whole, or not at all.
    fn receive(&mut self, fragments: u32, len: u32) {
        if self.held.len() < fragments as usize || self.rx.room(fragments) < fragments {
            return;
        }
        let mut writer = self.rx.writer(fragments);
        for n in 0..fragments {
            let addr = self.held.pop_front().unwrap();
            assert!(
                self.geometry.takes_fill(addr),
                "it would be gone without a word"
            );
            let options = if n + 1 < fragments { XDP_PKT_CONTD } else { 0 };
            let addr = addr / 2048 * 2048 + 256;
            writer.push(xdp_desc { addr, len, options });
        }
    }

    fn send(&mut self, shared: &Shared, count: u32) {
        let count = self.tx.available(count).min(count);
        for desc in self.tx.entries(count) {
            assert!(
                self.geometry.takes_transmit(&desc),
                "it would never be completed"
            );
            let map = shared.region().map();
            let words = map.atomic_u64s(desc.addr as usize / 8 * 8, 1).unwrap();
            self.sent
                .push(words[0].load(Ordering::Relaxed).to_ne_bytes().to_vec());
            self.in_flight.push_back(desc.addr);
        }
        self.tx.release(count);
    }

    fn complete(&mut self, count: u32) {
        let mut writer = self.completion.writer(count);
        while writer.room() > 0
            && let Some(addr) = self.in_flight.pop_front()
        {
            writer.push(addr);
        }
    }

    /// Says that it waits for a system call, or not.
    fn wants_calls(&self, wants: bool) {
        for ring in &self.flags {
            let flag = if wants { XDP_RING_NEED_WAKEUP } else { 0 };
            ring.flags().store(flag, Ordering::Relaxed);
        }
    }

    /// How many calls came since.
    fn calls(&self) -> usize {
        let mut buffer = [0; 8];
        std::iter::from_fn(|| self.kicks.recv(&mut buffer).ok()).count()
    }

    /// Chunks that are the kernel's: in no ring, or in one that it reads.
    fn chunks(&mut self) -> Vec<u64> {
        let fill = self.fill.available(RING);
        let tx = self.tx.available(RING);
        let in_rings = self
            .fill
            .entries(fill)
            .chain(self.tx.entries(tx).map(|desc| desc.addr));
        let held = self.held.iter().chain(&self.in_flight).copied();
        in_rings.chain(held).map(|addr| addr / 2048).collect()
    }
}

impl Harness {
    #[track_caller]
    fn conserved(&mut self) {
        let census = self.shared.census();
        assert_eq!(census.total(), self.shared.geometry().count(), "{census}");
        // And none is in two places that the kernel writes to or reads from.
        let chunks = self.kernel.chunks();
        let distinct: BTreeSet<_> = chunks.iter().collect();
        assert_eq!(
            distinct.len(),
            chunks.len(),
            "a chunk is twice with the kernel: {chunks:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    #[test]
    fn x2_chunks_are_conserved_whatever_happens_in_whatever_order(
        receive_chunks in 1_u32..20, transmit_chunks in 0_u32..20, multi_buffer: bool, described: bool,
        steps in prop::collection::vec((0_u8..11, 1_u32..10), 0..150)
    ) {
        let mut harness = harness(receive_chunks, transmit_chunks, multi_buffer);
        if described {
            harness.rx.describe(crate::socket::rx::MetadataPlacement::Default);
        }
        let mut held = Vec::new();
        for (step, n) in steps {
            let Harness { shared, rx, tx, kernel } = &mut harness;
            match step {
                0 => kernel.take_fill(n),
                1 => kernel.receive(if multi_buffer { n.min(3) } else { 1 }, n * 100),
                2 => kernel.send(shared, n),
                3 => kernel.complete(n),
                4 => if rx.look() {
                    let lent = rx.lend();
                    prop_assert!(lent.frames().all(|bytes| bytes.len() % 100 == 0));
                },
                5 => {
                    rx.look();
                    let mut lent = rx.lend();
                    held.extend((0..n).map_while(|_| lent.take()));
                },
                6 => {
                    rx.look();
                    rx.lend().forward(tx, |bytes| bytes.len() != 300);
                },
                7 => for taken in held.drain(..) {
                    let (token, offset) = (taken.token, taken.offset);
                    if let Err(token) = tx.stage_token(token, offset, taken.len.max(1), 0, &Request::NONE) {
                        shared.return_to_owner(std::iter::once(token));
                    }
                },
                8 => for _ in 0..n {
                    if tx.room() > 0 && let Some(token) = tx.pool.pop() {
                        prop_assert!(tx.stage_token(token, 0, 60, 0, &Request::NONE).is_ok());
                        tx.publish_count();
                    }
                },
                9 => { tx.flush().unwrap(); },
                _ => {
                    rx.look();
                    rx.lend().leave_after(u64::from(n));
                },
            }
            shared.user.store(held.len() as u32, Ordering::Relaxed);
            harness.conserved();
        }
        // Everything comes home.
        harness.shared.return_to_owner(held.drain(..).map(|taken| taken.token));
        harness.shared.user.store(0, Ordering::Relaxed);
        for _ in 0..20 {
            harness.tx.flush().unwrap();
            harness.kernel.send(&harness.shared, RING);
            harness.kernel.complete(RING);
            harness.tx.reclaim();
            while harness.rx.look() {
                drop(harness.rx.lend());
            }
        }
        harness.conserved();
        let census = harness.shared.census();
        let held_by_kernel = harness.kernel.held.len() as u32;
        prop_assert_eq!(census.pool + census.fill + held_by_kernel, receive_chunks + transmit_chunks);
    }
}

/// X6: the driver parks itself until it is published_len of new chunks, and a loop that only
/// receives tells it.
#[test]
fn x6_a_driver_that_parks_is_woken_by_receiving_alone() {
    let mut harness = harness(8, 0, false);
    harness.kernel.wants_calls(true);
    let mut received = 0;
    for _ in 0..100 {
        let Harness { rx, kernel, .. } = &mut harness;
        let before = rx.kicks;
        if rx.look() {
            received += rx.lend().frames().count();
        }
        // It runs when it is called, and only then.
        if rx.kicks > before {
            kernel.take_fill(RING);
            for _ in 0..RING {
                kernel.receive(1, 64);
            }
        }
    }
    assert!(received >= 10 * RING as usize, "{received}");
    assert_eq!(harness.rx.delivered, received as u64);
    // One that runs by itself is not called.
    harness.kernel.wants_calls(false);
    let before = harness.rx.kicks;
    for _ in 0..100 {
        harness.rx.look();
    }
    assert_eq!(harness.rx.kicks, before);
    harness.conserved();
}

/// X5: frames that are pending are kicked again, also when nothing new was queued.
#[test]
fn x5_a_flush_kicks_for_what_is_pending() {
    let mut harness = harness(1, 4, false);
    harness.kernel.wants_calls(true);
    for _ in 0..3 {
        let token = harness.tx.pool.pop().unwrap();
        harness
            .tx
            .stage_token(token, 0, 60, 0, &Request::NONE)
            .unwrap();
    }
    harness.tx.publish_count();
    assert_eq!(harness.tx.flush().unwrap(), 3);
    assert_eq!(harness.kernel.calls(), 1);
    assert_eq!(harness.tx.flush().unwrap(), 3);
    assert_eq!(harness.kernel.calls(), 1);
    harness.kernel.send(&harness.shared, 3);
    assert_eq!(harness.tx.flush().unwrap(), 0);
    assert_eq!(
        harness.kernel.calls(),
        0,
        "there is nothing to be published_len of"
    );
    harness.conserved();
}

/// X8: completions never come; the wait is over in time, and says how many frames are in flight.
#[test]
fn x8_a_drain_without_completions_ends_in_time_and_says_how_many_are_in_flight() {
    let Harness {
        tx,
        mut kernel,
        shared,
        ..
    } = harness(1, 6, false);
    let mut injector = XdpInjector::new(tx);
    for n in 0..5_u8 {
        let mut slot = injector.slot(60).unwrap().unwrap();
        slot.fill(n);
        slot.commit();
    }
    injector.flush().unwrap();
    // Two are taken, of which one is done; three are not even taken.
    kernel.send(&shared, 2);
    kernel.complete(1);
    let start = Instant::now();
    assert_eq!(injector.drain(Duration::from_millis(60)).unwrap(), 5 - 1);
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(60) && took < Duration::from_millis(500),
        "{took:?}"
    );
    assert_eq!(injector.census().total(), 7);
    // Once they come, all is well. (The one that was taken is with the kernel yet.)
    kernel.send(&shared, 8);
    kernel.complete(8);
    assert_eq!(injector.drain(Duration::from_millis(60)).unwrap(), 0);
    assert_eq!(
        kernel.sent,
        (0..5_u8).map(|n| vec![n; 8]).collect::<Vec<_>>()
    );
}

/// X10, S18: whatever a descriptor says, nothing outside a chunk is lent, and what is no chunk goes
/// to nobody.
#[test]
fn x10_forged_descriptors_are_counted_and_go_nowhere() {
    let mut harness = harness(8, 4, false);
    harness.kernel.take_fill(4);
    let forged = [
        (u64::MAX, 64),
        (12 * 2048, 64),
        (2047, 2),
        (0, u32::MAX),
        (1 << 48, 64),
    ];
    for (addr, len) in forged {
        assert!(harness.kernel.rx.writer(1).push(xdp_desc {
            addr,
            len,
            options: 0
        }));
    }
    harness.kernel.receive(1, 100);
    assert!(harness.rx.look());
    let lent = harness.rx.lend();
    assert_eq!(lent.frames().map(<[u8]>::len).collect::<Vec<_>>(), [100]);
    drop(lent);
    assert_eq!((harness.rx.delivered, harness.rx.invalid), (1, 5));
    for addr in [u64::MAX, 12 * 2048] {
        harness.kernel.completion.writer(1).push(addr);
    }
    assert_eq!(harness.tx.reclaim(), 2);
    assert_eq!(harness.tx.pool.len(), 4);
}

/// S17: what is received never takes a chunk that frames are sent from, and the reverse.
#[test]
fn s17_receiving_and_sending_have_chunks_of_their_own() {
    let mut harness = harness(6, 4, false);
    // A flood that nobody reads has all of its chunks.
    harness.kernel.take_fill(RING);
    for _ in 0..20 {
        harness.kernel.receive(1, 64);
    }
    assert_eq!(harness.shared.census().receive, 6);
    assert_eq!(harness.tx.room(), 4);
    // Sending on uses the chunks of what was received, and none else.
    harness.rx.look();
    let forwarded = harness.rx.lend().forward(&mut harness.tx, |_| true);
    assert_eq!((forwarded.sent, forwarded.refused), (6, 0));
    assert_eq!(harness.tx.pool.len(), 4);
    harness.tx.flush().unwrap();
    harness.kernel.send(&harness.shared, RING);
    harness.kernel.complete(RING);
    harness.tx.reclaim();
    assert_eq!(harness.tx.pool.len(), 4, "they went home");
    harness.rx.look();
    let census = harness.shared.census();
    assert_eq!((census.fill, census.pool), (6, 4));
    harness.conserved();
}
