//! The network namespace of a capture.

use netring_sys::{Error, Interface, Namespace};

use super::CaptureBuilder;

impl CaptureBuilder {
    /// Captures in this network namespace. Default: that of the thread that calls
    /// [`build`](Self::build), whose own namespace never changes.
    ///
    /// All later operations of the capture stay in its namespace too, whichever thread reads it:
    /// its memberships, the state of the link, [`link_monitor`](crate::Capture::link_monitor). The
    /// namespace and its interfaces live as long as the capture, even if the name is deleted.
    ///
    /// Requires CAP_SYS_ADMIN in addition to CAP_NET_RAW, unless the thread is already in the
    /// namespace.
    ///
    /// ```no_run
    /// use netring_afpacket::Capture;
    /// use netring_sys::Namespace;
    ///
    /// let blue = Namespace::by_name("blue")?;
    /// let capture = Capture::builder().interface("eth0").namespace(blue);
    /// let capture = capture.build()?;
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    #[doc(alias = "setns")]
    pub fn namespace(mut self, namespace: impl Into<Option<Namespace>>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Which interface to bind to, looked up in the namespace. The placeholder for all has the
    /// index with which the kernel binds to all.
    pub(crate) fn find_interface(&self) -> Result<Interface, Error> {
        if self.all_interfaces {
            let mut any = Interface::any();
            any.namespace = self.namespace.clone();
            return Ok(any);
        }
        match &self.namespace {
            Some(namespace) => Interface::by_name_in(namespace, &self.interface),
            None => Interface::by_name(&self.interface),
        }
    }
}

/// Runs `work`, which opens sockets, in a namespace; `None` is that of the thread.
pub(crate) fn inside<T: Send>(
    namespace: Option<&Namespace>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    match namespace {
        None => work(),
        Some(namespace) => namespace.run(work)?.map_err(with_entering),
    }
}

/// Completes an error about a missing capability with the one that entering the namespace needs,
/// which `setcap` would otherwise remove.
fn with_entering(mut error: Error) -> Error {
    match &mut error {
        Error::NotPermitted {
            capability, grant, ..
        } if *grant == "cap_net_raw" => {
            (*capability, *grant) = ("CAP_NET_RAW and CAP_SYS_ADMIN", "cap_net_raw,cap_sys_admin");
        }
        _ => {}
    }
    error
}
