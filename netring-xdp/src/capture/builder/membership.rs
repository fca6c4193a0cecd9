//! Additional addresses that the interface receives for a capture.

use netring_sys::Membership;

use super::CaptureBuilder;

impl CaptureBuilder {
    /// Whether to receive packets to all multicast groups, including those that this host has not
    /// joined, for the lifetime of the capture. Default: no. [Promiscuous](Self::promiscuous) mode
    /// includes it.
    #[doc(alias = "PACKET_MR_ALLMULTI")]
    pub const fn all_multicast(mut self, all_multicast: bool) -> Self {
        self.all_multicast = all_multicast;
        self
    }

    /// Also receives packets to this multicast address of the link layer, for the lifetime of the
    /// capture; call it again for each further address. For an IPv4 group that is `01:00:5e` and
    /// the last 23 bits of the group, for an IPv6 group `33:33` and its last 32 bits.
    ///
    /// The address must be as long as those of the interface, on Ethernet 6 bytes. No report of a
    /// membership is sent (IGMP, MLD), so switches and routers that forward by such reports do not
    /// learn of it.
    ///
    /// ```no_run
    /// use netring_xdp::XdpCapture;
    ///
    /// // mDNS: 224.0.0.251 and ff02::fb.
    /// let capture = XdpCapture::builder()
    ///     .interface("eth0")
    ///     .multicast([0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb])
    ///     .multicast([0x33, 0x33, 0x00, 0x00, 0x00, 0xfb])
    ///     .build()?;
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    #[doc(alias = "PACKET_MR_MULTICAST")]
    pub fn multicast(mut self, address: impl Into<Vec<u8>>) -> Self {
        self.addresses.push(Membership::Multicast(address.into()));
        self
    }

    /// Also receives packets to this unicast address of the link layer, in addition to the
    /// interface's own, for the lifetime of the capture; call it again for each further address
    /// (kernel 2.6.36). The address must be as long as those of the interface, on Ethernet 6 bytes.
    /// An interface without room for it becomes promiscuous.
    #[doc(alias = "PACKET_MR_UNICAST")]
    pub fn unicast(mut self, address: impl Into<Vec<u8>>) -> Self {
        self.addresses.push(Membership::Unicast(address.into()));
        self
    }

    /// All memberships of the capture.
    pub(in crate::capture) fn memberships(&self) -> Vec<Membership> {
        let promiscuous = self.promiscuous.then_some(Membership::Promiscuous);
        let all_multicast = self.all_multicast.then_some(Membership::AllMulticast);
        let modes = promiscuous.into_iter().chain(all_multicast);
        modes.chain(self.addresses.iter().cloned()).collect()
    }
}
