//! The functions of the kernel that a program may call, by number and by name.

/// Functions of the kernel. Kernel 5.3 has all of them, except where a newer one is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Helper {
    /// `(map, key pointer) → value pointer or 0`.
    #[doc(alias = "bpf_map_lookup_elem")]
    MapLookup = 1,
    /// `() → nanoseconds since boot`, without the time in suspend.
    #[doc(alias = "bpf_ktime_get_ns")]
    KtimeGetNs = 5,
    /// `() → random number of 32 bits`.
    #[doc(alias = "bpf_get_prandom_u32")]
    GetPrandomU32 = 7,
    /// `(map, key, flags) → XDP_REDIRECT`, or the low two bits of `flags` if the map has nothing at
    /// `key`.
    #[doc(alias = "bpf_redirect_map")]
    RedirectMap = 51,
    /// `(context, distance) → 0`: moves the start of the metadata in front of the packet.
    #[doc(alias = "bpf_xdp_adjust_meta")]
    AdjustMeta = 54,
    /// `(context, distance) → 0`: moves the end of the packet; added bytes are zero.
    #[doc(alias = "bpf_xdp_adjust_tail")]
    AdjustTail = 65,
    /// `(context) → length of the packet`, over all of its buffers (kernel 5.18).
    #[doc(alias = "bpf_xdp_get_buff_len")]
    XdpGetBuffLen = 188,
    /// `(context, offset, to, length) → 0`: copies bytes of the packet from any of its
    /// buffers (kernel 5.18).
    #[doc(alias = "bpf_xdp_load_bytes")]
    XdpLoadBytes = 189,
}

impl Helper {
    pub(super) const fn name(number: i32) -> Option<&'static str> {
        match number {
            1 => Some("bpf_map_lookup_elem"),
            5 => Some("bpf_ktime_get_ns"),
            7 => Some("bpf_get_prandom_u32"),
            51 => Some("bpf_redirect_map"),
            54 => Some("bpf_xdp_adjust_meta"),
            65 => Some("bpf_xdp_adjust_tail"),
            188 => Some("bpf_xdp_get_buff_len"),
            189 => Some("bpf_xdp_load_bytes"),
            _ => None,
        }
    }
}
