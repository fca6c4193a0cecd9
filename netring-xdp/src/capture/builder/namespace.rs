//! The network namespace of a capture.

use netring_sys::{Error, Interface, Namespace};

use super::CaptureBuilder;

impl CaptureBuilder {
    /// Captures in this network namespace. Default: that of the thread that calls
    /// [`build`](Self::build), whose own namespace never changes.
    ///
    /// All later operations of the capture stay in its namespace too, whichever thread reads it:
    /// its memberships, the state of the link, [`XdpCapture::link_monitor`],
    /// [`XdpCapture::into_workers`]. The namespace and its interfaces live as long as the capture,
    /// even if the name is deleted.
    ///
    /// Requires CAP_SYS_ADMIN in addition to what a capture needs, unless the thread is already in
    /// the namespace. A [program of the user's own](Self::program) that asks the driver for
    /// metadata must have been loaded in the namespace ([`Namespace::run`]).
    ///
    /// ```no_run
    /// use netring_sys::Namespace;
    /// use netring_xdp::XdpCapture;
    ///
    /// let blue = Namespace::by_name("blue")?;
    /// let capture = XdpCapture::builder().interface("eth0").namespace(blue);
    /// let capture = capture.build()?;
    /// # Ok::<(), netring_xdp::Error>(())
    /// ```
    ///
    /// [`XdpCapture::link_monitor`]: crate::XdpCapture::link_monitor
    /// [`XdpCapture::into_workers`]: crate::XdpCapture::into_workers
    #[doc(alias = "setns")]
    pub fn namespace(mut self, namespace: impl Into<Option<Namespace>>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The interface, looked up in the namespace.
    pub(in crate::capture) fn find_interface(&self) -> Result<Interface, Error> {
        match &self.namespace {
            Some(namespace) => Interface::by_name_in(namespace, &self.interface),
            None => Interface::by_name(&self.interface),
        }
    }
}
