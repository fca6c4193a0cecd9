//! Frames at the full rate of the machine: the kernel sends them to itself.
//!
//! An XDP program is run over copies of a frame as if they had come in on an interface
//! (`BPF_PROG_TEST_RUN` with live frames), and gives them to the network stack, where a packet
//! socket sees them. Nothing else makes as many: a program that sends needs a system call for each.
//! Loading it takes root of the host; who has less gets a packet socket.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use netring_sys::kernel::bpf::{BPF_PSEUDO_MAP_VALUE, XDP_DROP, XDP_PASS, XDP_TX, bpf_insn};
use netring_sys::syscall::{BpfArray, bpf_load_xdp, bpf_send_xdp};
use netring_sys::{Error, Interface};
use xtask::wire::{self, Sender};

use super::ends::{FAR, NEAR};
use super::measure;
use crate::Result;

/// Frames that the kernel makes in one go.
const BATCH: u32 = 64;
/// Where the source port stands in the frame; the target port is behind it.
const PORTS: i16 = 34;
/// A bit of the ports that is always set, so that the target is not port 0; the others tell the
/// flow.
const PORT_1: u32 = 1 << 24;

/// What makes frames.
#[derive(Debug)]
pub(crate) struct Generator {
    traffic: Traffic,
    /// None without the privilege.
    kernel: Option<Kernel>,
}

/// A program in the kernel, whose frames come in on an interface.
#[derive(Debug)]
struct Kernel {
    program: OwnedFd,
    interface: &'static str,
    /// Frames that were passed on, and the time of the next.
    state: BpfArray<16>,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Bytes of a frame, without its check sequence.
    pub(crate) frame: usize,
    /// UDP flows, a power of two up to 2^24: each frame is of one of them, by chance.
    pub(crate) flows: u32,
    /// Nanoseconds between two frames, at most 4 million; 0 for as fast as can be.
    pub(crate) gap: u32,
}

/// For how long.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    Frames(u32),
    Time(Duration),
    /// Until a signal interrupts the sending thread; from the kernel only.
    Endless,
}

/// What came out of the wire's near end, and how long it took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) frames: u64,
    pub(crate) time: Duration,
}

impl Generator {
    /// The best that the privileges allow.
    pub(crate) fn new(traffic: Traffic) -> Result<Self> {
        // They come in at the near end, and go to the stack.
        let kernel = match Kernel::new(traffic, NEAR, XDP_PASS) {
            Ok(kernel) => Some(kernel),
            Err(Error::NotPermitted { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { traffic, kernel })
    }

    /// Frames that cross the wire, for an XDP program at its near end: what comes in at the far end
    /// is sent back out. They are lost while there is no program.
    pub(crate) fn over_the_wire(traffic: Traffic) -> Result<Self> {
        let kernel = Some(Kernel::new(traffic, FAR, XDP_TX)?);
        Ok(Self { traffic, kernel })
    }

    /// What to say beside the figures.
    pub(crate) const fn about(&self) -> &'static str {
        if self.kernel.is_some() {
            "live: frames are made in the kernel (XDP test run with live frames)"
        } else {
            "live: NOT at full rate; without root of the host no XDP program can be loaded, so frames are sent by a packet \
             socket, one system call each"
        }
    }

    /// Sends on the other core; returns when all is sent. To be called on a thread in the namespace
    /// of the wire.
    pub(crate) fn send(&self, amount: Amount) -> Result<Sent> {
        measure::pin(measure::GENERATOR_CORE);
        let near = Interface::by_name(NEAR)?;
        let start = Instant::now();
        let frames = if let Some(kernel) = &self.kernel {
            kernel.send(self.traffic, amount)?
        } else {
            self.send_by_socket(amount)?;
            // What the wire lost is not to be balanced.
            Interface::by_name(NEAR)?.counters.rx_packets - near.counters.rx_packets
        };
        Ok(Sent {
            frames,
            time: start.elapsed(),
        })
    }

    fn send_by_socket(&self, amount: Amount) -> Result<()> {
        let sender = Sender::on(FAR)?;
        let mut frame = wire::numbered(0, self.traffic.frame);
        let start = Instant::now();
        for n in 0_u32.. {
            let over = match amount {
                Amount::Frames(frames) => n >= frames,
                Amount::Time(time) => n % 64 == 0 && start.elapsed() >= time,
                Amount::Endless => true,
            };
            if over {
                break;
            }
            // Flows by a step that is odd, and so visits all of them.
            let flow = n.wrapping_mul(0x9e37_79b1) & (self.traffic.flows - 1) | PORT_1;
            frame[PORTS as usize..][..4].copy_from_slice(&flow.to_ne_bytes());
            sender.send(&frame)?;
        }
        Ok(())
    }
}

impl Kernel {
    fn new(
        traffic: Traffic,
        interface: &'static str,
        verdict: u32,
    ) -> std::result::Result<Self, Error> {
        let state = BpfArray::new(1)?;
        let program = bpf_load_xdp(&program(&state, traffic, verdict), c"GPL")?;
        Ok(Self {
            program,
            interface,
            state,
        })
    }

