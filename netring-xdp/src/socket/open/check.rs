//! Configurations that are refused, by themselves or because of other sockets over the same memory.

use netring_sys::{Error, Interface};

use crate::memory::umem::{Peer, Shared};
use crate::options::CopyMode;
use crate::socket::config::SocketConfig;

/// Checks that do not depend on other sockets.
pub(super) fn config(
    shared: &Shared,
    config: &SocketConfig,
    interface: &Interface,
) -> Result<(), Error> {
    let refuse = |setting, why| Err(Error::Config { setting, why });
    let queues = interface.rx_queues.max(interface.tx_queues);
    if config.queue >= queues {
        return refuse(
            "queue",
            format!(
                "{} does not exist: {} has {queues}, numbered from 0",
                config.queue, interface.name
            ),
        );
    }
    if config.rx.is_none() && config.tx.is_none() {
        return refuse(
            "ring",
            "a socket needs a receive ring, a transmit ring, or both".into(),
        );
    }
    if config.rx.is_some() && config.receive_chunks() == 0 {
        return refuse(
            "receive_chunks",
            "at least one chunk is needed to receive".into(),
        );
    }
    if config.options.copy_mode == CopyMode::ZeroCopy
        && shared.geometry().is_unaligned()
        && !shared.is_huge()
    {
        return refuse(
            "unaligned",
            "in zero-copy mode a chunk that crosses a page boundary needs huge pages \
             (`HugePages::Require`)"
                .into(),
        );
    }
    Ok(())
}

/// Sockets of one queue share a fill ring, and its owner must clear the mark of the metadata.
pub(super) fn metadata(config: &SocketConfig, same_queue: Option<&Peer>) -> Result<(), Error> {
    if config.options.metadata && same_queue.is_some_and(|peer| !peer.metadata) {
        return Err(Error::Config {
            setting: "metadata",
            why: "the first socket of a queue owns its fill ring and was opened without metadata; \
                  enable it there too"
                .into(),
        });
    }
    Ok(())
}

/// All sockets over one memory agree whether packets may span several chunks: a socket that does
/// not expect it would take each chunk for a packet, and one that relies on it would be sent none.
pub(super) fn multi_buffer(config: &SocketConfig, decided: Option<bool>) -> Result<(), Error> {
    let why = match (decided, config.options.multi_buffer) {
        (Some(true), false) if config.rx.is_some() => "with it: enable it for this socket too",
        (Some(false), true) => "without it: enable it for all of them, or for none",
        _ => return Ok(()),
    };
    Err(Error::Config {
        setting: "multi_buffer",
        why: format!("the first socket over a UMEM decides for all, and was opened {why}"),
    })
}

/// All sockets over one memory agree whether packets are copied.
pub(super) fn copy_mode(config: &SocketConfig, zero_copy: bool) -> Result<(), Error> {
    let why = match (config.options.copy_mode, zero_copy) {
        (CopyMode::ZeroCopy, false) => "copies its packets",
        (CopyMode::Copy, true) => "is in zero-copy mode",
        _ => return Ok(()),
    };
    Err(Error::Config {
        setting: "copy_mode",
        why: format!(
            "the first socket over a UMEM decides for all, and {why}: use `CopyMode::Best` here, \
             or a separate UMEM"
        ),
    })
}
