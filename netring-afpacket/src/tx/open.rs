//! Opens an injector.

use std::os::fd::AsFd;

use netring_sys::kernel::packet::{TPACKET_V2, tpacket_req3};
use netring_sys::syscall::{
    set_packet_qdisc_bypass, set_packet_tx_ring, set_packet_version, set_packet_vnet_header,
};
use netring_sys::{__event, Error, Interface, Mmap, SyscallError};

use super::builder::{CopyMode, InjectorBuilder};
use super::geometry::geometry;
use super::injector::{Injector, Parts};
use super::limits::header_of;
use super::ring::Ring;
use super::stamps::Stamps;
use crate::builder::namespace::inside;
use crate::rx::RingGeometry;
use crate::socket;

impl InjectorBuilder {
    /// Opens the injector.
    ///
    /// # Errors
    /// [`Error::Config`] for an impossible setting, [`Error::NoSuchInterface`],
    /// [`Error::NotPermitted`] without CAP_NET_RAW, or the call that failed.
    pub fn build(self) -> Result<Injector, Error> {
        if self.interface.is_empty() {
            return Err(Error::Config {
                setting: "interface",
                why: "empty; name the interface to send from".into(),
            });
        }
        inside(self.namespace.as_ref(), || self.open())
    }

    /// Opens it in the namespace of the thread.
    fn open(&self) -> Result<Injector, Error> {
        let interface = match &self.namespace {
            Some(namespace) => Interface::by_name_in(namespace, &self.interface)?,
            None => Interface::by_name(&self.interface)?,
        };
        let geometry = geometry(self, &interface)?;
        let socket = socket::open()?;
        let fd = socket.as_fd();
        let is_known = header_of(interface.hardware_type).is_some();
        let copies = match self.copy_mode {
            CopyMode::Best => is_known,
            mode => mode == CopyMode::Copy,
        };
        let vnet = copies || self.offloads;
        if vnet && !is_known {
            return Err(unknown_rules(self, &interface));
        }
        set_packet_version(fd, TPACKET_V2)?;
        if vnet {
            set_packet_vnet_header(fd, true)?;
        }
        if self.qdisc_bypass {
            set_packet_qdisc_bypass(fd, true)?;
        }
        // Protocol 0: it receives nothing.
        socket::bind(fd, &interface, 0)?;
        let (geometry, map) = shrink_until_it_fits(geometry, |geometry| {
            set_packet_tx_ring(fd, &request(geometry))?;
            Mmap::shared(fd, geometry.bytes()).inspect_err(|_| {
                // If this fails, closing the socket removes it.
                let _ = set_packet_tx_ring(fd, &tpacket_req3::default());
            })
        })?;
        let stamps = match self.timestamps {
            Some(source) => Some(Stamps::open(fd, source, 2 * slots(&geometry))?),
            None => None,
        };
        let injector = Injector::new(Parts {
            ring: Ring::new(map, geometry, vnet),
            geometry,
            socket,
            interface,
            copies,
            offloads: self.offloads,
            stamps,
        });
        log_opened(&injector, self);
        Ok(injector)
    }
}

fn log_opened(injector: &Injector, builder: &InjectorBuilder) {
    __event!(
        "injector",
        INFO,
        interface = %injector.interface().name,
        index = injector.interface().index,
        ring_bytes = injector.ring().bytes(),
        ring_blocks = injector.ring().block_count,
        zero_copy = injector.is_zero_copy(),
        qdisc_bypass = builder.qdisc_bypass,
        link_up = injector.interface().is_up(),
        "injector opened"
    );
    if injector.ring().is_short() {
        __event!(
            "injector",
            WARN,
            interface = %injector.interface().name,
            ring_blocks = injector.ring().block_count,
            requested_blocks = injector.ring().requested_blocks,
            "the ring is shorter than requested"
        );
    }
}

fn unknown_rules(builder: &InjectorBuilder, interface: &Interface) -> Error {
    Error::Config {
        setting: match builder.offloads {
            true => "offloads",
            false => "copy_mode",
        },
        why: format!(
            "the kernel does not check the length of such frames, and the rules for {} (hardware type \
             {}) are not known; leave it unset",
            interface.name, interface.hardware_type
        ),
    }
}

fn slots(geometry: &RingGeometry) -> usize {
    geometry.slots().unwrap_or_default()
}

fn request(geometry: &RingGeometry) -> tpacket_req3 {
    // `geometry` made sure that all of these fit.
    tpacket_req3 {
        tp_block_size: geometry.block_size as u32,
        tp_block_nr: geometry.block_count as u32,
        tp_frame_size: geometry.slot_size.unwrap_or_default() as u32,
        tp_frame_nr: slots(geometry) as u32,
        ..tpacket_req3::default()
    }
}

/// Requests half as many blocks each time that memory for them is short.
fn shrink_until_it_fits<T>(
    mut geometry: RingGeometry,
    mut make: impl FnMut(&RingGeometry) -> Result<T, SyscallError>,
) -> Result<(RingGeometry, T), SyscallError> {
    loop {
        match make(&geometry) {
            Ok(made) => return Ok((geometry, made)),
            Err(error) if error.is_out_of_memory() && geometry.block_count > 1 => {
                geometry.block_count /= 2;
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netring_sys::errno::{EINVAL, ENOMEM};

    #[test]
    fn a_ring_that_does_not_fit_shrinks_and_reports_it() {
        let wanted = RingGeometry {
            block_size: 65_536,
            block_count: 50,
            requested_blocks: 50,
            slot_size: Some(2048),
        };
        let failed = |errno| SyscallError {
            call: "setsockopt(PACKET_TX_RING)",
            source: std::io::Error::from_raw_os_error(errno),
        };
        let mut tried = Vec::new();
        let (got, ()) = shrink_until_it_fits(wanted, |geometry| {
            tried.push(geometry.block_count);
            match geometry.block_count {
                ..=6 => Ok(()),
                _ => Err(failed(ENOMEM)),
            }
        })
        .unwrap();
        assert_eq!(tried, [50, 25, 12, 6]);
        assert!(got.is_short());
        let times = std::cell::Cell::new(0);
        let refused = shrink_until_it_fits(wanted, |_| {
            times.set(times.get() + 1);
            Err::<(), _>(failed(EINVAL))
        });
        assert!(refused.is_err());
        assert_eq!(times.get(), 1);
    }
}