    fn send(&self, traffic: Traffic, amount: Amount) -> Result<u64> {
        let interface = Interface::by_name(self.interface)?.index;
        let frame = wire::numbered(0, traffic.frame);
        let program = self.program.as_fd();
        self.state.set(0, &[0; 16])?;
        match amount {
            Amount::Frames(frames) => bpf_send_xdp(program, &frame, interface, frames, BATCH)?,
            Amount::Time(time) => {
                let start = Instant::now();
                while start.elapsed() < time {
                    // Each ends with a pause of some 20 ms; it is not worth one that is shorter
                    // than a second or two.
                    bpf_send_xdp(program, &frame, interface, 2 << 20, BATCH)?;
                }
            }
            Amount::Endless => match bpf_send_xdp(program, &frame, interface, u32::MAX, BATCH) {
                Err(error) if error.is(EINTR) => {}
                other => other?,
            },
        }
        let [frames, _] = words(self.state.get(0)?);
        Ok(frames)
    }
}

fn words(bytes: [u8; 16]) -> [u64; 2] {
    let bytes = u128::from_le_bytes(bytes);
    [bytes as u64, (bytes >> 64) as u64]
}

/// Instructions that are needed here, by the names of the kernel's own assembler.
pub(super) mod insn {
    use super::bpf_insn;

    pub(in super::super) const fn raw(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> bpf_insn {
        bpf_insn {
            code,
            regs: dst | src << 4,
            off,
            imm,
        }
    }
    pub(in super::super) const fn mov(dst: u8, src: u8) -> bpf_insn {
        raw(0xbf, dst, src, 0, 0)
    }
    pub(in super::super) const fn mov_imm(dst: u8, imm: i32) -> bpf_insn {
        raw(0xb7, dst, 0, 0, imm)
    }
    pub(in super::super) const fn add_imm(dst: u8, imm: i32) -> bpf_insn {
        raw(0x07, dst, 0, 0, imm)
    }
    pub(in super::super) const fn and_imm(dst: u8, imm: i32) -> bpf_insn {
        raw(0x57, dst, 0, 0, imm)
    }
    pub(in super::super) const fn or_imm(dst: u8, imm: i32) -> bpf_insn {
        raw(0x47, dst, 0, 0, imm)
    }
    pub(in super::super) const fn call(helper: i32) -> bpf_insn {
        raw(0x85, 0, 0, 0, helper)
    }
    pub(in super::super) const fn exit() -> bpf_insn {
        raw(0x95, 0, 0, 0, 0)
    }
    pub(in super::super) const fn load32(dst: u8, src: u8, off: i16) -> bpf_insn {
        raw(0x61, dst, src, off, 0)
    }
    pub(in super::super) const fn load64(dst: u8, src: u8, off: i16) -> bpf_insn {
        raw(0x79, dst, src, off, 0)
    }
    pub(in super::super) const fn store32(dst: u8, off: i16, src: u8) -> bpf_insn {
        raw(0x63, dst, src, off, 0)
    }
    pub(in super::super) const fn store64(dst: u8, off: i16, src: u8) -> bpf_insn {
        raw(0x7b, dst, src, off, 0)
    }
    /// Adds to a word in memory, atomically.
    pub(in super::super) const fn atomic_add64(dst: u8, off: i16, src: u8) -> bpf_insn {
        raw(0xdb, dst, src, off, 0)
    }
    /// Jumps where `dst > src`.
    pub(in super::super) const fn jump_greater(dst: u8, src: u8, off: i16) -> bpf_insn {
        raw(0x2d, dst, src, off, 0)
    }
    /// Jumps where `dst >= src`.
    pub(in super::super) const fn jump_not_less(dst: u8, src: u8, off: i16) -> bpf_insn {
        raw(0x3d, dst, src, off, 0)
    }
    /// Jumps where `dst != imm`.
    pub(in super::super) const fn jump_not(dst: u8, imm: i32, off: i16) -> bpf_insn {
        raw(0x55, dst, 0, off, imm)
    }
}

/// Frames that may follow without a gap after a delay.
const CATCH_UP: i32 = 512;

const EINTR: i32 = 4;
const KTIME_GET_NS: i32 = 5;
const GET_PRANDOM_U32: i32 = 7;

/// Picks a flow, waits for its time, counts, and decides.
fn program(state: &BpfArray<16>, traffic: Traffic, verdict: u32) -> Vec<bpf_insn> {
    use insn::*;

    let mut program = vec![
        // r6, r7: the frame; r9: the state.
        load32(6, 1, 0),
        load32(7, 1, 4),
        raw(0x18, 9, BPF_PSEUDO_MAP_VALUE, 0, state.as_fd().as_raw_fd()),
        raw(0, 0, 0, 0, 0),
        // The verifier wants to see that the ports are inside.
        mov(2, 6),
        add_imm(2, i32::from(PORTS) + 4),
        jump_not_less(7, 2, 2),
        mov_imm(0, XDP_DROP as i32),
        exit(),
    ];
    if traffic.flows > 1 {
        program.extend([
            call(GET_PRANDOM_U32),
            and_imm(0, (traffic.flows - 1).cast_signed()),
            or_imm(0, PORT_1.cast_signed()),
            store32(6, PORTS, 0),
        ]);
    }
    let gap = traffic.gap.cast_signed();
    if gap > 0 {
        program.extend([
            // Waits for the time of this frame, though not for ever: a loop has to be seen to end.
            mov_imm(8, 256),
            call(KTIME_GET_NS),
            load64(1, 9, 8),
            jump_not_less(0, 1, 2),
            add_imm(8, -1),
            jump_not(8, 0, -5),
            // The next is one gap after this one was due. What the stack's own work delays is made
            // up for, within bounds.
            mov(3, 1),
            add_imm(3, gap),
            mov(4, 0),
            add_imm(4, -CATCH_UP * gap),
            jump_greater(3, 4, 1),
            mov(3, 4),
            store64(9, 8, 3),
        ]);
    }
    program.extend([
        load64(1, 9, 0),
        add_imm(1, 1),
        store64(9, 0, 1),
        mov_imm(0, verdict.cast_signed()),
        exit(),
    ]);
    program
}
