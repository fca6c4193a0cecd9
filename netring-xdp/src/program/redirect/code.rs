//! The instructions of the generated program.
//!
//! | register | holds |
//! |---|---|
//! | `r6` | the queue of the packet |
//! | `r7` | the verdict |
//! | `r8` | the offset of the counter of the packet |

use netring_sys::Error;

use super::{MAX_QUEUES, Redirect};
use crate::program::DefaultAction;
use crate::program::asm::{
    Assembler, Code, Cond, Helper, Label, MapDef, MapKind, MapRef, Reg, Size,
};
use crate::program::counters::{COUNTER, COUNTERS};
use crate::program::generated::{COUNTS, SOCKETS};
use crate::program::metadata::{self, Kfuncs};
use crate::program::translate::{self, JumpTarget, LoadStrategy};

/// Offset in `struct xdp_md`, the context that a program gets in `r1`.
const RX_QUEUE_INDEX: i16 = 16;
/// What `bpf_redirect_map` returns for a packet that goes to a socket.
const XDP_REDIRECT: i32 = 4;

impl Redirect {
    pub(super) fn code(&self, kfuncs: Kfuncs) -> Result<Code, Error> {
        if self.queues == 0 || self.queues > MAX_QUEUES {
            return Err(Error::Config {
                setting: "queues",
                why: format!("{} is not between 1 and {MAX_QUEUES}", self.queues),
            });
        }
        let mut asm = Assembler::new();
        let (sockets, counts) = self.maps(&mut asm);
        let count = asm.label();
        asm.load(Size::Word, Reg::R6, Reg::R1, RX_QUEUE_INDEX);
        self.filter_packets(&mut asm, kfuncs, count)?;
        if self.metadata.is_some() {
            metadata::write(&mut asm, kfuncs);
        }
        self.redirect(&mut asm, sockets, count);
        asm.bind(count);
        self.count(&mut asm, counts);
        asm.mov(Reg::R0, Reg::R7);
        asm.exit();
        asm.finish().map_err(|error| Error::Config {
            // Nothing else can make the program too long.
            setting: "filter",
            why: format!("its program cannot be assembled: {error}"),
        })
    }

    fn maps(&self, asm: &mut Assembler) -> (MapRef, MapRef) {
        let sockets = asm.map(MapDef {
            name: SOCKETS.into(),
            kind: MapKind::XskMap,
            key_size: 4,
            value_size: 4,
            max_entries: self.queues,
        });
        let counts = asm.map(MapDef {
            name: COUNTS.into(),
            kind: MapKind::PerCpuArray,
            key_size: 4,
            value_size: COUNTERS * 8,
            // The last is for packets of queues that the program has no room for: they are counted
            // too.
            max_entries: self.queues + 1,
        });
        (sockets, counts)
    }

    /// The counter of packets that the filter rejects.
    const fn rejected(&self) -> i32 {
        match self.default_action {
            DefaultAction::Pass => COUNTER.passed,
            DefaultAction::Drop => COUNTER.dropped,
        }
    }

    /// Goes to `count` with the packets that the filter rejects.
    fn filter_packets(
        &self,
        asm: &mut Assembler,
        kfuncs: Kfuncs,
        count: Label,
    ) -> Result<(), Error> {
        let Some(filter) = &self.filter else {
            return Ok(());
        };
        // A program decides for itself where it looks for a tag.
        let is_expression = filter.as_program().is_none();
        let tags = kfuncs.vlan().filter(|_| is_expression);
        let program = match tags {
            Some(_) => filter.for_live_socket(self.link_type)?,
            None => filter.for_bytes(self.link_type)?,
        };
        let rejected = JumpTarget {
            label: count,
            verdict: self.default_action as i32,
            counter: self.rejected(),
        };
        let loads = LoadStrategy {
            multi_buffer: self.multi_buffer,
            indirect_by_call: self.indirect_by_call,
            tags,
        };
        translate::add(asm, &program, loads, rejected)
    }

    /// Redirects the packet, and goes to `count` if there was a socket.
    fn redirect(&self, asm: &mut Assembler, sockets: MapRef, count: Label) {
        // One look-up, in the redirect itself: its result says whether there was a socket.
        asm.load_map(Reg::R1, sockets);
        asm.mov(Reg::R2, Reg::R6);
        asm.mov(Reg::R3, self.default_action as i32);
        asm.call(Helper::RedirectMap);
        asm.mov(Reg::R7, Reg::R0);
        asm.mov(Reg::R8, COUNTER.redirected);
        asm.jump_if(Cond::Eq, Reg::R0, XDP_REDIRECT, count);
        asm.mov(Reg::R8, COUNTER.missed);
    }

    fn count(&self, asm: &mut Assembler, counts: MapRef) {
        let (in_range, done) = (asm.label(), asm.label());
        asm.jump_if(Cond::Lt, Reg::R6, self.queues as i32, in_range);
        asm.mov(Reg::R6, self.queues as i32);
        asm.bind(in_range);
        asm.store(Size::Word, Reg::R10, -4, Reg::R6);
        asm.mov(Reg::R2, Reg::R10);
        asm.add(Reg::R2, -4);
        asm.load_map(Reg::R1, counts);
        asm.call(Helper::MapLookup);
        // Never taken, because the number is in range; but the verifier requires the check.
        asm.jump_if(Cond::Eq, Reg::R0, 0, done);
        asm.mov(Reg::R1, 1);
        // Each counter has its branch: adding a variable to a pointer takes CAP_PERFMON.
        let counters = [COUNTER.redirected, COUNTER.missed, self.rejected()];
        let used = if self.filter.is_some() { 3 } else { 2 };
        let (last, others) = counters[..used].split_last().unwrap_or((&0, &[]));
        for counter in others {
            let next = asm.label();
            asm.jump_if(Cond::Ne, Reg::R8, *counter, next);
            asm.atomic_add(Reg::R0, *counter as i16, Reg::R1);
            asm.jump(done);
            asm.bind(next);
        }
        asm.atomic_add(Reg::R0, *last as i16, Reg::R1);
        asm.bind(done);
    }
}
