//! Everything that needs a program in the kernel, and so root. One test program, because linking
//! costs more than compiling.

#[path = "../common/mod.rs"]
mod common;

mod advice;
mod capabilities;
mod capture;
mod capture_filter;
mod capture_queues;
mod dispatcher;
mod elsewhere;
mod forward_shared;
mod long_packets;
mod metadata;
mod moderation;
mod namespaces;
mod plain;
mod program;
mod program_attach;
mod program_filter;
mod program_metadata;
mod program_modes;
mod program_sockets;
mod socket;
mod socket_metadata;
mod transmit_long;
mod xskxceiver;
mod xskxceiver_jumbo;
mod xskxceiver_program;
mod xskxceiver_stats;
