//! Filters: a language, its compiler to classic BPF, the type that every capture takes, the
//! kernel's rules, a listing, and an interpreter.
//!
//! - [`Expr`]: an expression, as text or built from parts, that is compiled to a filter;
//! - [`Filter`]: a program, to pass to a builder or to print;
//! - [`Filter::decode`]: the kernel's own checks, and the instructions as [`Op`]s, for translators;
//! - [`Matcher`]: runs a filter over packets of any source, in user space.
//!
//! Everything here is a pure function of the program and the packet, so a filter means the same in
//! the kernel, in an XDP program and over a capture file.
//!
//! ```
//! use netring_sys::kernel::filter::SockFilter;
//! use netring_sys::{Clock, Filter, LinkType, Matcher, Packet, Timestamp};
//!
//! // `ether proto 0x0806`
//! let arp = Filter::from([
//!     SockFilter::stmt(0x28, 12),
//!     SockFilter::jump(0x15, 0x0806, 0, 1),
//!     SockFilter::stmt(0x06, u32::MAX),
//!     SockFilter::stmt(0x06, 0),
//! ]);
//! let matcher = Matcher::new(arp)?;
//! let mut frame = [0; 60];
//! let matches = |frame: &[u8]| {
//!     let time = Timestamp::from_nanos(0, Clock::Unknown);
//!     matcher.matches(&Packet::new(frame, time, LinkType::ETHERNET))
//! };
//! assert!(!matches(&frame));
//! frame[12..14].copy_from_slice(&[0x08, 0x06]);
//! assert!(matches(&frame));
//! # Ok::<(), netring_sys::Error>(())
//! ```

mod compile;
mod decode;
mod expr;
mod fact;
mod listing;
mod machine;
mod matcher;
mod op;

use crate::Error;
use crate::kernel::filter::SockFilter;

pub use expr::Expr;
pub use expr::build::Number;
pub use expr::tree::{Inside, Layer, LlcFrame, Protocol, Relation, Side, Transport};
pub use matcher::Matcher;
pub use op::{Ancillary, Argument, Arithmetic, Comparison, Op, Register, Width};

/// A classic BPF program, as packet sockets take it (`SO_ATTACH_FILTER`). It runs for each packet
/// and returns how many bytes to keep, 0 to reject the packet.
///
/// Builders take anything that converts into one: a vector, a slice or an array of [`SockFilter`].
/// A filter is checked when it is used: by [`check`](Self::check), by a builder's `build`, or by
/// [`Matcher::new`]. Its `Display` form is the syntax of the kernel's `bpf_asm`.
///
/// ```
/// use netring_sys::kernel::filter::SockFilter;
/// use netring_sys::{Clock, Filter, LinkType, Matcher, Packet, Timestamp};
///
/// // IPv4 over Ethernet.
/// let filter = Filter::from([
///     SockFilter::stmt(0x28, 12),
///     SockFilter::jump(0x15, 0x800, 0, 1),
///     SockFilter::stmt(0x06, u32::MAX),
///     SockFilter::stmt(0x06, 0),
/// ]);
/// assert_eq!(
///     filter.to_string(),
///     "l0: ldh [12]\nl1: jeq #0x800, l2, l3\nl2: ret #0xffffffff\nl3: ret #0\n"
/// );
///
/// let matcher = Matcher::new(&filter)?;
/// let mut frame = [0; 60];
/// frame[12..14].copy_from_slice(&[0x08, 0x00]);
/// assert!(matcher.matches(&Packet::new(&frame, Timestamp::EPOCH, LinkType::ETHERNET)));
///
/// let endless = Filter::from([SockFilter::stmt(0x05, 7)]);
/// assert_eq!(
///     endless.check().unwrap_err().to_string(),
///     "filter: instruction 0 (code 0x05, k 0x7): it jumps out of the program"
/// );
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[doc(alias = "sock_fprog")]
#[doc(alias = "SO_ATTACH_FILTER")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    program: Vec<SockFilter>,
}

impl Filter {
    /// The instructions, in order.
    pub fn instructions(&self) -> &[SockFilter] {
        &self.program
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
        decode::program(&self.program)
    }

    /// Creates the error for an instruction `at` that a translator or interpreter does not support.
    pub fn refuse(&self, at: usize, why: &str) -> Error {
        decode::refused_at(at, self.program.get(at).copied(), why)
    }
}

impl From<Vec<SockFilter>> for Filter {
    fn from(program: Vec<SockFilter>) -> Self {
        Self { program }
    }
}

impl From<&Vec<SockFilter>> for Filter {
    fn from(program: &Vec<SockFilter>) -> Self {
        program.clone().into()
    }
}

impl From<&[SockFilter]> for Filter {
    fn from(program: &[SockFilter]) -> Self {
        program.to_vec().into()
    }
}

impl<const N: usize> From<[SockFilter; N]> for Filter {
    fn from(program: [SockFilter; N]) -> Self {
        program.to_vec().into()
    }
}

impl<const N: usize> From<&[SockFilter; N]> for Filter {
    fn from(program: &[SockFilter; N]) -> Self {
        program.to_vec().into()
    }
}

impl From<&Self> for Filter {
    fn from(filter: &Self) -> Self {
        filter.clone()
    }
}
