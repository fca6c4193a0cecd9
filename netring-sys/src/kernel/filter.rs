//! `linux/filter.h`: classic BPF, the language of socket filters.

/// One instruction of classic BPF.
// [`sock_filter`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/filter.h#L24
#[doc(alias = "sock_filter")]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SockFilter {
    /// The opcode.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jt: u8,
    /// How many instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

impl SockFilter {
    /// An instruction that does not jump.
    pub const fn stmt(code: u16, k: u32) -> Self {
        Self {
            code,
            jt: 0,
            jf: 0,
            k,
        }
    }

    /// An instruction that compares and jumps.
    pub const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code, jt, jf, k }
    }
}

/// The maximum number of instructions in one program.
// [`BPF_MAXINSNS`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf_common.h#L54
pub const BPF_MAXINSNS: usize = 4096;
/// Words of scratch memory, each of 4 bytes, that a program has.
// [`BPF_MEMWORDS`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/filter.h#L58
pub const BPF_MEMWORDS: u32 = 16;

/// Absolute loads from this offset up read metadata that the kernel has about the packet, not its
/// bytes.
// [`SKF_AD_OFF`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/filter.h#L65
pub const SKF_AD_OFF: u32 = -0x1000_i32 as u32;
/// Added to [`SKF_AD_OFF`]: the type of the packet (`PACKET_OUTGOING` …).
// [`SKF_AD_PKTTYPE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/filter.h#L67
pub const SKF_AD_PKTTYPE: u32 = 4;
/// Added to [`SKF_AD_OFF`]: the hardware type of the packet's interface (`ARPHRD_*`).
// [`SKF_AD_HATYPE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/filter.h#L73
pub const SKF_AD_HATYPE: u32 = 28;
/// Loads from this offset up to [`SKF_AD_OFF`] are relative to the network header.
pub const SKF_NET_OFF: u32 = -0x0010_0000_i32 as u32;
/// Loads from this offset up to [`SKF_NET_OFF`] are relative to the link header.
pub const SKF_LL_OFF: u32 = -0x0020_0000_i32 as u32;

/// Return a constant: how many bytes of the packet to keep, 0 to reject it.
// [`BPF_RET`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf_common.h#L13
pub const BPF_RET_K: u16 = 0x06;
/// Return the accumulator: how many bytes of the packet to keep.
pub const BPF_RET_A: u16 = 0x16;
/// Load a constant.
pub const BPF_LD_IMM: u16 = 0x00;
/// Load the word at an absolute offset.
pub const BPF_LD_W_ABS: u16 = 0x20;
/// Load the half word at an absolute offset.
pub const BPF_LD_H_ABS: u16 = 0x28;
/// Load the byte at an absolute offset.
pub const BPF_LD_B_ABS: u16 = 0x30;
/// Load the length of the packet.
pub const BPF_LD_W_LEN: u16 = 0x80;
/// Jump if equal to a constant.
pub const BPF_JEQ_K: u16 = 0x15;
