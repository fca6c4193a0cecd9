//! Two hosts and a wire between them, in a network that belongs to this process.

use std::io;

use xtask::netns::{Netns, ip, veth};

use super::traffic::{CLIENT4, CLIENT6, SERVER4, SERVER6, SILENT4};

/// The client's end of the wire: what is captured.
pub(super) const WIRE: &str = "net0";
const FAR_END: &str = "net1";

/// The server's host; the client's is the namespace of the thread that made it.
pub(super) struct World {
    pub(super) server: Netns,
}

impl World {
    /// Creates the wire, up and silent: nobody has an address yet, so it carries no packet before
    /// it is captured.
    pub(super) fn new() -> io::Result<Self> {
        Netns::enter()?;
        let server = Netns::new()?;
        veth(WIRE, FAR_END)?;
        ip(&format!("link set {WIRE} down"))?;
        server.take(FAR_END)?;
        silence(WIRE)?;
        server.run(|| {
            silence(FAR_END)?;
            ip(&format!("link set {FAR_END} up"))
        })?;
        ip(&format!("link set {WIRE} up"))?;
        Ok(Self { server })
    }

    /// Assigns addresses to both hosts, which may send from here on.
    pub(super) fn wake(&self) -> io::Result<()> {
        address(WIRE, &format!("{CLIENT4}/24"), &format!("{CLIENT6}/64"))?;
        self.server
            .run(|| address(FAR_END, &format!("{SERVER4}/24"), &format!("{SERVER6}/64")))?;
        // Packets to the silent address reach the server's host, which does not own it and forwards
        // nothing.
        let server = self
            .server
            .run(|| netring::Interface::by_name(FAR_END).map_err(io::Error::other))?;
        let hardware = server
            .address
            .ok_or_else(|| io::Error::other("the wire has no address"))?;
        let hardware = hardware.map(|byte| format!("{byte:02x}")).join(":");
        ip(&format!(
            "neigh add {SILENT4} lladdr {hardware} dev {WIRE} nud permanent"
        ))
    }
}

/// No IPv6 on this interface until it gets an address: it solicits no router, and joins no group.
fn silence(interface: &str) -> io::Result<()> {
    std::fs::write(
        format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"),
        "1",
    )
}

fn address(interface: &str, v4: &str, v6: &str) -> io::Result<()> {
    std::fs::write(
        format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"),
        "0",
    )?;
    ip(&format!("addr add {v4} dev {interface}"))?;
    ip(&format!("-6 addr add {v6} dev {interface} nodad"))
}

/// Packets that the client's end of the wire counted in both directions since it was created.
pub(super) fn packets_on_wire() -> io::Result<u64> {
    let interface = netring::Interface::by_name(WIRE).map_err(io::Error::other)?;
    Ok(interface.counters.rx_packets + interface.counters.tx_packets)
}
