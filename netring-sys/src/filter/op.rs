//! Decoded instructions.

/// One instruction of a filter that has passed the kernel's checks. Jump targets are indices from
/// the start of the program; all of them lead forward, inside the program.
///
/// The set is complete: the kernel has added nothing to classic BPF since 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `A = packet[at]`, in network order. The offset may be one of the kernel's negative ones,
    /// relative to the network or link header (`SKF_NET_OFF`, `SKF_LL_OFF`).
    #[doc(alias = "BPF_ABS")]
    LoadAbsolute(Width, u32),
    /// `A = packet[X + offset]`, in network order; the sum wraps at 2³².
    #[doc(alias = "BPF_IND")]
    LoadIndirect(Width, u32),
    /// `X = 4 * (packet[at] & 15)`: the length of an IPv4 header.
    #[doc(alias = "BPF_MSH")]
    LoadHeaderLength(u32),
    /// `A =` metadata that the kernel has about the packet.
    #[doc(alias = "SKF_AD_OFF")]
    LoadAncillary(Ancillary),
    /// Loads the length of the packet in bytes.
    #[doc(alias = "BPF_LEN")]
    LoadLength(Register),
    /// A constant.
    #[doc(alias = "BPF_IMM")]
    LoadConstant(Register, u32),
    /// Loads a word of memory, 0 to 15, that was stored on every path that leads here.
    #[doc(alias = "BPF_MEM")]
    LoadMemory(Register, u32),
    /// Stores a register in a word of memory, 0 to 15.
    #[doc(alias = "BPF_ST")]
    #[doc(alias = "BPF_STX")]
    StoreMemory(Register, u32),
    /// `A = A alu operand`, in 32 bits.
    #[doc(alias = "BPF_ALU")]
    Compute(Arithmetic, Argument),
    /// `A = -A`
    #[doc(alias = "BPF_NEG")]
    Negate,
    /// Continues at the instruction with this index.
    #[doc(alias = "BPF_JA")]
    Jump(usize),
    /// Compares `A` with the operand, and continues at one of two instructions.
    #[doc(alias = "BPF_JMP")]
    Branch {
        /// The comparison.
        cond: Comparison,
        /// The value to compare `A` with.
        with: Argument,
        /// The index of the next instruction if the comparison holds.
        yes: usize,
        /// The index of the next instruction if it does not.
        no: usize,
    },
    /// Ends the program: how many bytes to keep, 0 to reject the packet.
    #[doc(alias = "BPF_RET")]
    Return(u32),
    /// Ends the program with `A`.
    ReturnA,
    /// `X = A`
    #[doc(alias = "BPF_TAX")]
    Tax,
    /// `A = X`
    #[doc(alias = "BPF_TXA")]
    Txa,
}

/// A register, of 32 bits; 0 when the program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// The accumulator.
    A,
    /// The index register.
    X,
}

/// A second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A constant.
    K(u32),
    /// The index register.
    X,
}

/// How many bytes a load reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// One byte.
    #[doc(alias = "BPF_B")]
    Byte,
    /// Two bytes.
    #[doc(alias = "BPF_H")]
    Half,
    /// Four bytes.
    #[doc(alias = "BPF_W")]
    Word,
}

impl Width {
    /// The width in bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// Unsigned arithmetic that wraps at 2³². A division by an `X` of 0 ends the program with 0; a
/// shift by `X` uses its lower five bits.
#[expect(missing_docs, reason = "the names are those of the instruction set")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Lsh,
    Rsh,
}

/// An unsigned comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `A == operand`
    Eq,
    /// `A > operand`
    Gt,
    /// `A >= operand`
    Ge,
    /// `A & operand != 0`
    Set,
}

/// Metadata that the kernel has about a packet, by the number that is added to `SKF_AD_OFF`.
// [`SKF_AD_PROTOCOL`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/filter.h#L66
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancillary {
    /// The EtherType, in host order.
    #[doc(alias = "SKF_AD_PROTOCOL")]
    Protocol = 0,
    /// The direction of the packet (`PACKET_HOST` …).
    #[doc(alias = "SKF_AD_PKTTYPE")]
    PacketType = 4,
    /// The index of the interface.
    #[doc(alias = "SKF_AD_IFINDEX")]
    Interface = 8,
    /// The offset of the netlink attribute of type `X`, searched from offset `A`.
    #[doc(alias = "SKF_AD_NLATTR")]
    NetlinkAttribute = 12,
    /// The same inside the attribute at offset `A`.
    #[doc(alias = "SKF_AD_NLATTR_NEST")]
    NestedAttribute = 16,
    /// The mark that the host's own rules set on the packet.
    #[doc(alias = "SKF_AD_MARK")]
    Mark = 20,
    /// The queue mapping: the receive queue plus one, 0 if there is none.
    #[doc(alias = "SKF_AD_QUEUE")]
    Queue = 24,
    /// The hardware type of the interface (`ARPHRD_*`).
    #[doc(alias = "SKF_AD_HATYPE")]
    HardwareType = 28,
    /// The hash of the flow.
    #[doc(alias = "SKF_AD_RXHASH")]
    RxHash = 32,
    /// The processor that runs the filter.
    #[doc(alias = "SKF_AD_CPU")]
    Cpu = 36,
    /// Not metadata but an operation: `A ^ X`.
    #[doc(alias = "SKF_AD_ALU_XOR_X")]
    XorX = 40,
    /// The tag control information of a VLAN tag that was removed from the bytes, 0 without one.
    #[doc(alias = "SKF_AD_VLAN_TAG")]
    VlanTag = 44,
    /// 1 if a VLAN tag was removed from the bytes.
    #[doc(alias = "SKF_AD_VLAN_TAG_PRESENT")]
    VlanTagPresent = 48,
    /// The offset of the transport payload.
    #[doc(alias = "SKF_AD_PAY_OFFSET")]
    PayloadOffset = 52,
    /// A random number.
    #[doc(alias = "SKF_AD_RANDOM")]
    Random = 56,
    /// The tag protocol identifier of a VLAN tag that was removed from the bytes.
    #[doc(alias = "SKF_AD_VLAN_TPID")]
    VlanTpid = 60,
}

impl Ancillary {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Protocol,
        Self::PacketType,
        Self::Interface,
        Self::NetlinkAttribute,
        Self::NestedAttribute,
        Self::Mark,
        Self::Queue,
        Self::HardwareType,
        Self::RxHash,
        Self::Cpu,
        Self::XorX,
        Self::VlanTag,
        Self::VlanTagPresent,
        Self::PayloadOffset,
        Self::Random,
        Self::VlanTpid,
    ];

    /// The number that is added to `SKF_AD_OFF`.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The variant with this number.
    pub(super) fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }
}
