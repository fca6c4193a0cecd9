//! `linux/filter.h`: classic BPF, the language of socket filters.

/// One instruction of classic BPF.
#[doc(alias = "sock_filter")]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SockFilter {
    /// The operation.
    pub code: u16,
    /// How many instructions to skip where a comparison holds.
    pub jt: u8,
    /// How many instructions to skip where it does not.
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

/// The most instructions that the kernel takes in one program.
pub const BPF_MAXINSNS: usize = 4096;

/// Return a constant: how many bytes of the packet to keep, 0 to reject it.
pub const BPF_RET_K: u16 = 0x06;
/// Return the accumulator, likewise.
pub const BPF_RET_A: u16 = 0x16;
/// Load the half word at an absolute offset.
pub const BPF_LD_H_ABS: u16 = 0x28;
/// Load the byte at an absolute offset.
pub const BPF_LD_B_ABS: u16 = 0x30;
/// Load the length of the packet.
pub const BPF_LD_W_LEN: u16 = 0x80;
/// Jump if equal to a constant.
pub const BPF_JEQ_K: u16 = 0x15;
