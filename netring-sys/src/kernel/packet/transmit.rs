//! Transmit rings: the status of a slot, and the words of a transmit timestamp.

/// The slot is free: its frame was sent, or there was none.
// [`TP_STATUS_AVAILABLE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L122
pub const TP_STATUS_AVAILABLE: u32 = 0;
/// The slot has a frame to send.
pub const TP_STATUS_SEND_REQUEST: u32 = 1;
/// The frame is on its way, and the kernel reads the slot.
pub const TP_STATUS_SENDING: u32 = 1 << 1;
/// The kernel refused the frame, and stays at its slot.
pub const TP_STATUS_WRONG_FORMAT: u32 = 1 << 2;

/// The card stamps frames as they leave.
// [`SOF_TIMESTAMPING_TX_HARDWARE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/net_tstamp.h#L18
pub const SOF_TIMESTAMPING_TX_HARDWARE: u32 = 1;
/// The driver stamps frames as it hands them to the card.
pub const SOF_TIMESTAMPING_TX_SOFTWARE: u32 = 1 << 1;
/// Timestamps carry the number of their frame, counted from 0.
pub const SOF_TIMESTAMPING_OPT_ID: u32 = 1 << 7;
/// Timestamps come without a copy of the frame.
pub const SOF_TIMESTAMPING_OPT_TSONLY: u32 = 1 << 11;
