//! A classic BPF program.

use super::decode;
use super::op::Op;
use crate::Error;
use crate::kernel::filter::SockFilter;

/// A classic BPF program, as packet sockets take it (`SO_ATTACH_FILTER`). It runs for each packet
/// and returns how many bytes to keep, 0 to reject the packet.
///
/// It is made from a vector, a slice or an array of [`SockFilter`], or compiled from an expression
/// ([`Filter::for_live_socket`](super::Filter::for_live_socket)), and is a
/// [`Filter`](super::Filter) itself. It is checked when it is used: by [`check`](Self::check), by a
/// builder's `build`, or by [`Matcher::new`](super::Matcher::new). Its `Display` form is the syntax
/// of the kernel's `bpf_asm`.
///
/// ```
/// use netring_sys::filter::Program;
/// use netring_sys::kernel::filter::SockFilter;
/// use netring_sys::{LinkType, Matcher, Packet, Timestamp};
///
/// // IPv4 over Ethernet.
/// let program = Program::from([
///     SockFilter::stmt(0x28, 12),
///     SockFilter::jump(0x15, 0x800, 0, 1),
///     SockFilter::stmt(0x06, u32::MAX),
///     SockFilter::stmt(0x06, 0),
/// ]);
/// assert_eq!(
///     program.to_string(),
///     "l0: ldh [12]\nl1: jeq #0x800, l2, l3\nl2: ret #0xffffffff\nl3: ret #0\n"
/// );
///
/// let matcher = Matcher::new(&program)?;
/// let mut frame = [0; 60];
/// frame[12..14].copy_from_slice(&[0x08, 0x00]);
/// assert!(matcher.matches(&Packet::new(&frame, Timestamp::EPOCH, LinkType::ETHERNET)));
///
/// let endless = Program::from([SockFilter::stmt(0x05, 7)]);
/// assert_eq!(
///     endless.check().unwrap_err().to_string(),
///     "filter: instruction 0 (code 0x05, k 0x7): it jumps out of the program"
/// );
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[doc(alias = "sock_fprog")]
#[doc(alias = "SO_ATTACH_FILTER")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    instructions: Vec<SockFilter>,
}

impl Program {
    /// The instructions, in order.
    pub fn instructions(&self) -> &[SockFilter] {
        &self.instructions
    }

    /// Checks the program by the kernel's rules (`bpf_check_classic`): 1 to 4096 known
    /// instructions, forward jumps inside the program, no division by a constant 0, no shift by
    /// more than 31, no load of a memory word before it is stored, and a return at the end.
    ///
    /// The kernel can still refuse a program that passes: one that exceeds `net.core.optmem_max`,
    /// or becomes too long in the kernel's own translation.
    ///
    /// # Errors
    /// [`Error::Config`], which names the instruction.
    pub fn check(&self) -> Result<(), Error> {
        self.decode().map(drop)
    }

    /// Decodes the instructions into one [`Op`] each, with operands and jump targets, after the
    /// checks of [`check`](Self::check).
    ///
    /// # Errors
    /// [`Error::Config`], which names the instruction.
    pub fn decode(&self) -> Result<Vec<Op>, Error> {
        decode::program(&self.instructions)
    }

    /// Creates the error for an instruction `at` that a translator or interpreter does not support.
    pub fn refuse(&self, at: usize, why: &str) -> Error {
        decode::refused_at(at, self.instructions.get(at).copied(), why)
    }
}

impl From<Vec<SockFilter>> for Program {
    fn from(instructions: Vec<SockFilter>) -> Self {
        Self { instructions }
    }
}

impl From<&Vec<SockFilter>> for Program {
    fn from(instructions: &Vec<SockFilter>) -> Self {
        instructions.clone().into()
    }
}

impl From<&[SockFilter]> for Program {
    fn from(instructions: &[SockFilter]) -> Self {
        instructions.to_vec().into()
    }
}

impl<const N: usize> From<[SockFilter; N]> for Program {
    fn from(instructions: [SockFilter; N]) -> Self {
        instructions.to_vec().into()
    }
}

impl<const N: usize> From<&[SockFilter; N]> for Program {
    fn from(instructions: &[SockFilter; N]) -> Self {
        instructions.to_vec().into()
    }
}

impl From<&Self> for Program {
    fn from(program: &Self) -> Self {
        program.clone()
    }
}
