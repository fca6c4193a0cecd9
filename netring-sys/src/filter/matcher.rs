//! An interpreter for filters, over packets of any source.

use super::op::{Ancillary, Argument, Arithmetic, Comparison, Op, Register, Width};
use super::{Filter, fact};
use crate::kernel::filter::{BPF_MEMWORDS, SKF_LL_OFF, SKF_NET_OFF};
use crate::{Error, Packet};

/// A filter that is ready to run over packets, of a capture file or of a ring.
///
/// It means the same as on a packet socket. What the kernel knows about a packet is taken from its
/// metadata: interface, direction, VLAN tag, queue, hash and EtherType. A load of something that
/// the source does not know, or beyond the captured bytes, ends the program with 0, just as the
/// kernel does for a load beyond the packet. So a filter never accepts a packet by accident.
///
/// ```
/// use netring_sys::kernel::filter::SockFilter;
/// use netring_sys::{Direction, LinkType, Matcher, Packet, Timestamp};
///
/// // Packets that this host sends: ld type; jeq #4; ret #-1; ret #0.
/// let outgoing = Matcher::new([
///     SockFilter::stmt(0x28, 0xffff_f004),
///     SockFilter::jump(0x15, 4, 0, 1),
///     SockFilter::stmt(0x06, u32::MAX),
///     SockFilter::stmt(0x06, 0),
/// ])?;
/// let packet = Packet::new(&[0; 60], Timestamp::EPOCH, LinkType::ETHERNET);
/// assert!(outgoing.matches(&packet.with_direction(Some(Direction::Outgoing))));
/// assert!(!outgoing.matches(&packet.with_direction(Some(Direction::Host))));
/// assert!(
///     !outgoing.matches(&packet),
///     "a file does not know the direction"
/// );
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    ops: Vec<Op>,
}

impl Matcher {
    /// Checks a filter and prepares it to run.
    ///
    /// # Errors
    /// [`Error::Config`], which names the instruction, for a program that the kernel would refuse
    /// ([`Filter::check`]), and for loads of what no packet carries: the mark, the hardware type,
    /// the processor, the payload offset, a random number, netlink attributes.
    pub fn new(filter: impl Into<Filter>) -> Result<Self, Error> {
        let filter = filter.into();
        let ops = filter.decode()?;
        for (at, op) in ops.iter().enumerate() {
            if let Op::LoadAncillary(fact) = *op
                && !fact::is_carried(fact)
            {
                let why = format!(
                    "it loads what only the kernel knows about a packet (SKF_AD_OFF + {}); a \
                     packet socket can",
                    fact.number()
                );
                return Err(filter.refuse(at, &why));
            }
        }
        Ok(Self { ops })
    }

    /// Whether the filter accepts the packet: it returns something other than 0.
    #[inline]
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        self.run(packet) != 0
    }

    /// Runs the filter: returns how many bytes of the packet to keep, 0 to reject it.
    pub fn run(&self, packet: &Packet<'_>) -> u32 {
        // Only a load beyond the packet and a division by 0 end a program early.
        Machine::new(packet).run(&self.ops).unwrap_or(0)
    }
}

struct Machine<'a> {
    a: u32,
    x: u32,
    memory: [u32; BPF_MEMWORDS as usize],
    packet: &'a Packet<'a>,
}

impl<'a> Machine<'a> {
    const fn new(packet: &'a Packet<'a>) -> Self {
        Self {
            a: 0,
            x: 0,
            memory: [0; BPF_MEMWORDS as usize],
            packet,
        }
    }

