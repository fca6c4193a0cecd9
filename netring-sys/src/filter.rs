//! Filters: one type accepted everywhere, and its parts.
//!
//! - [`Filter`]: an expression or a program, for the builders of captures, for [`Matcher`] and for
//!   [`Filtered`](crate::adapters::Filtered);
//! - [`Expr`]: an expression in the language of tcpdump, as text or built from typed parts. Its
//!   documentation describes the language, and its differences to libpcap;
//! - [`Program`]: classic BPF, checked by the kernel's own rules, and decoded into [`Op`]s for
//!   translators;
//! - [`Matcher`]: runs a filter over packets of any source, in user space.
//!
//! Everything here is a pure function of the filter and the packet, so a filter means the same in
//! the kernel, in an XDP program and over a capture file.

mod compile;
mod decode;
mod expr;
mod fact;
mod interfaces;
mod listing;
mod machine;
mod matcher;
mod op;
mod program;

use std::fmt;
use std::str::FromStr;

use crate::kernel::filter::SockFilter;
use crate::{Error, LinkType};

pub use expr::Expr;
pub use expr::build::Number;
pub use expr::tree::{Inside, Layer, LlcFrame, Protocol, Relation, Side, Transport};
pub use matcher::Matcher;
pub use op::{Ancillary, Argument, Arithmetic, Comparison, Op, Register, Width};
pub use program::Program;

/// Which packets to take: an expression, or a classic BPF program. Everything that filters accepts
/// one: packet sockets, XDP programs, capture files and any other source.
///
/// ```
/// use netring_sys::filter::{Expr, Side, Transport};
/// use netring_sys::{Filter, LinkType, Matcher, Packet, Timestamp};
///
/// let filter: Filter = "tcp dst port 443 and not net 10.0.0.0/8".parse()?;
/// let net = Expr::net(Side::Either, [10, 0, 0, 0], 8)?;
/// let built = Expr::port(Transport::Tcp, Side::Dst, 443).and(!net);
/// assert_eq!(filter, built.into());
///
/// let matcher = Matcher::new(filter)?;
/// let arp = [0; 60];
/// assert!(!matcher.matches(&Packet::new(&arp, Timestamp::EPOCH, LinkType::ETHERNET)));
/// # Ok::<(), netring_sys::Error>(())
/// ```
///
/// It is made from:
///
/// - Text in the language of tcpdump ([`Expr`] describes it): `"udp port 53".parse::<Filter>()?`.
/// - Typed parts: [`Expr`] converts into a filter.
/// - A [`Program`], or a vector, a slice or an array of [`SockFilter`], for tests that expressions
///   cannot express.
///
/// Each place compiles an expression itself, because it knows the link type of its packets and
/// where they have a VLAN tag. The verdict on a packet is the same everywhere, and a packet that is
/// accepted is never cut. A place that cannot express the filter, or a term of it, refuses it with
/// the reason: `inbound` is not in the bytes that an XDP program sees, and `vlan` not in packets of
/// a tunnel. It is never replaced by a filter that accepts more or fewer packets.
///
/// A program runs unchanged, in each place and on each link type, so its author must know both.
///
/// Its `Display` form is the text of the expression, which parses to an equal filter, or the
/// listing of the program.
#[doc(alias = "bpf")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Expr(Expr),
    Program(Program),
}

impl Filter {
    /// The program for a place that sees only the bytes of a frame, including VLAN tags, such as an
    /// XDP program.
    ///
    /// # Errors
    /// [`Error::Config`]: those of [`Expr::for_bytes`], or of [`Program::check`].
    pub fn for_bytes(&self, link_type: LinkType) -> Result<Program, Error> {
        self.compiled(|expr| expr.for_bytes(link_type))
    }

    /// The program for a packet socket on an interface of this link type.
    ///
    /// # Errors
    /// [`Error::Config`]: those of [`Expr::for_live_socket`], or of [`Program::check`].
    pub fn for_live_socket(&self, link_type: LinkType) -> Result<Program, Error> {
        self.compiled(|expr| expr.for_live_socket(link_type))
    }

    /// The program for a packet socket that is bound to no interface, and so receives packets of
    /// several link types.
    ///
    /// # Errors
    /// [`Error::Config`]: those of [`Expr::for_all_interfaces`], or of [`Program::check`].
    pub fn for_all_interfaces(&self) -> Result<Program, Error> {
        self.compiled(Expr::for_all_interfaces)
    }

    /// The program, if the filter is one; `None` for an expression, whose program depends on the
    /// place and the link type.
    pub const fn as_program(&self) -> Option<&Program> {
        match &self.0 {
            Kind::Program(program) => Some(program),
            Kind::Expr(_) => None,
        }
    }

    /// Makes the checks that do not depend on the place: a program by the kernel's rules
    /// ([`Program::check`]). An expression is checked by the place that compiles it.
    ///
    /// # Errors
    /// [`Error::Config`], which names the instruction.
    pub fn check(&self) -> Result<(), Error> {
        self.as_program().map_or(Ok(()), Program::check)
    }

    fn compiled(
        &self,
        compile: impl FnOnce(&Expr) -> Result<Program, Error>,
    ) -> Result<Program, Error> {
        match &self.0 {
            Kind::Expr(expr) => compile(expr),
            Kind::Program(program) => program.check().map(|()| program.clone()),
        }
    }
}

/// Parses an expression.
impl FromStr for Filter {
    type Err = Error;

    /// # Errors
    /// [`Error::Config`], which names the column, what was expected, and the nearest word.
    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(|expr| Self(Kind::Expr(expr)))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Expr(expr) => expr.fmt(f),
            Kind::Program(program) => program.fmt(f),
        }
    }
}

impl From<Expr> for Filter {
    fn from(expr: Expr) -> Self {
        Self(Kind::Expr(expr))
    }
}

impl From<&Expr> for Filter {
    fn from(expr: &Expr) -> Self {
        expr.clone().into()
    }
}

impl From<&Self> for Filter {
    fn from(filter: &Self) -> Self {
        filter.clone()
    }
}

/// The inputs of a program also make a filter.
macro_rules! from_programs {
    ($([$($generic:tt)*] $from:ty,)*) => {$(
        impl<$($generic)*> From<$from> for Filter {
            fn from(program: $from) -> Self {
                Self(Kind::Program(program.into()))
            }
        }
    )*};
}

from_programs! {
    [] Program,
    [] &Program,
    [] Vec<SockFilter>,
    [] &Vec<SockFilter>,
    [] &[SockFilter],
    [const N: usize] [SockFilter; N],
    [const N: usize] &[SockFilter; N],
}
