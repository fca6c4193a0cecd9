//! How a fanout group distributes packets, and which settings are possible.

use std::num::NonZero;
use std::thread::available_parallelism;

use netring_sys::Error;
use netring_sys::kernel::packet::{
    PACKET_FANOUT_CBPF, PACKET_FANOUT_CPU, PACKET_FANOUT_EBPF, PACKET_FANOUT_FLAG_DEFRAG,
    PACKET_FANOUT_FLAG_ROLLOVER, PACKET_FANOUT_HASH, PACKET_FANOUT_LB, PACKET_FANOUT_MAX,
    PACKET_FANOUT_QM, PACKET_FANOUT_RND, PACKET_FANOUT_ROLLOVER,
};

use super::program::FanoutProgram;

/// The members that a group may have unless it was created with another maximum.
const DEFAULT_MAX: u32 = 256;

/// How packets are distributed to the workers of a [`FanoutGroup`](super::FanoutGroup).
///
/// Packets that the kernel gives to one worker are in order, always. What holds across workers
/// depends on the mode: whether all packets of a flow go to one worker, so that the whole flow is
/// in order, or are distributed regardless of flows.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum FanoutMode {
    /// By a hash of addresses and ports, the same for both directions. All packets of a flow go to
    /// one worker, in order. Fragments are hashed by their addresses alone, so they may go to
    /// another worker than the rest of their flow unless [`Fanout::defragment`] is set. Packets
    /// without addresses, such as ARP, go to one worker for each protocol. The hash differs after
    /// each restart of the host.
    #[default]
    #[doc(alias = "PACKET_FANOUT_HASH")]
    Hash,
    /// To each worker in turn: all are equally busy, and packets of a flow go to all of them.
    #[doc(alias = "PACKET_FANOUT_LB")]
    LoadBalance,
    /// By the processor that receives the packet: its number modulo the number of workers. If the
    /// card distributes flows to its queues, and each queue has its processor, the packets of a
    /// flow go to one worker.
    #[doc(alias = "PACKET_FANOUT_CPU")]
    Cpu,
    /// To the first worker as long as its ring has room, then to the next (kernel 3.10). Packets of
    /// a flow go to several workers.
    #[doc(alias = "PACKET_FANOUT_ROLLOVER")]
    Rollover,
    /// To a worker at random (kernel 3.12). Packets of a flow go to all of them.
    #[doc(alias = "PACKET_FANOUT_RND")]
    Random,
    /// By the queue of the card that received the packet: its number, which most drivers count from
    /// 1, modulo the number of workers (kernel 3.14). If the card distributes flows to its queues,
    /// the packets of a flow go to one worker.
    #[doc(alias = "PACKET_FANOUT_QM")]
    QueueMapping,
    /// By a BPF program: its result modulo the number of workers (kernel 4.3).
    #[doc(alias = "PACKET_FANOUT_CBPF")]
    #[doc(alias = "PACKET_FANOUT_EBPF")]
    Program(FanoutProgram),
}

/// The settings of a [`FanoutGroup`](super::FanoutGroup): the mode, the number of workers, and the
/// flags of the group.
///
/// ```
/// use netring_afpacket::{Fanout, FanoutMode};
///
/// let by_flow = Fanout::default().workers(4);
/// let evenly = Fanout::new(FanoutMode::LoadBalance).defragment(true);
/// # let _ = (by_flow, evenly);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is opened before `FanoutGroup::open`"]
pub struct Fanout {
    pub(super) mode: FanoutMode,
    workers: Option<usize>,
    rollover: bool,
    defragment: bool,
    pub(super) id: Option<u16>,
    pub(super) max_members: Option<u32>,
}

impl Fanout {
    /// The default settings with this mode. [`Fanout::default`] distributes by
    /// [hash](FanoutMode::Hash).
    pub const fn new(mode: FanoutMode) -> Self {
        Self {
            mode,
            workers: None,
            rollover: false,
            defragment: false,
            id: None,
            max_members: None,
        }
    }

    /// How many workers to open, at least 1. Default: one for each processor that this process may
    /// use. Each has its own ring, of the size in the capture's settings.
    pub const fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// Whether a packet whose worker has a full ring goes to another one with room (kernel 3.10).
    /// Default: no. It may move before the ring is entirely full if its flow had most of the recent
    /// packets.
    ///
    /// Fewer packets are lost, but packets of a flow can then go to several workers.
    /// [`FanoutHandle::rollover_stats`](super::FanoutHandle::rollover_stats) counts them.
    /// [`FanoutMode::Rollover`] does the same from the start, and refuses it.
    #[doc(alias = "PACKET_FANOUT_FLAG_ROLLOVER")]
    pub const fn rollover(mut self, rollover: bool) -> Self {
        self.rollover = rollover;
        self
    }

    /// Whether the kernel puts IPv4 fragments together before it selects a worker. Default: no.
    /// The worker receives the whole packet once, with the length that it has as a whole.
    #[doc(alias = "PACKET_FANOUT_FLAG_DEFRAG")]
    pub const fn defragment(mut self, defragment: bool) -> Self {
        self.defragment = defragment;
        self
    }

