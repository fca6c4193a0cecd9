//! The program that this crate generates: it redirects every packet to the socket of its queue, and
//! counts every packet.

mod code;

use netring_sys::syscall::XdpLoad;
use netring_sys::{Error, Filter, Interface, LinkType};

use super::generated::PROGRAM;
use super::load::{Loaded, Program};
use super::metadata::{Kfuncs, MetadataFields};
use super::{DefaultAction, loader};
use crate::device::Device;

const MAX_QUEUES: u32 = 65_536;

/// Settings of the generated program.
///
/// ```
/// use netring_xdp::program::{DefaultAction, Program};
///
/// let settings = Program::redirect().queues(4).default_action(DefaultAction::Drop);
/// println!("{}", settings.listing());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "settings do nothing until the program is loaded"]
pub struct Redirect {
    queues: u32,
    default_action: DefaultAction,
    multi_buffer: bool,
    filter: Option<Filter>,
    /// The target that the filter is compiled for.
    link_type: LinkType,
    /// For a process without CAP_PERFMON.
    indirect_by_call: bool,
    /// The interface whose driver is asked about packets, and for which fields.
    metadata: Option<(u32, MetadataFields)>,
}

impl Program {
    /// Settings of the generated program.
    pub fn redirect() -> Redirect {
        Redirect::default()
    }
}

impl Default for Redirect {
    fn default() -> Self {
        Self {
            queues: 64,
            default_action: DefaultAction::Pass,
            multi_buffer: false,
            filter: None,
            link_type: LinkType::ETHERNET,
            indirect_by_call: false,
            metadata: None,
        }
    }
}

impl Redirect {
    /// How many queues there is room for: at least as many as the interface has. Default: 64; at
    /// most 65,536.
    ///
    /// Each takes 8 bytes, and 32 bytes on each processor.
    pub const fn queues(mut self, queues: u32) -> Self {
        self.queues = queues;
        self
    }

    /// What happens to packets that go to no socket. Default: [`DefaultAction::Pass`], so that the
    /// host stays reachable.
    pub const fn default_action(mut self, default_action: DefaultAction) -> Self {
        self.default_action = default_action;
        self
    }

    /// Takes packets that are larger than one buffer of the driver (`xdp.frags`, kernel 5.18;
    /// AF_XDP sockets take them since 6.6). Default: no; a driver then refuses native mode on an
    /// interface whose MTU is too large for one buffer.
    #[doc(alias = "BPF_F_XDP_HAS_FRAGS")]
    pub const fn multi_buffer(mut self, multi_buffer: bool) -> Self {
        self.multi_buffer = multi_buffer;
        self
    }

    /// Which packets go to the sockets: a [`Filter`], from text (`"tcp port
    /// 443".parse::<Filter>()?`), typed parts ([`Expr`](netring_sys::filter::Expr)) or a classic
    /// BPF program. Default: all packets. It is checked when the program is loaded. Other packets
    /// go to no socket ([`default_action`](Self::default_action)), and are counted
    /// ([`Counters::passed`](super::Counters::passed), [`dropped`](super::Counters::dropped)).
    ///
    /// It is translated to eBPF, and runs before the packet goes anywhere. An expression is
    /// compiled for the [`link_type`](Self::link_type), and means the same as everywhere else. A
    /// selected packet is delivered whole.
    ///
    /// A VLAN tag counts in the bytes of a frame and, with [`metadata`](Self::metadata) and kernel
    /// 6.8, also if the card moved it out of them. Without metadata the program cannot see such a
    /// tag, and treats the packet as untagged. In that case leave tags in the bytes: `ethtool -K
    /// eth0 rxvlan off`.
    ///
    /// A program means what it means on a packet socket, except:
    ///
    /// - It sees the bytes as the driver delivers them: with their VLAN tag, unless the card moved
    ///   it out. A program on a packet socket sees them without the tag.
    /// - Its result is yes or no: XDP does not cut packets.
    /// - An indirect load (`[x + k]`) reaches the first 65535 bytes of a packet; beyond them it
    ///   returns 0, as a load outside of the packet does.
    ///
    /// Tests that an XDP program cannot make are refused when the program is loaded: a term such as
    /// `inbound`, ancillary loads (`SKF_AD_OFF`), and loads that count from a header
    /// (`SKF_NET_OFF`, `SKF_LL_OFF`). Kernel 5.18 is needed for `ld len`, for a filter of a
    /// [`multi_buffer`](Self::multi_buffer) program, and for an indirect load if the process lacks
    /// CAP_PERFMON.
    #[doc(alias = "SO_ATTACH_FILTER")]
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// The link type of the interface that the program will be attached to, for which it compiles
    /// an expression that is its [`filter`](Self::filter). Default: Ethernet. An interface of
    /// another type is refused then.
    pub const fn link_type(mut self, link_type: LinkType) -> Self {
        self.link_type = link_type;
        self
    }

    /// Writes the metadata of each packet, from the driver of `interface`, before the packet:
    /// [`Metadata`](super::Metadata) (kernel 6.3). Default: no. The program is bound to this
    /// interface, and runs in native mode only. Load it in the network namespace of the interface
    /// ([`Interface::inside`]).
    ///
    /// It is not an error if a driver lacks a field: the metadata of each packet says which are
    /// present.
    #[doc(alias = "BPF_F_XDP_DEV_BOUND_ONLY")]
    pub const fn metadata(self, interface: &Interface) -> Self {
        self.asking(interface, MetadataFields::ALL)
    }

