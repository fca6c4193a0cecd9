//! Hardware timestamps, for the lifetime of a value.

use std::os::fd::{AsFd, OwnedFd};

use super::interface::is_unsupported;
use crate::errno::ERANGE;
use crate::kernel::timestamping::{HWTSTAMP_FILTER_ALL, HWTSTAMP_FILTER_NONE, hwtstamp_config};
use crate::syscall::{
    hardware_timestamping, interface_by_ioctl, interface_socket, set_hardware_timestamping,
};
use crate::{Error, Interface, SyscallError};

/// The name of the setting in errors.
const SETTING: &str = "hardware timestamps";

/// Keeps a card stamping every packet that it receives for the lifetime of this value.
///
/// This is a setting of the interface and not of a socket: it affects all programs, and the kernel
/// does not count its users. So it is changed only if the card stamps nothing, or on request, and
/// dropping the value restores the card's previous setting, unless another program changed it
/// meanwhile. A card that already stamps every packet is left alone. A process that is killed
/// leaves the setting as it is.
#[doc(alias = "SIOCSHWTSTAMP")]
#[derive(Debug)]
pub struct HardwareTimestamps {
    /// What to undo; `None` if nothing was changed.
    undo: Option<Undo<Card>>,
}

impl HardwareTimestamps {
    /// Makes the card stamp every packet that it receives (`SIOCSHWTSTAMP`). With `replace`, also
    /// if it was configured differently, for example to stamp PTP packets for a daemon, which then
    /// continue to be stamped.
    ///
    /// # Errors
    /// [`Error::Config`] if the driver or card does not support it, or if it is configured
    /// differently and `replace` is false; [`Error::NotPermitted`] without CAP_NET_ADMIN; `ENODEV`
    /// if the interface is gone.
    pub fn enable(interface: &Interface, replace: bool) -> Result<Self, Error> {
        let card = Card {
            socket: interface.inside(interface_socket)??,
            index: interface.index,
        };
        let undo = enable(card, &interface.name, replace)?;
        Ok(Self { undo })
    }

    /// Whether the setting of the card was changed and will be restored.
    pub const fn has_changed(&self) -> bool {
        self.undo.is_some()
    }
}

/// The calls about one card; tests implement them for a simulated card.
trait Calls {
    fn get(&self) -> Result<hwtstamp_config, SyscallError>;
    fn set(&self, config: hwtstamp_config) -> Result<hwtstamp_config, SyscallError>;
}

#[derive(Debug)]
struct Card {
    /// Of the network namespace of the interface, wherever the thread is later.
    socket: OwnedFd,
    index: u32,
}

impl Card {
    /// Its current name, in case it was renamed.
    fn name(&self) -> Result<String, SyscallError> {
        Ok(interface_by_ioctl(self.socket.as_fd(), self.index, "")?.name)
    }
}

impl Calls for Card {
    fn get(&self) -> Result<hwtstamp_config, SyscallError> {
        hardware_timestamping(self.socket.as_fd(), &self.name()?)
    }

    fn set(&self, config: hwtstamp_config) -> Result<hwtstamp_config, SyscallError> {
        set_hardware_timestamping(self.socket.as_fd(), &self.name()?, config)
    }
}

/// A change of a card's setting, which is undone when it is dropped.
#[derive(Debug)]
struct Undo<C: Calls> {
    card: C,
    before: hwtstamp_config,
    /// The driver's result.
    made: hwtstamp_config,
}

impl<C: Calls> Drop for Undo<C> {
    fn drop(&mut self) {
        // If another program changed it, the setting is no longer ours. A failure leaves a card
        // that stamps more than necessary.
        if self.card.get().is_ok_and(|now| now == self.made) {
            let _ = self.card.set(self.before);
        }
    }
}

fn enable<C: Calls>(card: C, name: &str, replace: bool) -> Result<Option<Undo<C>>, Error> {
    let refuse = |why: String| {
        Err(Error::Config {
            setting: SETTING,
            why,
        })
    };
    let none = || {
        refuse(format!(
            "the driver of \"{name}\" has none (EOPNOTSUPP); use the clock of the kernel, `TimestampSource::Software`"
        ))
    };
    let before = match card.get() {
        Err(error) if is_unsupported(&error) => return none(),
        other => other?,
    };
    match before.rx_filter {
        HWTSTAMP_FILTER_ALL => return Ok(None),
        HWTSTAMP_FILTER_NONE => {}
        _ if replace => {}
        other => {
            return refuse(format!(
                "\"{name}\" stamps some packets for another program, such as a PTP daemon (rx_filter {other}); request to replace that, \
                 or stop the program"
            ));
        }
    }
    let wanted = hwtstamp_config {
        rx_filter: HWTSTAMP_FILTER_ALL,
        ..before
    };
    let made = match card.set(wanted) {
        Err(error) if is_unsupported(&error) => return none(),
        Err(error) if error.is(ERANGE) => return refuse(some_only(name)),
        other => other.map_err(SyscallError::needs_net_admin)?,
    };
    let undo = Undo { card, before, made };
    if made.rx_filter != HWTSTAMP_FILTER_ALL {
        return refuse(some_only(name));
    }
    Ok(Some(undo))
}

fn some_only(name: &str) -> String {
    format!(
        "the card of \"{name}\" cannot stamp every packet, only some, such as those of PTP (`ethtool -T {name}`); use the clock of the \
         kernel, `TimestampSource::Software`"
    )
}

#[cfg(test)]
mod tests;
