//! A map of an eBPF program, as it is defined.

/// The definition of a map (`struct bpf_map_def`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDef {
    /// Its name: at most 15 bytes of letters, digits, `_` and `.`.
    pub name: String,
    /// Its kind.
    pub kind: MapKind,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// The most values it can hold.
    pub max_entries: u32,
}

/// The kinds of maps that an AF_XDP program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// Values by index.
    #[doc(alias = "BPF_MAP_TYPE_ARRAY")]
    Array = 2,
    /// Values by index, a separate set for each processor.
    #[doc(alias = "BPF_MAP_TYPE_PERCPU_ARRAY")]
    PerCpuArray = 6,
    /// AF_XDP sockets by index (kernel 4.18).
    #[doc(alias = "BPF_MAP_TYPE_XSKMAP")]
    XskMap = 17,
}
