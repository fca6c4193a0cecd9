//! Filter expressions: a tree that is parsed from text or built from its parts.

mod arith;
pub(super) mod build;
mod cursor;
pub(super) mod depth;
mod id;
mod lex;
mod names;
mod parse;
mod ports;
mod print;
pub(super) mod tree;

use std::str::FromStr;

use super::Program;
use super::compile::{self, Absent, Dialect};
use super::interfaces;
use crate::kernel::filter::SockFilter;
use crate::{Error, LinkType};
use tree::Node;

/// A filter expression: text in the language of tcpdump (pcap-filter), or built from its parts.
///
/// It converts into a [`Filter`](super::Filter), which each place compiles itself, for its link
/// type and its VLAN tags. [`for_bytes`](Self::for_bytes) and
/// [`for_live_socket`](Self::for_live_socket) compile it for other programs. Both give one verdict
/// per packet. The program keeps whole packets; it never cuts one.
///
/// ```
/// use netring_sys::LinkType;
/// use netring_sys::filter::{Expr, Side, Transport};
///
/// let text: Expr = "tcp dst port 443 and not net 10.0.0.0/8".parse()?;
/// let built = Expr::port(Transport::Tcp, Side::Dst, 443)
///     .and(!Expr::net(Side::Either, [10, 0, 0, 0], 8)?);
/// assert_eq!(text, built);
/// assert_eq!(built.to_string(), "tcp dst port 443 and not net 10.0.0.0/8");
/// assert_eq!(text.for_bytes(LinkType::ETHERNET)?.instructions().len(), 22);
///
/// let why = "tcp and prot 80".parse::<Expr>().unwrap_err();
/// assert_eq!(
///     why.to_string(),
///     "filter: column 9: expected a term, such as `host`, `port` or `tcp`, not `prot`; the \
///      nearest word is `port`"
/// );
/// # Ok::<(), netring_sys::Error>(())
/// ```
///
/// # The language
///
/// - `host`, `net` (`10.0.0.0/8`, `10`, `10.0.0.0 mask 255.0.0.0`, `fe80::/10`), `port`,
///   `portrange`, `proto`, `protochain`, each with `src`, `dst`, `src or dst`, `src and dst` and
///   a protocol before it;
/// - protocols by their keywords: `ip`, `ip6`, `arp`, `rarp`, `tcp`, `udp`, `sctp`, `icmp`,
///   `icmp6`, `igmp`, `igrp`, `pim`, `vrrp`, `carp`, `ah`, `esp`, `stp`, `iso`, `isis`, …;
/// - `ether host`, `ether proto`, `broadcast`, `multicast`, `llc` and its kinds (`llc ui`), `vlan`,
///   `mpls`, `pppoed`, `pppoes`, `geneve`, `inbound`, `outbound`, `ifindex`;
/// - comparisons of numbers: `len`, `less`, `greater`, `byte`, `proto[offset:width]`, `+ - * / % &
///   | ^ << >>`, and names such as `tcpflags`, `tcp-syn` and `icmp6-redirect`;
/// - `and`, `or`, `not` (`&&`, `||`, `!`) and parentheses. `and` and `or` bind alike, from left to
///   right. After `and` and `or` an address, port or number inherits the keywords before it:
///   `tcp port 80 or 443`.
///
/// Names of ports and protocols are those of a list in the library; names of hosts are not looked
/// up. Text is at most 64 KiB long. Text and built expressions are at most 200 levels deep: deeper
/// ones are refused when parsed or compiled. Chains of `and` or of `or` are flat, and may be of any
/// length that compiles to 4096 instructions (some 1300 hosts).
///
/// `vlan`, `mpls`, `pppoes` and `geneve` move the headers for everything that follows them in the
/// text, also behind `or` and outside of their parentheses: put terms for untagged packets first.
///
/// `geneve` is version 0, on UDP port 6081, directly behind IPv4 or IPv6. The packet inside has an
/// Ethernet header, or its EtherType in the header of Geneve. One can be inside of another one.
///
/// On IPv6, `tcp`, ports and `proto` look at the next header, and behind one fragment header. They
/// do not find protocols behind other extension headers, such as the hop-by-hop header that the
/// kernel puts into segments of more than 64 KiB (BIG TCP); `protochain` does.
///
/// # Differences to libpcap
///
/// The meaning is that of libpcap 1.10, except for:
///
/// - VLAN tags that the kernel keeps aside. Here a tagged packet has one verdict wherever its tag
///   is: `tcp` does not match a tagged packet, `vlan and tcp` does. In libpcap `tcp` matches it on
///   a live socket and not in a file.
/// - An expression that no packet can match is compiled, not an error: whether one can may depend
///   on the link type.
/// - The packets of all interfaces have their own link types
///   ([`for_all_interfaces`](Self::for_all_interfaces)), so `ether host` and `broadcast` are
///   possible there. In libpcap they are Linux cooked, without these terms.
/// - Some keywords of pcap-filter(7) are refused; see the table below.
/// - `byte N & M` and `byte N | M` test the byte; libpcap forgets to load it, and tests 0.
/// - `ip broadcast` means 255.255.255.255 and 0.0.0.0, as libpcap has it without a netmask.
/// - A shift by a computed 32 or more uses the lower five bits of the number, as the kernel does;
///   libpcap's own interpreter gives 0.
/// - `protochain` runs in the kernel too: it is not a loop, and looks behind up to eight headers. A
///   protocol behind more of them is not found. The header after an authentication header is found
///   at its actual place; libpcap forgets to add the start of that header, and may then never end.
///   Behind `geneve` libpcap refuses it.
/// - A term behind `geneve` does not hold for a packet that is not Geneve; libpcap looks for its
///   headers at the first byte of the frame. Behind `mpls` and `geneve`, libpcap looks for IP as if
///   it were still behind a label.
/// - A term that reads beyond the end of a packet rejects the packet, also behind `not`. Neither
///   compiler tests a term whose outcome is known or does not matter, and they differ in which they
///   find: a packet that was cut inside its headers may have another verdict.
///
/// # The keywords of pcap-filter(7)
///
/// | keywords | |
/// |---|---|
/// | `host`, `net`, `mask`, `port`, `portrange`, `proto`, `protochain`, `src`, `dst` | supported |
/// | `ether`, `link`, and the same by `fddi`, `tr`, `wlan`, `ppp`, `slip` | supported |
/// | `ip`, `ip6`, `arp`, `rarp`, `icmp`, `icmp6`, `igmp`, `igrp`, `pim`, `vrrp`, `carp`, `ah`, `esp`, `tcp`, `udp`, `sctp` | supported |
/// | `iso`, `clnp`, `esis`, `isis`, `l1`, `l2`, `iih`, `lsp`, `snp`, `csnp`, `psnp` | supported |
/// | `atalk`, `aarp`, `decnet`, `lat`, `sca`, `moprc`, `mopdl`, `stp`, `ipx`, `netbeui` | supported |
/// | `broadcast`, `multicast`, `less`, `greater`, `len`, `length`, `byte` | supported |
/// | `llc` with `i`, `s`, `u`, `rr`, `rnr`, `rej`, `ui`, `ua`, `disc`, `dm`, `sabme`, `test`, `xid`, `frmr` | supported on Ethernet |
/// | `vlan`, `mpls`, `pppoed`, `pppoes`, `geneve` | supported |
/// | `inbound`, `outbound` | on packet sockets, and in files of Linux cooked captures |
/// | `ifindex` | on packet sockets, and in files of Linux cooked captures, version 2 |
/// | `gateway` | refused: it needs names of hosts, as in libpcap without them |
/// | names of hosts and networks, addresses of DECnet | refused: names are not looked up |
/// | `type`, `subtype`, `dir`, `addr1` to `addr4`, `ra`, `ta`, `radio` | refused: expressions are not compiled for 802.11 |
/// | `on`, `ifname`, `rnr`, `rulenum`, `reason`, `rset`, `ruleset`, `srnr`, `subrulenum`, `action` | refused: expressions are not compiled for logs of PF |
/// | `lane`, `metac`, `bcc`, `sc`, `ilmic`, `oam`, `oamf4`, `vpi`, `vci`, … | refused: expressions are not compiled for ATM |
/// | `fisu`, `lssu`, `lsu`, `msu`, `sio`, `opc`, `dpc`, `sls`, … | refused: expressions are not compiled for SS7 |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expr {
    pub(super) node: Node,
}

