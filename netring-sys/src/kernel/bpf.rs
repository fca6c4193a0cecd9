//! `linux/bpf.h`: loading programs, their maps, and test runs.
//!
//! Only the beginning of the two largest structs, as far as this workspace needs it: the kernel
//! treats the missing fields of a shorter struct as zero.
#![allow(non_camel_case_types, reason = "the names of the header")]

use std::ffi::c_long;

/// One eBPF instruction.
// [`bpf_insn`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L77
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct bpf_insn {
    /// The opcode.
    pub code: u8,
    /// The registers: destination in the low four bits, source in the high four.
    pub regs: u8,
    /// How far to jump, in instructions, or the offset of a memory access, in bytes.
    pub off: i16,
    /// The operand.
    pub imm: i32,
}

/// The context of an XDP program; as input of a test run, the origin of the packet.
// [`xdp_md`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L6460
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xdp_md {
    /// The start of the packet; in a test run, bytes of metadata before it.
    pub data: u32,
    /// The end of the packet; in a test run, bytes of metadata and packet.
    pub data_end: u32,
    /// The start of its metadata; 0 in a test run.
    pub data_meta: u32,
    /// The interface on which it arrived.
    pub ingress_ifindex: u32,
    /// The queue through which it arrived.
    pub rx_queue_index: u32,
    /// The interface on which it leaves; 0 in a test run.
    pub egress_ifindex: u32,
}

/// `bpf_attr` of `BPF_MAP_CREATE`.
// [`BPF_MAP_CREATE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1463
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct bpf_attr_map_create {
    pub(crate) map_type: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) map_flags: u32,
}

/// `bpf_attr` of `BPF_MAP_LOOKUP_ELEM` and `BPF_MAP_UPDATE_ELEM`.
// [`BPF_MAP_*_ELEM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1505
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct bpf_attr_map_elem {
    pub(crate) map_fd: u32,
    pub(crate) pad: u32,
    pub(crate) key: u64,
    pub(crate) value: u64,
    pub(crate) flags: u64,
}

/// `bpf_attr` of `BPF_PROG_LOAD`.
// [`BPF_PROG_LOAD`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1532
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct bpf_attr_prog_load {
    pub(crate) prog_type: u32,
    pub(crate) insn_cnt: u32,
    pub(crate) insns: u64,
    pub(crate) license: u64,
    pub(crate) log_level: u32,
    pub(crate) log_size: u32,
    pub(crate) log_buf: u64,
    pub(crate) kern_version: u32,
    pub(crate) prog_flags: u32,
    pub(crate) prog_name: [u8; 16],
    pub(crate) prog_ifindex: u32,
    pub(crate) expected_attach_type: u32,
}

/// `bpf_attr` of `BPF_LINK_CREATE`.
// [`BPF_LINK_CREATE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1713
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct bpf_attr_link_create {
    pub(crate) prog_fd: u32,
    pub(crate) target_ifindex: u32,
    pub(crate) attach_type: u32,
    pub(crate) flags: u32,
}

/// `bpf_attr` of `BPF_LINK_DETACH`.
// [`link_detach`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1815
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct bpf_attr_link_detach {
    pub(crate) link_fd: u32,
}

/// `bpf_attr` of `BPF_OBJ_GET_INFO_BY_FD`.
// [`BPF_OBJ_GET_INFO`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1643
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct bpf_attr_info {
    pub(crate) bpf_fd: u32,
    pub(crate) info_len: u32,
    pub(crate) info: u64,
}

/// The first words of `struct bpf_prog_info`.
// [`bpf_prog_info`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L6562
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct bpf_prog_info {
    pub(crate) kind: u32,
    pub(crate) id: u32,
}

/// `bpf_attr` of `BPF_PROG_TEST_RUN`.
// [`BPF_PROG_TEST_RUN`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1607
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct bpf_attr_test_run {
    pub(crate) prog_fd: u32,
    pub(crate) retval: u32,
    pub(crate) data_size_in: u32,
    pub(crate) data_size_out: u32,
    pub(crate) data_in: u64,
    pub(crate) data_out: u64,
    pub(crate) repeat: u32,
    pub(crate) duration: u32,
    pub(crate) ctx_size_in: u32,
    pub(crate) ctx_size_out: u32,
    pub(crate) ctx_in: u64,
    pub(crate) ctx_out: u64,
    pub(crate) flags: u32,
    pub(crate) cpu: u32,
    pub(crate) batch_size: u32,
    pub(crate) pad: u32,
}

// [`BPF_MAP_CREATE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L923
pub(crate) const BPF_MAP_CREATE: c_long = 0;
pub(crate) const BPF_MAP_LOOKUP_ELEM: c_long = 1;
pub(crate) const BPF_MAP_UPDATE_ELEM: c_long = 2;
pub(crate) const BPF_PROG_LOAD: c_long = 5;
pub(crate) const BPF_PROG_TEST_RUN: c_long = 10;
pub(crate) const BPF_OBJ_GET_INFO_BY_FD: c_long = 15;
pub(crate) const BPF_LINK_CREATE: c_long = 28;
pub(crate) const BPF_LINK_DETACH: c_long = 34;

/// The attach type of XDP programs on interfaces.
// [`BPF_XDP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1099
pub(crate) const BPF_XDP: u32 = 37;
/// The program takes packets in several buffers (kernel 5.18).
// [`BPF_F_XDP_HAS_FRAGS`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1265
pub(crate) const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
/// The program is bound to one interface and may query its driver about packets (kernel 6.3).
// [`BPF_F_XDP_DEV_BOUND_ONLY`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1270
pub(crate) const BPF_F_XDP_DEV_BOUND_ONLY: u32 = 1 << 6;

/// An array map: keys are 32-bit indices.
// [`BPF_MAP_TYPE_ARRAY`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L967
pub const BPF_MAP_TYPE_ARRAY: u32 = 2;
/// A socket filter: runs for each packet that a socket receives, and returns how many bytes to
/// keep.
pub const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
/// An XDP program: runs for each packet in the driver, or right after it.
// [`BPF_PROG_TYPE_XDP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1031
pub const BPF_PROG_TYPE_XDP: u32 = 6;

/// Execute the program's verdict on the frames of a test run, as if they had arrived on
/// `ingress_ifindex`.
// [`BPF_F_TEST_XDP_LIVE_FRAMES`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1431
pub const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 2;

/// In the source register of a 64-bit load: the operand is a map's file descriptor.
// [`BPF_PSEUDO_MAP_FD`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1305
pub const BPF_PSEUDO_MAP_FD: u8 = 1;
/// In the source register of a 64-bit load: the operand is a map's descriptor, and the address of
/// its first value is loaded.
// [`BPF_PSEUDO_MAP_VALUE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1316
pub const BPF_PSEUDO_MAP_VALUE: u8 = 2;

/// Drop the packet because the program failed, and fire a tracepoint.
// [`XDP_ABORTED`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L6450
pub const XDP_ABORTED: u32 = 0;
/// Drop the packet.
pub const XDP_DROP: u32 = 1;
/// Pass the packet to the network stack.
pub const XDP_PASS: u32 = 2;
/// Send the packet back through the interface on which it arrived.
pub const XDP_TX: u32 = 3;
/// Send the packet to the target of the redirect helper.
pub const XDP_REDIRECT: u32 = 4;
