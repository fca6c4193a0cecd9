//! The contract between layers, of AF_PACKET.

mod contract;

mod afpacket {
    crate::contract::source_rows!(netns: crate::contract::live::AfPacket);
}

mod immediate {
    crate::contract::source_rows!(netns: crate::contract::live::Immediate);
}