impl Expr {
    /// Compiles the expression for programs that see only the bytes of a frame, including VLAN
    /// tags: XDP programs, and packets of capture files.
    ///
    /// # Errors
    /// [`Error::Config`] if the link type or its bytes cannot express a term, or the program would
    /// be longer than 4096 instructions.
    pub fn for_bytes(&self, link_type: LinkType) -> Result<Program, Error> {
        self.compile(link_type, Dialect::Bytes)
    }

    /// Compiles the expression for a packet socket, where the kernel keeps the outermost VLAN tag
    /// aside. It also handles packets with the tag in the bytes.
    ///
    /// # Errors
    /// [`Error::Config`] as of [`for_bytes`](Self::for_bytes), and for a term that reads across the
    /// place of a VLAN tag, or at a computed offset from the start of the frame.
    pub fn for_live_socket(&self, link_type: LinkType) -> Result<Program, Error> {
        self.compile(link_type, Dialect::Live)
    }

    /// Compiles the expression for a packet socket that is bound to no interface, and so receives
    /// packets of several link types. The program looks at the hardware type of each packet's
    /// interface (`SKF_AD_HATYPE`), and continues with the meaning of the expression there.
    ///
    /// - A term about headers that packets of an interface do not have, such as `vlan` or `ether
    ///   host` on a tunnel, does not hold for them: most machines have a tunnel or two, and could
    ///   otherwise not use these terms at all. `not vlan` therefore holds there, and terms after
    ///   `vlan` in the text do not. On a socket of one such interface the term is refused, because
    ///   it is a mistake.
    /// - Packets of interfaces whose link type expressions are not available for, such as CAN or
    ///   802.11, are rejected: nothing is known about them, and an interface of that kind can
    ///   appear at any time. [`for_live_socket`](Self::for_live_socket) reports for a link type
    ///   whether it is one of them.
    ///
    /// # Errors
    /// [`Error::Config`] if the expression is not possible on Ethernet, as of
    /// [`for_live_socket`](Self::for_live_socket), or the program would be longer than 4096
    /// instructions.
    #[doc(alias = "SKF_AD_HATYPE")]
    pub fn for_all_interfaces(&self) -> Result<Program, Error> {
        // On Ethernet a term that is impossible is a mistake.
        self.for_live_socket(LinkType::ETHERNET)?;
        made(interfaces::program(|link_type| {
            compile::program(&self.node, link_type, Dialect::Live, Absent::False)
        }))
    }

    fn compile(&self, link_type: LinkType, dialect: Dialect) -> Result<Program, Error> {
        made(compile::program(
            &self.node,
            link_type,
            dialect,
            Absent::Refused,
        ))
    }
}

fn made(program: Result<Vec<SockFilter>, String>) -> Result<Program, Error> {
    match program {
        Ok(program) => Ok(program.into()),
        Err(why) => Err(refused(why)),
    }
}

/// The error for a filter that is not possible.
pub(super) const fn refused(why: String) -> Error {
    Error::Config {
        setting: "filter",
        why,
    }
}

impl FromStr for Expr {
    type Err = Error;

    /// Parses text.
    ///
    /// # Errors
    /// [`Error::Config`], which names the column, what was expected, and the nearest word.
    fn from_str(text: &str) -> Result<Self, Error> {
        match parse::parse(text) {
            Ok(node) => Ok(Self { node }),
            Err((at, why)) => Err(mistake(text, at, &why)),
        }
    }
}

/// The error for a place in the text, by its column from 1.
fn mistake(text: &str, at: usize, why: &str) -> Error {
    let column = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
    refused(format!("column {column}: {why}"))
}
