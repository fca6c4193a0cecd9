//! A program on the wire, ours or the peer's, and its report.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use netring_sys::kernel::bpf::XDP_DROP;
use netring_sys::syscall::{BpfArray, bpf_link_xdp, bpf_load_xdp};
use netring_sys::{Interface, XdpMode};
use netring_xdp::program::asm::{Assembler, Reg};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;

use super::ends::{FAR, NEAR, SECOND_FAR};
use super::generator::{Amount, Generator, Traffic, with_map};
use super::{chain, measure, peers};
use crate::Result;

/// The argument that makes `bench` run our program.
pub(super) const OURS: &str = "xdp-ours";

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Ours,
    Peer,
}

/// Its task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) verb: &'static str,
    /// `native` or `generic`.
    pub(super) mode: &'static str,
    /// Of a frame.
    pub(super) bytes: usize,
}

/// Its report.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) packets: u64,
    /// All frames sent to it, including those sent after it had enough.
    pub(super) offered: u64,
    /// Those of them that were lost on the wire, before its XDP program.
    wire: u64,
    /// Nanoseconds since the first packet.
    pub(super) time: u64,
    /// Nanoseconds of CPU.
    pub(super) cpu: u64,
    /// System calls.
    pub(super) calls: u64,
    pub(super) allocations: u64,
    /// Packets lost at its socket until it had enough.
    pub(super) lost: u64,
    /// Packets lost until sending ended, and packets left in its ring.
    lost_in_all: u64,
    left: u64,
    /// Instructions, if they are counted.
    pub(super) instructions: u64,
}

/// Drops and counts everything that arrives at the far ends.
#[derive(Debug)]
pub(super) struct Sink {
    count: BpfArray<8>,
    _links: [OwnedFd; 2],
}

impl Who {
    /// The program and its arguments.
    pub(super) fn command(self, task: Task, packets: u64) -> Result<Vec<String>> {
        let mut words = match self {
            Self::Ours => {
                let program = std::env::current_exe()?.to_string_lossy().into_owned();
                vec![program, "bench".into(), OURS.into()]
            }
            Self::Peer => vec![peers::xsk()?],
        };
        let verb = match self {
            Self::Ours => task.verb,
            // The peer has one program for all variants of ours.
            Self::Peer => task.kind(),
        };
        words.extend([verb, NEAR, task.mode].map(String::from));
        words.extend([task.bytes.to_string(), packets.to_string()]);
        Ok(words)
    }
}

impl Task {
    /// The verb without its variant.
    pub(super) fn kind(self) -> &'static str {
        self.verb.split('-').next().unwrap_or_default()
    }

    /// Whether the peer's program does the same work.
    pub(super) fn is_the_same(self) -> bool {
        self.verb != "receive-tags"
    }

    /// Whether it needs traffic.
    fn receives(self) -> bool {
        self.kind() != "transmit"
    }

    /// Whether it sends.
    fn sends(self) -> bool {
        matches!(self.kind(), "transmit" | "forward")
    }
}

impl Sink {
    /// Attaches a sink at the far end of each wire.
    pub(super) fn new() -> Result<Self> {
        let count = BpfArray::new(1)?;
        let mut asm = Assembler::new();
        asm.load_u64(Reg::R1, 0);
        asm.mov(Reg::R2, 1);
        asm.atomic_add(Reg::R1, 0, Reg::R2);
        asm.mov(Reg::R0, XDP_DROP.cast_signed());
        asm.exit();
        let program = with_map(asm, count.as_fd());
        let program = bpf_load_xdp(&program, c"GPL")?;
        let link = |far| -> Result<_> {
            let far = Interface::by_name(far)?;
            Ok(bpf_link_xdp(program.as_fd(), far.index, XdpMode::Native)?)
        };
        let _links = [link(FAR)?, link(SECOND_FAR)?];
        Ok(Self { count, _links })
    }

    fn count(&self) -> Result<u64> {
        Ok(u64::from_ne_bytes(self.count.get(0)?))
    }
}

/// Runs a program until it has its packets. Checks its totals: what was sent to it is received,
/// counted as lost, or left in its ring; and what it sent arrived.
pub(super) fn run(words: &[String], task: Task, sink: &Sink) -> Result<Figures> {
    let before = sink.count()?;
    // A child process inherits the core of the thread that starts it.
    measure::pin(measure::MEASURED_CORE);
    let (program, rest) = words.split_first().ok_or("no program")?;
    let mut child = Command::new(program)
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| format!("{program} did not start: {why}"))?;
    let figures = listen(&mut child, task);
    // A program that still runs ends now.
    drop(child.stdin.take());
    let mut errors = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut errors)?;
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{} ended with {status}: {errors}", words.join(" ")).into());
    }
    let mut figures = figures?;
    figures.instructions = collected(&errors).unwrap_or(0);
    let arrived = sink.count()? - before;
    if task.sends() && arrived != figures.packets {
        return Err(format!(
            "{}: {} sent, {arrived} arrived",
            words.join(" "),
            figures.packets
        )
        .into());
    }
    if task.receives() && !task.sends() {
        figures
            .balance()
            .map_err(|why| format!("{}: {why}", words.join(" ")))?;
    }
    Ok(figures)
}

