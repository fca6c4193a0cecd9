//! An interpreter for filters, over packets of any source.

mod expression;

use super::machine::Machine;
use super::op::{Ancillary, Op};
use super::{Filter, Kind, Program, expr, fact};
use crate::{Error, Packet};
use expression::Expression;

/// A filter that is ready to run over packets, of a capture file or of a ring.
///
/// An expression is compiled for the link type of each packet, once for each type, and for the
/// place of its VLAN tag: in the bytes or in the metadata ([`Meta::vlan`](crate::Meta::vlan)). So
/// it serves sources with several link types, and means the same as in the kernel.
///
/// A program means the same as on a packet socket. The kernel's facts about a packet are taken from
/// its metadata: interface, direction, VLAN tag, queue, hash and EtherType. A load of something
/// that the source does not know, or beyond the captured bytes, ends the program with 0, just as
/// the kernel does for a load beyond the packet. So a filter never accepts a packet by accident.
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
    /// ([`Program::check`]), or a load of data that no packet carries: the mark, the hardware type,
    /// the processor, the payload offset, a random number, netlink attributes. An expression is
    /// refused if it is impossible for every link type.
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
    /// the link type of the packet, its headers lack the subject of a term, or the source does not
    /// know metadata that a term tests.
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

    /// The result of the program; `None` if there is none for this packet. One function, so that
    /// the interpreter is part of it.
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
    machine: Machine,
    /// The metadata that it loads.
    facts: Vec<Ancillary>,
}

impl Code {
    fn new(program: &Program) -> Result<Self, Error> {
        let ops = program.decode()?;
        let mut facts = Vec::new();
        for (at, op) in ops.iter().enumerate() {
            let Op::LoadAncillary(fact) = *op else {
                continue;
            };
            facts.push(fact);
            if !fact::is_carried(fact) {
                let why = format!(
                    "it loads what only the kernel knows about a packet (SKF_AD_OFF + {}); a \
                     packet socket can",
                    fact.number()
                );
                return Err(program.refuse(at, &why));
            }
        }
        Ok(Self {
            machine: Machine::new(&ops),
            facts,
        })
    }

    #[inline]
    fn run(&self, packet: &Packet<'_>) -> u32 {
        self.machine.run(packet)
    }
}
