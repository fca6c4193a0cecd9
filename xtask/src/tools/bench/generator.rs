//! Frames at the full rate of the machine: the kernel generates them.
//!
//! The kernel runs an XDP program over copies of a frame as if they had arrived on an interface
//! (`BPF_PROG_TEST_RUN` with live frames), and hands them to the network stack, where a packet
//! socket sees them. Nothing else is as fast: a program that sends needs a system call for each
//! frame. Loading the program requires root on the host; without it, a packet socket sends the
//! frames.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use netring_sys::kernel::bpf::{BPF_PSEUDO_MAP_VALUE, XDP_DROP, XDP_PASS, XDP_TX, bpf_insn};
use netring_sys::syscall::{BpfArray, bpf_load_xdp, bpf_send_xdp};
use netring_sys::{Error, Interface};
use netring_xdp::program::asm::{Alu, Assembler, Cond, Helper, Reg, Size};
use xtask::wire::{self, Sender};

use super::ends::{FAR, NEAR};
use super::measure;
use crate::Result;

/// Frames that the kernel generates in one go.
const BATCH: u32 = 64;
/// Offset of the source port in the frame; the destination port follows.
const PORTS: i16 = 34;
/// A bit of the ports that is always set, so that the destination is never port 0; the other bits
/// identify the flow.
const PORT_1: u32 = 1 << 24;

/// The source of the frames.
#[derive(Debug)]
pub(crate) struct Generator {
    traffic: Traffic,
    /// `None` without the privilege.
    kernel: Option<Kernel>,
}

/// A program in the kernel whose frames arrive on an interface.
#[derive(Debug)]
struct Kernel {
    program: OwnedFd,
    interface: &'static str,
    /// The number of frames passed on, and the time of the next.
    state: BpfArray<16>,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Bytes of a frame, without its check sequence.
    pub(crate) frame: usize,
    /// UDP flows, a power of two up to 2^24; each frame belongs to a random one.
    pub(crate) flows: u32,
    /// Nanoseconds between two frames, at most 4 million; 0 for as fast as possible.
    pub(crate) gap: u32,
}

/// How much to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    Frames(u32),
    Time(Duration),
    /// Until a signal interrupts the sending thread; only if the kernel generates the frames.
    Endless,
}

/// The frames that arrived at the near end, and how long it took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) frames: u64,
    pub(crate) time: Duration,
}

