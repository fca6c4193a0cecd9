//! An interpreter for filters, over packets of any source.

mod expression;

use super::op::{Ancillary, Argument, Arithmetic, Comparison, Op, Register, Width};
use super::{Filter, Kind, Program, expr, fact};
use crate::kernel::filter::{BPF_MEMWORDS, SKF_LL_OFF, SKF_NET_OFF};
use crate::{Error, Packet};
use expression::Expression;

/// A filter that is ready to run over packets, of a capture file or of a ring.
///
/// An expression is compiled for the link type of each packet, once for each type, and for where
/// the packet has its VLAN tag: in its bytes or beside them ([`Meta::vlan`](crate::Meta::vlan)). So
/// it serves sources with several link types, and means what it means in the kernel.
///
/// A program means the same as on a packet socket. What the kernel knows about a packet is taken
/// from its metadata: interface, direction, VLAN tag, queue, hash and EtherType. A load of
/// something that the source does not know, or beyond the captured bytes, ends the program with 0,
/// just as the kernel does for a load beyond the packet. So a filter never accepts a packet by
/// accident.
///
/// ```
/// use netring_sys::{Direction, Filter, LinkType, Matcher, Packet, Timestamp};
///
/// let outgoing = Matcher::new("outbound".parse::<Filter>()?)?;
/// let packet = Packet::new(&[0; 60], Timestamp::EPOCH, LinkType::ETHERNET);
/// assert!(outgoing.matches(&packet.with_direction(Some(Direction::Outgoing))));
/// assert!(!outgoing.matches(&packet.with_direction(Some(Direction::Host))));
///
/// // An Ethernet file does not know the direction.
/// assert!(!outgoing.matches(&packet));
/// let why = outgoing.try_matches(&packet).unwrap_err().to_string();
/// assert!(why.contains("the direction is not in the bytes of a packet"));
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Matcher(Kinds);

#[derive(Clone, Debug)]
enum Kinds {
    Program(Code),
    Expression(Box<Expression>),
}

impl Matcher {
    /// Checks a filter and prepares it to run.
    ///
    /// # Errors
    /// [`Error::Config`]. For a program, it names the instruction: one that the kernel would refuse
    /// ([`Program::check`]), or a load of what no packet carries: the mark, the hardware type, the
    /// processor, the payload offset, a random number, netlink attributes. An expression is refused
    /// if it is impossible for every link type.
    pub fn new(filter: impl Into<Filter>) -> Result<Self, Error> {
        Ok(Self(match filter.into().0 {
            Kind::Program(program) => Kinds::Program(Code::new(&program)?),
            Kind::Expr(expr) => Kinds::Expression(Box::new(Expression::new(expr)?)),
        }))
    }

    /// Whether the filter accepts the packet. It does not accept a packet for which
    /// [`try_matches`](Self::try_matches) returns an error.
    #[inline]
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        self.run(packet) != 0
    }

    /// Whether the filter accepts the packet; an error if the expression has no meaning for it, so
    /// that neither answer is right: use it if packets can be of any link type.
    ///
    /// # Errors
    /// [`Error::Config`], which names the link type or the term: expressions are not available for
    /// the link type of the packet, its headers do not have what a term is about, or the source
    /// does not know what a term asks for.
    #[inline]
    pub fn try_matches(&self, packet: &Packet<'_>) -> Result<bool, Error> {
        self.verdict(packet).ok_or_else(|| self.refusal(packet))
    }

    /// Runs the filter: returns how many bytes of the packet to keep, 0 to reject it. It rejects a
    /// packet for which [`try_matches`](Self::try_matches) returns an error.
    #[inline]
    pub fn run(&self, packet: &Packet<'_>) -> u32 {
        self.result(packet).unwrap_or(0)
    }

    /// As [`try_matches`](Self::try_matches), with the reason left to [`refusal`](Self::refusal).
    #[inline]
    pub(crate) fn verdict(&self, packet: &Packet<'_>) -> Option<bool> {
        self.result(packet).map(|result| result != 0)
    }

    #[cold]
    pub(crate) fn refusal(&self, packet: &Packet<'_>) -> Error {
        expr::refused(match &self.0 {
            Kinds::Program(_) => String::new(),
            Kinds::Expression(expression) => expression.why_not(packet),
        })
    }

    /// What the program returns; `None` if there is none for this packet. One function, so that the
    /// interpreter is part of it.
    fn result(&self, packet: &Packet<'_>) -> Option<u32> {
        let code = match &self.0 {
            Kinds::Program(code) => code,
            Kinds::Expression(expression) => expression.code(packet)?,
        };
        Some(code.run(packet))
    }
}

/// A program that is ready to run.
#[derive(Clone, Debug)]
struct Code {
    ops: Vec<Op>,
}

impl Code {
    fn new(program: &Program) -> Result<Self, Error> {
        let ops = program.decode()?;
        for (at, op) in ops.iter().enumerate() {
            if let Op::LoadAncillary(fact) = *op
                && !fact::is_carried(fact)
            {
                let why = format!(
                    "it loads what only the kernel knows about a packet (SKF_AD_OFF + {}); a \
                     packet socket can",
                    fact.number()
                );
                return Err(program.refuse(at, &why));
            }
        }
        Ok(Self { ops })
    }

    fn run(&self, packet: &Packet<'_>) -> u32 {
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