    /// Joins the group of this number in the network namespace, or creates it. Default: a new group
    /// with a number that no other has (kernel 4.12).
    ///
    /// Several processes can thus share the packets of an interface. All must request the same
    /// mode, [`rollover`](Self::rollover), [`defragment`](Self::defragment) and
    /// [`ignore_outgoing`](crate::CaptureBuilder::ignore_outgoing) on the same interface. A process
    /// that joins or leaves moves flows of the others to other workers. With
    /// [`FanoutMode::Program`] the program of the process that joined last is in force for all.
    pub const fn id(mut self, id: u16) -> Self {
        self.id = Some(id);
        self
    }

    /// The most members that the group may have, 1 to 65,536 (kernel 5.11). Default: 256, or the
    /// maximum of the group that is joined.
    #[doc(alias = "max_num_members")]
    pub const fn max_members(mut self, members: u32) -> Self {
        self.max_members = Some(members);
        self
    }

    /// How many workers to open.
    pub(super) fn count(&self) -> usize {
        let processors = || available_parallelism().map_or(1, NonZero::get);
        self.workers.unwrap_or_else(processors)
    }

    /// The kernel's word for the mode and the flags.
    pub(super) fn type_flags(&self) -> u16 {
        let mode = match &self.mode {
            FanoutMode::Hash => PACKET_FANOUT_HASH,
            FanoutMode::LoadBalance => PACKET_FANOUT_LB,
            FanoutMode::Cpu => PACKET_FANOUT_CPU,
            FanoutMode::Rollover => PACKET_FANOUT_ROLLOVER,
            FanoutMode::Random => PACKET_FANOUT_RND,
            FanoutMode::QueueMapping => PACKET_FANOUT_QM,
            FanoutMode::Program(program) if program.is_ebpf() => PACKET_FANOUT_EBPF,
            FanoutMode::Program(_) => PACKET_FANOUT_CBPF,
        };
        let flags = [
            (self.rollover, PACKET_FANOUT_FLAG_ROLLOVER),
            (self.defragment, PACKET_FANOUT_FLAG_DEFRAG),
        ];
        let set = flags.into_iter().filter(|(set, _)| *set);
        set.fold(mode, |word, (_, flag)| word | flag)
    }

    /// Refuses settings that no kernel accepts, with a text that says what is allowed.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |setting, why| Err(Error::Config { setting, why });
        if self.rollover && matches!(self.mode, FanoutMode::Rollover) {
            let why = "the mode `Rollover` rolls over from the start; leave the flag out, or choose another mode";
            return refuse("rollover", why.into());
        }
        if let Some(members) = self.max_members
            && !(1..=PACKET_FANOUT_MAX).contains(&members)
        {
            let why = format!("{members}; a group has 1 to 65,536 members");
            return refuse("max_members", why);
        }
        let (workers, max) = (self.count(), self.max_members.unwrap_or(DEFAULT_MAX));
        if workers == 0 {
            return refuse("workers", "0; at least one is required".into());
        }
        if workers > max as usize {
            let why = format!(
                "{workers}; the group has up to {max} members: request fewer, or set `max_members`"
            );
            return refuse("workers", why);
        }
        match &self.mode {
            FanoutMode::Program(program) => program.check(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netring_sys::kernel::filter::SockFilter;

    #[test]
    fn the_words_are_those_of_the_kernel() {
        let word = |mode| Fanout::new(mode).type_flags();
        let program = FanoutProgram::classic([SockFilter::stmt(0x06, 1)]);
        let modes = [
            word(FanoutMode::Hash),
            word(FanoutMode::LoadBalance),
            word(FanoutMode::Cpu),
            word(FanoutMode::Rollover),
            word(FanoutMode::Random),
            word(FanoutMode::QueueMapping),
            word(FanoutMode::Program(program)),
        ];
        assert_eq!(modes, [0, 1, 2, 3, 4, 5, 6]);
        let both = Fanout::new(FanoutMode::Cpu).rollover(true).defragment(true);
        assert_eq!(both.type_flags(), 0x9002);
    }

    #[test]
    fn what_no_kernel_accepts_is_refused_and_what_it_accepts_is_not() {
        let refused = |fanout: Fanout| match fanout.check() {
            Err(Error::Config { setting, why }) => (setting, why),
            other => panic!("{other:?}"),
        };
        let (setting, why) = refused(Fanout::new(FanoutMode::Rollover).rollover(true));
        assert_eq!(setting, "rollover");
        assert!(why.contains("choose another mode"), "{why}");
        for members in [0, 65_537, u32::MAX] {
            let (setting, why) = refused(Fanout::default().workers(1).max_members(members));
            assert_eq!(setting, "max_members");
            assert!(why.contains("1 to 65,536"), "{why}");
        }
        assert_eq!(refused(Fanout::default().workers(0)).0, "workers");
        let (setting, why) = refused(Fanout::default().workers(257));
        assert_eq!(setting, "workers");
        assert!(why.contains("up to 256 members"), "{why}");
        let endless = FanoutProgram::classic([SockFilter::stmt(0x05, 7)]);
        let (setting, why) = refused(Fanout::new(FanoutMode::Program(endless)));
        assert_eq!(setting, "fanout program");
        assert!(why.contains("jumps out of the program"), "{why}");

        Fanout::default().check().unwrap();
        Fanout::default().rollover(true).check().unwrap();
        let most = Fanout::default().workers(257).max_members(65_536);
        most.check().unwrap();
    }
}