impl Generator {
    /// The fastest generator that the privileges allow.
    pub(crate) fn new(traffic: Traffic) -> Result<Self> {
        // The frames arrive at the near end and go to the stack.
        let kernel = match Kernel::new(traffic, NEAR, XDP_PASS) {
            Ok(kernel) => Some(kernel),
            Err(Error::NotPermitted { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { traffic, kernel })
    }

    /// Generates frames that cross the wire, for an XDP program at its near end: what arrives at
    /// the far end is sent back out. Without a program at the near end the frames are lost.
    pub(crate) fn over_the_wire(traffic: Traffic) -> Result<Self> {
        let kernel = Some(Kernel::new(traffic, FAR, XDP_TX)?);
        Ok(Self { traffic, kernel })
    }

    /// A note for the table.
    pub(crate) const fn about(&self) -> &'static str {
        if self.kernel.is_some() {
            "live: the kernel generates the frames (XDP test run with live frames)"
        } else {
            "live: NOT at full rate; loading the generator's XDP program requires root on the host, so a packet socket sends the \
             frames, with one system call each"
        }
    }

    /// Sends on the other core, and returns once everything is sent. Call it on a thread in the
    /// namespace of the wire.
    pub(crate) fn send(&self, amount: Amount) -> Result<Sent> {
        measure::pin(measure::GENERATOR_CORE);
        let near = Interface::by_name(NEAR)?;
        let start = Instant::now();
        let frames = if let Some(kernel) = &self.kernel {
            kernel.send(self.traffic, amount)?
        } else {
            self.send_by_socket(amount)?;
            // Frames that the wire lost are not part of the totals.
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
            // The multiplier is odd, so this visits all flows.
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
                    // Each call ends with a pause of about 20 ms, so it sends for a second or two.
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

/// Frames that may follow without a gap to catch up after a delay.
const CATCH_UP: i32 = 512;

const EINTR: i32 = 4;

/// How often the program reads the clock before it sends a frame early. The assembler has no loops,
/// so the reads follow one another.
const LOOKS: usize = 256;

/// The program: it picks a flow, waits until the frame is due, counts it, and returns the verdict.
fn program(state: &BpfArray<16>, traffic: Traffic, verdict: u32) -> Vec<bpf_insn> {
    let (data, end, counts) = (Reg::R6, Reg::R7, Reg::R9);
    let mut asm = Assembler::new();
    asm.load(Size::Word, data, Reg::R1, 0);
    asm.load(Size::Word, end, Reg::R1, 4);
    asm.load_u64(counts, 0);
    // The verifier requires a check that the ports are inside the frame.
    let inside = asm.label();
    asm.mov(Reg::R2, data);
    asm.add(Reg::R2, i32::from(PORTS) + 4);
    asm.jump_if(Cond::Ge, end, Reg::R2, inside);
    asm.mov(Reg::R0, XDP_DROP.cast_signed());
    asm.exit();
    asm.bind(inside);
    if traffic.flows > 1 {
        asm.call(Helper::GetPrandomU32);
        asm.alu(Alu::And, Reg::R0, (traffic.flows - 1).cast_signed());
        asm.alu(Alu::Or, Reg::R0, PORT_1.cast_signed());
        asm.store(Size::Word, data, PORTS, Reg::R0);
    }
    if traffic.gap > 0 {
        wait(&mut asm, counts, traffic.gap.cast_signed());
    }
    asm.load(Size::Double, Reg::R1, counts, 0);
    asm.add(Reg::R1, 1);
    asm.store(Size::Double, counts, 0, Reg::R1);
    asm.mov(Reg::R0, verdict.cast_signed());
    asm.exit();
    with_map(asm, state.as_fd())
}

/// Waits until the time of this frame, which is stored after the count, and sets that of the next.
fn wait(asm: &mut Assembler, counts: Reg, gap: i32) {
    let (due, in_time) = (asm.label(), asm.label());
    for _ in 0..LOOKS {
        asm.call(Helper::KtimeGetNs);
        asm.load(Size::Double, Reg::R1, counts, 8);
        asm.jump_if(Cond::Ge, Reg::R0, Reg::R1, due);
    }
    asm.bind(due);
    // The next is due one gap after this one was due. Delays by the stack's own work are made up
    // for, within bounds.
    asm.mov(Reg::R3, Reg::R1);
    asm.add(Reg::R3, gap);
    asm.mov(Reg::R4, Reg::R0);
    asm.add(Reg::R4, -CATCH_UP * gap);
    asm.jump_if(Cond::Gt, Reg::R3, Reg::R4, in_time);
    asm.mov(Reg::R3, Reg::R4);
    asm.bind(in_time);
    asm.store(Size::Double, counts, 8, Reg::R3);
}

/// Assembles a program. Each of its 64-bit loads becomes the address of the only value of this map.
pub(super) fn with_map(asm: Assembler, map: BorrowedFd<'_>) -> Vec<bpf_insn> {
    const LD_IMM64: u8 = 0x18;
    let code = asm
        .finish()
        .expect("each jump goes forward, to a label that is bound");
    let insns = code.insns().iter().map(|&insn| {
        let mut insn = insn;
        if insn.code == LD_IMM64 {
            (insn.src, insn.imm) = (BPF_PSEUDO_MAP_VALUE, map.as_raw_fd());
        }
        bpf_insn {
            code: insn.code,
            regs: insn.to_bytes()[1],
            off: insn.off,
            imm: insn.imm,
        }
    });
    insns.collect()
}
