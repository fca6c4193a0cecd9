//! An interpreter for filters, over packets of any source.

use super::machine::Machine;
use super::op::Op;
use super::{Filter, fact};
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
    machine: Machine,
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
        Ok(Self {
            machine: Machine::new(&ops),
        })
    }

    /// Whether the filter accepts the packet: it returns something other than 0.
    #[inline]
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        self.run(packet) != 0
    }

    /// Runs the filter: returns how many bytes of the packet to keep, 0 to reject it.
    #[inline]
    pub fn run(&self, packet: &Packet<'_>) -> u32 {
        self.machine.run(packet)
    }
}