    /// Jumps lead forward only, so the program ends.
    fn run(mut self, ops: &[Op]) -> Option<u32> {
        let mut at = 0;
        loop {
            let op = ops.get(at)?;
            at += 1;
            match *op {
                Op::LoadAbsolute(width, k) => self.a = self.load(width, k)?,
                Op::LoadIndirect(width, k) => self.a = self.load(width, self.x.wrapping_add(k))?,
                Op::LoadHeaderLength(k) => self.x = 4 * (self.load(Width::Byte, k)? & 15),
                Op::LoadAncillary(Ancillary::XorX) => self.a ^= self.x,
                Op::LoadAncillary(fact) => self.a = fact::value(fact, self.packet)?,
                Op::LoadLength(register) => self.set(register, self.packet.frame_len()),
                Op::LoadConstant(register, k) => self.set(register, k),
                Op::LoadMemory(register, word) => self.set(register, self.memory[place(word)]),
                Op::StoreMemory(register, word) => self.memory[place(word)] = self.get(register),
                Op::Compute(alu, with) => self.a = compute(alu, self.a, self.operand(with))?,
                Op::Negate => self.a = self.a.wrapping_neg(),
                Op::Jump(to) => at = to,
                Op::Branch {
                    cond,
                    with,
                    yes,
                    no,
                } => {
                    at = if holds(cond, self.a, self.operand(with)) {
                        yes
                    } else {
                        no
                    }
                }
                Op::Return(k) => return Some(k),
                Op::ReturnA => return Some(self.a),
                Op::Tax => self.x = self.a,
                Op::Txa => self.a = self.x,
            }
        }
    }

    /// Loads at an offset from the start of the packet or, if it is one of the kernel's negative
    /// ones, from a header.
    #[inline]
    fn load(&self, width: Width, offset: u32) -> Option<u32> {
        // No packet is long enough to contain a negative offset.
        let bytes = match self.packet.data().get(offset as usize..) {
            Some(bytes) => bytes,
            None => self.behind_header(offset)?,
        };
        Some(match width {
            Width::Byte => (*bytes.first()?).into(),
            Width::Half => u16::from_be_bytes(*bytes.first_chunk()?).into(),
            Width::Word => u32::from_be_bytes(*bytes.first_chunk()?),
        })
    }

    #[cold]
    fn behind_header(&self, offset: u32) -> Option<&[u8]> {
        let begin = match offset {
            // The link header is where the captured bytes begin.
            SKF_LL_OFF..SKF_NET_OFF => offset - SKF_LL_OFF,
            SKF_NET_OFF.. => fact::network_header(self.packet)? + (offset - SKF_NET_OFF),
            _ => return None,
        };
        self.packet.data().get(begin as usize..)
    }

    const fn get(&self, register: Register) -> u32 {
        match register {
            Register::A => self.a,
            Register::X => self.x,
        }
    }

    const fn set(&mut self, register: Register, value: u32) {
        match register {
            Register::A => self.a = value,
            Register::X => self.x = value,
        }
    }

    const fn operand(&self, operand: Argument) -> u32 {
        match operand {
            Argument::K(k) => k,
            Argument::X => self.x,
        }
    }
}

/// The checks guarantee that the word exists; the mask saves a bounds check.
const fn place(word: u32) -> usize {
    (word % BPF_MEMWORDS) as usize
}

const fn compute(alu: Arithmetic, a: u32, with: u32) -> Option<u32> {
    Some(match alu {
        Arithmetic::Add => a.wrapping_add(with),
        Arithmetic::Sub => a.wrapping_sub(with),
        Arithmetic::Mul => a.wrapping_mul(with),
        Arithmetic::Div => return a.checked_div(with),
        Arithmetic::Mod => return a.checked_rem(with),
        Arithmetic::And => a & with,
        Arithmetic::Or => a | with,
        Arithmetic::Xor => a ^ with,
        Arithmetic::Lsh => a.wrapping_shl(with),
        Arithmetic::Rsh => a.wrapping_shr(with),
    })
}

const fn holds(cond: Comparison, a: u32, with: u32) -> bool {
    match cond {
        Comparison::Eq => a == with,
        Comparison::Gt => a > with,
        Comparison::Ge => a >= with,
        Comparison::Set => a & with != 0,
    }
}
