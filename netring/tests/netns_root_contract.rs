//! The contract between layers, of AF_XDP in the modes that veth has.

mod contract;

mod native {
    crate::contract::source_rows!(netns: crate::contract::xdp::Native);
}

mod generic {
    crate::contract::source_rows!(netns: crate::contract::xdp::Generic);
}

mod injector {
    crate::contract::sink_rows!(netns: crate::contract::xdp::Injects);
}