    /// As [`metadata`](Self::metadata), for some of the fields.
    pub(crate) const fn asking(mut self, interface: &Interface, wanted: MetadataFields) -> Self {
        self.metadata = Some((interface.index, wanted));
        self
    }

    /// Checks that the running kernel can ask for all requested fields.
    pub(crate) fn check_kernel(&self) -> Result<(), Error> {
        match self.metadata {
            Some((_, wanted)) => Kfuncs::of_this_kernel(wanted)?.check(wanted),
            None => Ok(()),
        }
    }

    /// The program's instructions, one per line.
    pub fn listing(&self) -> String {
        // A kernel without the functions has no IDs for them: they are then not in the listing.
        let kfuncs = self.kfuncs().unwrap_or_default();
        let code = self.code(kfuncs);
        code.map_or_else(|error| error.to_string(), |code| code.to_string())
    }

    /// The program as an ELF object for a loader: section `xdp` or `xdp.frags`, `.maps`, `license`,
    /// and the types.
    ///
    /// libbpf, and so `ip link set … xdp object …`, loads it as well. Its maps are `netring_xsks`
    /// and `netring_counts`.
    ///
    /// # Errors
    /// [`Error::Config`] for an impossible setting. A program with metadata cannot be an object,
    /// because it contains IDs of the running kernel.
    pub fn object(&self) -> Result<Vec<u8>, Error> {
        if self.metadata.is_some() {
            return Err(Error::Config {
                setting: "metadata",
                why: "a program that asks the driver is bound to its interface, and cannot be an \
                      object"
                    .into(),
            });
        }
        let section = if self.multi_buffer {
            "xdp.frags"
        } else {
            "xdp"
        };
        self.code(Kfuncs::default())?.object(PROGRAM, section)
    }

    /// Loads the program into the kernel.
    ///
    /// # Errors
    /// [`Error::Config`] for an impossible setting, and for a filter that is invalid or cannot be
    /// translated, which names the instruction;
    /// [`Error::NotPermitted`] without CAP_BPF and CAP_NET_ADMIN, [`Error::ProgramRefused`] with
    /// the verifier's log; with metadata [`Error::Config`] or [`Error::Source`] on a kernel without
    /// these functions or without type information, and `EOPNOTSUPP` for an interface that no
    /// program can be bound to.
    pub fn load(&self) -> Result<Program, Error> {
        let loaded = self.load_as_it_is();
        // First with the faster way to load bytes; if the verifier refuses it, with the one that
        // needs no CAP_PERFMON.
        if self.filter.is_none() || !matches!(loaded, Err(Error::ProgramRefused { .. })) {
            return loaded;
        }
        let mut by_call = self.clone();
        by_call.indirect_by_call = true;
        by_call.load_as_it_is().or(loaded)
    }

    fn load_as_it_is(&self) -> Result<Program, Error> {
        let interface = self.metadata.map(|(interface, _)| interface);
        let with = XdpLoad {
            interface: interface.unwrap_or(0),
            multi_buffer: self.multi_buffer,
            ..XdpLoad::default()
        };
        let (program, maps) = loader::load(&self.code(self.kfuncs()?)?, PROGRAM, with)?;
        let device = interface.map(Device::here).transpose()?;
        let expression = |filter: &&Filter| filter.as_program().is_none();
        let link_type = self.filter.as_ref().filter(expression);
        let code = Loaded::Generated {
            program,
            device,
            link_type: link_type.map(|_| self.link_type),
        };
        Program::generated(code, maps, self.queues)
    }

    fn kfuncs(&self) -> Result<Kfuncs, Error> {
        match self.metadata {
            Some((_, wanted)) => Kfuncs::of_this_kernel(wanted),
            None => Ok(Kfuncs::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole program, and so the cost of a packet: 21 instructions run for one that goes to a
    /// socket, two of them calls.
    #[test]
    fn the_listing_is_the_program() {
        let listing = "\
            r6 = *(u32 *)(r1 +16)
            r1 = map netring_xsks
            r2 = r6
            r3 = 2
            call bpf_redirect_map#51
            r7 = r0
            r8 = 0
            if r0 == 4 goto 10
            r8 = 8
            if r6 < 64 goto 12
            r6 = 64
            *(u32 *)(r10 -4) = r6
            r2 = r10
            r2 += -4
            r1 = map netring_counts
            call bpf_map_lookup_elem#1
            if r0 == 0 goto 24
            r1 = 1
            if r8 != 0 goto 23
            lock *(u64 *)(r0 +0) += r1
            goto 24
            lock *(u64 *)(r0 +8) += r1
            r0 = r7
            exit";
        let text = Program::redirect().listing();
        let got = text
            .lines()
            .map(|line| line.split_once(": ").map_or("", |(_, text)| text));
        assert!(got.eq(listing.lines().map(str::trim)), "{text}");
    }

    #[test]
    fn settings_change_the_program_where_they_say() {
        let listing = |shape: Redirect| shape.listing();
        let default = listing(Program::redirect());
        let drops = listing(Program::redirect().default_action(DefaultAction::Drop));
        assert_eq!(drops, default.replace("r3 = 2", "r3 = 1"));
        let few = listing(Program::redirect().queues(3));
        assert_eq!(
            few,
            default
                .replace("r6 < 64", "r6 < 3")
                .replace("r6 = 64", "r6 = 3")
        );
        assert_eq!(listing(Program::redirect().multi_buffer(true)), default);
        for queues in [0, MAX_QUEUES + 1] {
            let told = listing(Program::redirect().queues(queues));
            assert!(told.contains("not between 1 and 65536"), "{told}");
        }
    }
}
