//! Blocks of pcapng: their types, and the codes of their options.

/// The word after the length of a section header, in the byte order of the section.
pub(super) const BYTE_ORDER: u32 = 0x1a2b_3c4d;

// Types of blocks.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE: u32 = 1;
/// The packet block of the first drafts.
pub(super) const OBSOLETE_PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const NAMES: u32 = 4;
pub(super) const STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;
/// An entry of a systemd journal, in its export format.
pub(super) const JOURNAL: u32 = 9;
pub(super) const SECRETS: u32 = 10;
/// A block that an organisation defines.
pub(super) const CUSTOM_BLOCK: u32 = 0x0bad;

/// Bytes of a block before its body: its type and its length.
pub(super) const BEFORE_BODY: usize = 8;

/// Bytes of a block without a body.
pub(super) const EMPTY: usize = 12;

// Codes of options that every block may have.
pub(super) const END_OF_OPTIONS: u16 = 0;
pub(super) const COMMENT: u16 = 1;
/// Custom options: text, bytes, and both again for options that are not to be copied. All begin
/// with the number of an organisation.
pub(super) const CUSTOM: [u16; 4] = [2988, 2989, 19372, 19373];
/// Those of them that are not to be copied.
pub(super) const UNCOPIED: [u16; 2] = [19372, 19373];

// Codes of options of a section.
pub(super) const SHB_HARDWARE: u16 = 2;
pub(super) const SHB_OS: u16 = 3;
pub(super) const SHB_USERAPPL: u16 = 4;

// Codes of options of an interface.
pub(super) const IF_NAME: u16 = 2;
pub(super) const IF_DESCRIPTION: u16 = 3;
pub(super) const IF_MAC_ADDRESS: u16 = 6;
pub(super) const IF_SPEED: u16 = 8;
pub(super) const IF_TSRESOL: u16 = 9;
pub(super) const IF_TZONE: u16 = 10;
pub(super) const IF_FILTER: u16 = 11;
pub(super) const IF_OS: u16 = 12;
pub(super) const IF_TSOFFSET: u16 = 14;
pub(super) const IF_HARDWARE: u16 = 15;
pub(super) const IF_TX_SPEED: u16 = 16;
pub(super) const IF_RX_SPEED: u16 = 17;

// Codes of options of a packet.
pub(super) const EPB_FLAGS: u16 = 2;
pub(super) const EPB_DROP_COUNT: u16 = 4;
pub(super) const EPB_PACKET_ID: u16 = 5;
pub(super) const EPB_QUEUE: u16 = 6;
pub(super) const EPB_VERDICT: u16 = 7;
pub(super) const EPB_PROCESS_THREAD: u16 = 8;

// Codes of options of statistics.
pub(super) const ISB_START_TIME: u16 = 2;
pub(super) const ISB_END_TIME: u16 = 3;
pub(super) const ISB_IF_RECV: u16 = 4;
pub(super) const ISB_IF_DROP: u16 = 5;
pub(super) const ISB_FILTER_ACCEPT: u16 = 6;
pub(super) const ISB_OS_DROP: u16 = 7;
pub(super) const ISB_USR_DELIV: u16 = 8;
