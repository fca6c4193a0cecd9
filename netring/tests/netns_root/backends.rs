//! The contract between layers for AF_XDP in the modes that veth supports, and for automatic
//! backend selection.

mod native {
    crate::contract::source_rows!(netns: crate::contract::xdp::Native);
}

mod generic {
    crate::contract::source_rows!(netns: crate::contract::xdp::Generic);
}

mod auto {
    crate::contract::source_rows!(netns: crate::contract::xdp::Auto);
}

mod auto_afpacket {
    crate::contract::source_rows!(netns: crate::contract::xdp::AutoAfPacket);
}

mod injector {
    crate::contract::sink_rows!(netns: crate::contract::xdp::Injects<false>);
}

mod injector_of_long_frames {
    crate::contract::sink_rows!(netns: crate::contract::xdp::Injects<true>);
}
