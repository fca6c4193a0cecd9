//! The contract between layers for AF_PACKET.

mod afpacket {
    crate::contract::source_rows!(netns: crate::contract::live::AfPacket);
}

mod immediate {
    crate::contract::source_rows!(netns: crate::contract::live::Immediate);
}

mod filtered {
    use crate::contract::adapted::{Adapted, ByFilter};
    crate::contract::source_rows!(netns: Adapted<ByFilter, crate::contract::live::AfPacket>);
}

mod teed {
    use crate::contract::adapted::{Adapted, ByTee};
    crate::contract::source_rows!(netns: Adapted<ByTee, crate::contract::live::AfPacket>);
}

mod once {
    use crate::contract::adapted::{Adapted, Once};
    crate::contract::source_rows!(netns: Adapted<Once, crate::contract::live::AfPacket>);
}

mod merged {
    crate::contract::source_rows!(netns: crate::contract::live::Merged);
}

mod all_interfaces {
    crate::contract::source_rows!(netns: crate::contract::live::AllInterfaces);
}

mod channel {
    crate::contract::source_rows!(netns: crate::contract::channel::Channeled);
}

mod injector {
    crate::contract::sink_rows!(netns: crate::contract::injector::Injects<false>);
}

mod injector_without_a_copy {
    crate::contract::sink_rows!(netns: crate::contract::injector::Injects<true>);
}
