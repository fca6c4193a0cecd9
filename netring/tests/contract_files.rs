//! The contract between layers for capture files and for a simulated sink, which need no network.

mod contract;

mod piped {
    crate::contract::source_rows!(: crate::contract::files::Piped);
}

/// Nothing follows the end of a file, so the rows with a silence do not apply.
mod plain {
    crate::contract::rows!(
        source,
        crate::contract::files::Plain,
        [
            alloc_gives_distinct_frames_in_region,
            capabilities_are_self_consistent,
            close_twice,
            frames_are_conserved,
            methods_after_close_are_safe,
            receive_stats_count_batches,
        ]
    );
}

mod filtered {
    use crate::contract::adapted::{Adapted, ByFilter};
    crate::contract::source_rows!(: Adapted<ByFilter, crate::contract::files::Piped>);
}

mod limited {
    use crate::contract::adapted::{Adapted, ByLimit};
    crate::contract::source_rows!(: Adapted<ByLimit, crate::contract::files::Piped>);
}

mod teed {
    use crate::contract::adapted::{Adapted, ByTee};
    crate::contract::source_rows!(: Adapted<ByTee, crate::contract::files::Piped>);
}

mod once {
    use crate::contract::adapted::{Adapted, Once};
    crate::contract::source_rows!(: Adapted<Once, crate::contract::files::Piped>);
}

/// Adapters around adapters.
mod stacked {
    use crate::contract::adapted::{Adapted, ByFilter, ByLimit, ByTee};
    type Inner = Adapted<ByLimit, Adapted<ByFilter, crate::contract::files::Piped>>;
    crate::contract::source_rows!(: Adapted<ByTee, Inner>);
}

mod played {
    crate::contract::sink_rows!(: crate::contract::played::Played);
}

#[cfg(all(feature = "compression", feature = "rotation"))]
mod written {
    use crate::contract::writer_rows;
    use crate::contract::written::{Form, GZIP, PCAP, PCAPNG, Rotated, Sunk, Teed};

    mod pcap {
        super::writer_rows!(limited: super::Form<{ super::PCAP }>);
    }

    mod pcapng {
        super::writer_rows!(limited: super::Form<{ super::PCAPNG }>);
    }

    mod gzip {
        super::writer_rows!(limited: super::Form<{ super::GZIP }>);
    }

    mod teed {
        super::writer_rows!(limited: super::Teed<super::Form<{ super::PCAPNG }>>);
    }

    mod sink {
        super::writer_rows!(limited: super::Sunk);
    }

    /// A disk of its own is in `netns/files.rs`.
    mod rotated {
        super::writer_rows!(: super::Rotated);
    }

    mod rotated_under_a_tee {
        super::writer_rows!(: super::Teed<super::Rotated>);
    }
}