impl Figures {
    /// Checks that every frame sent is accounted for.
    fn balance(&self) -> std::result::Result<(), String> {
        let Self {
            offered,
            wire,
            packets,
            lost_in_all,
            left,
            ..
        } = self;
        if *offered == wire + packets + lost_in_all + left {
            return Ok(());
        }
        Err(format!(
            "the totals do not add up: {offered} sent, {wire} lost on the wire, {packets} received, {lost_in_all} lost at the socket, \
             {left} left in its ring"
        ))
    }
}

/// Sends once the program is ready and while it runs, and collects its lines.
fn listen(child: &mut Child, task: Task) -> Result<Figures> {
    let output = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    let mut figures = Figures::default();
    if lines.next().transpose()?.as_deref() != Some("ready") {
        return Err("it was never ready".into());
    }
    let traffic = Traffic {
        frame: task.bytes,
        flows: 1,
        gap: 0,
    };
    let generator = match task.mode {
        _ if !task.receives() => None,
        // The stack runs a generic program, so the frames go to the stack.
        "generic" => Some(Generator::new(traffic)?),
        _ => Some(Generator::over_the_wire(traffic)?),
    };
    let before = Interface::by_name(NEAR)?.counters;
    // Without a handler the signal would end this program.
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::default())?;
    thread::scope(|scope| -> Result<()> {
        let (tell, told) = mpsc::channel();
        let sending = generator.as_ref().map(|generator| {
            scope.spawn(move || {
                let _ = tell.send(pthread_self());
                // In one call: each ends with a pause in which nothing is sent.
                generator
                    .send(Amount::Endless)
                    .map_err(|why| chain(why.as_ref()))
            })
        });
        let taken = (&mut lines)
            .take_while(|line| !matches!(line, Ok(line) if line == DONE))
            .try_for_each(|line| take(&mut figures, &line?));
        if let Some(sending) = sending {
            let sender = told.recv()?;
            // Repeatedly: the thread may not be sending yet.
            while !sending.is_finished() {
                pthread_kill(sender, Signal::SIGUSR1)?;
                thread::sleep(Duration::from_millis(1));
            }
            let sent = sending.join().map_err(|_| "the generator panicked")??;
            figures.offered = sent.frames;
        }
        taken
    })?;
    // Frames that are still on the wire arrive.
    thread::sleep(Duration::from_millis(20));
    drop(child.stdin.take());
    lines.try_for_each(|line| take(&mut figures, &line?))?;
    let after = Interface::by_name(NEAR)?.counters;
    let dropped = after.rx_dropped - before.rx_dropped;
    // The interface also counts what its program cannot hand over as its own loss; the stack, which
    // runs a generic program, does not.
    figures.wire = match task.mode {
        "generic" => dropped,
        _ => dropped
            .checked_sub(figures.lost_in_all)
            .ok_or("the program reports more lost packets than the interface")?,
    };
    Ok(figures)
}

/// The line after which a program waits until sending ends.
const DONE: &str = "done 0";

/// Parses a line `NAME NUMBER`.
fn take(figures: &mut Figures, line: &str) -> Result<()> {
    let unknown = || format!("a program printed {line:?}");
    let (name, number) = line.split_once(' ').ok_or_else(unknown)?;
    let number: u64 = number.parse()?;
    match name {
        "packets" => figures.packets = number,
        "time" => figures.time = number,
        "cpu" => figures.cpu = number,
        "calls" => figures.calls += number,
        "allocations" => figures.allocations = number,
        "lost" => figures.lost = number,
        "lost_in_all" => figures.lost_in_all = number,
        "left" => figures.left = number,
        _ => return Err(unknown().into()),
    }
    Ok(())
}

/// The count that callgrind prints at its end.
fn collected(errors: &str) -> Option<u64> {
    let line = errors.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_taken_and_nothing_else() {
        let mut figures = Figures::default();
        for line in ["packets 7", "time 1500", "cpu 20", "calls 2", "calls 3"] {
            take(&mut figures, line).unwrap();
        }
        assert_eq!((figures.packets, figures.time), (7, 1500));
        assert_eq!((figures.cpu, figures.calls), (20, 5));
        assert_eq!(
            figures.balance().unwrap_err().split(':').next(),
            Some("the totals do not add up")
        );
        figures.offered = 30;
        for line in ["lost 3", "lost_in_all 20", "left 3"] {
            take(&mut figures, line).unwrap();
        }
        assert_eq!((figures.lost, figures.balance()), (3, Ok(())));
        for line in ["", "packets", "packets x", "other 1"] {
            assert!(take(&mut figures, line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_instructions_are_found_among_what_callgrind_says() {
        let said = "==12== Events    : Ir\n==12== Collected : 4711\n==12==\n";
        assert_eq!(collected(said), Some(4711));
        assert_eq!(collected("no instructions"), None);
    }
}
