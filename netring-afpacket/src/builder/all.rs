//! A capture of all interfaces at once.

use netring_sys::filter::Program;
use netring_sys::kernel::filter::{
    BPF_JEQ_K, BPF_LD_IMM, BPF_LD_W_ABS, BPF_MAXINSNS, BPF_RET_K, SKF_AD_HATYPE, SKF_AD_OFF,
    SKF_AD_PKTTYPE, SockFilter,
};
use netring_sys::kernel::packet::{ARPHRD_LOOPBACK, PACKET_OUTGOING};
use netring_sys::{Error, Interface};

use super::CaptureBuilder;

impl CaptureBuilder {
    /// Captures from all interfaces of the network namespace of the thread that calls
    /// [`build`](Self::build), or of the given [namespace](Self::namespace), through one ring:
    /// those that exist, up or down, and those that appear later, from their first packet on.
    ///
    /// ```no_run
    /// use netring_afpacket::Capture;
    /// use netring_sys::{PacketSource, wait::InterfaceTable};
    ///
    /// let mut names = InterfaceTable::new()?;
    /// let mut capture = Capture::builder().all_interfaces().build()?;
    /// capture.for_each(|packet| {
    ///     let name = names.name(packet.interface()).unwrap_or("?");
    ///     println!("{name} {:?} {}", packet.link_type(), packet.wire_len());
    /// })?;
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// Each packet carries the [index](netring_sys::Meta::interface) and the [link
    /// type](netring_sys::Meta::link_type) of its interface, and its tag and direction as always.
    /// Differences from a capture of one interface:
    ///
    /// - An interface that goes down or is removed is not an error of the capture, and
    ///   [`Stats::link_downs`](netring_sys::Stats::link_downs) is not available.
    /// - A packet that passes several interfaces is captured on each: on a VLAN and on the
    ///   interface below it, on a bridge and on its port. Only a loopback interface, which receives
    ///   what it sends, is captured once per packet, as it is received, unless
    ///   [`ignore_outgoing`](Self::ignore_outgoing) is set to false.
    /// - Interfaces of different link types have different headers. A [`filter`](Self::filter) that
    ///   is an expression means the same on all of them
    ///   ([`Filter::for_all_interfaces`](netring_sys::Filter::for_all_interfaces) describes what it
    ///   rejects); a program sees the bytes of each packet as they are.
    /// - [`promiscuous`](Self::promiscuous) and the other memberships are refused: they apply to
    ///   one interface, and interfaces that appear later would lack them. Set them for individual
    ///   interfaces with [`Memberships`](netring_sys::Memberships), or capture from each by
    ///   [`Captures`].
    ///
    /// This setting and [`interface`](Self::interface) replace each other. No name stands for all
    /// interfaces: an interface may be called `any`.
    ///
    /// [`Captures`]: crate::Captures
    #[doc(alias = "any")]
    pub fn all_interfaces(mut self) -> Self {
        self.interface.clear();
        self.all_interfaces = true;
        self
    }

    pub(super) fn check_interface(&self) -> Result<(), Error> {
        let refuse = |setting, why: &str| {
            let why = why.into();
            Err(Error::Config { setting, why })
        };
        if self.interface.is_empty() && !self.all_interfaces {
            let why = "not set; name the interface to capture from, or set `all_interfaces`";
            return refuse("interface", why);
        }
        if let (true, Some(membership)) = (self.all_interfaces, self.memberships().first()) {
            let why = "it is of one interface, and those that appear later would not have it; keep \
                       `netring_sys::Memberships` for each that needs it, or capture from each by `Captures`";
            return refuse(membership.setting(), why);
        }
        Ok(())
    }

    /// The program to attach. For all interfaces it begins with a test that drops the copy of each
    /// packet that a loopback interface sends, because it receives the packet as well. The option
    /// of a single capture, `PACKET_IGNORE_OUTGOING`, would drop what other interfaces send too.
    pub(crate) fn program(&self, interface: &Interface) -> Result<Option<Program>, Error> {
        let own = self
            .filter
            .as_ref()
            .map(|filter| match self.all_interfaces {
                true => filter.for_all_interfaces(),
                false => filter.for_live_socket(interface.link_type()),
            });
        let own = own.transpose()?;
        if !self.all_interfaces || self.ignore_outgoing.is_some() {
            return Ok(own);
        }
        let everything = [SockFilter::stmt(BPF_RET_K, u32::MAX)];
        let own = own.as_ref().map(Program::instructions);
        let program = [&RECEIVED_BY_LOOPBACK[..], own.unwrap_or(&everything)].concat();
        if program.len() > BPF_MAXINSNS {
            return Err(Error::Config {
                setting: "filter",
                why: format!(
                    "{} instructions, with those that drop what loopback sends; the kernel takes {BPF_MAXINSNS}: shorten it, or set `ignore_outgoing`",
                    program.len()
                ),
            });
        }
        Ok(Some(program.into()))
    }
}

/// Rejects packets that a loopback interface sends, and continues with the accumulator as a program
/// finds it at its start.
const RECEIVED_BY_LOOPBACK: [SockFilter; 6] = [
    SockFilter::stmt(BPF_LD_W_ABS, SKF_AD_OFF + SKF_AD_HATYPE),
    SockFilter::jump(BPF_JEQ_K, ARPHRD_LOOPBACK as u32, 0, 3),
    SockFilter::stmt(BPF_LD_W_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
    SockFilter::jump(BPF_JEQ_K, PACKET_OUTGOING as u32, 0, 1),
    SockFilter::stmt(BPF_RET_K, 0),
    SockFilter::stmt(BPF_LD_IMM, 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn program(builder: &CaptureBuilder) -> Option<Program> {
        builder.program(&Interface::any()).unwrap()
    }

    #[test]
    fn only_a_capture_of_all_interfaces_has_a_filter_of_its_own() {
        let one = CaptureBuilder::new().interface("eth0");
        assert_eq!(program(&one), None);
        let all = one.clone().all_interfaces();
        let both = program(&all).unwrap();
        assert_eq!(
            both.to_string(),
            "l0: ld hatype\nl1: jeq #0x304, l2, l5\nl2: ld type\nl3: jeq #4, l4, l5\nl4: ret #0\n\
             l5: ld #0\nl6: ret #0xffffffff\n"
        );
        both.check().unwrap();
        let own = Program::from([SockFilter::stmt(BPF_RET_K, 7)]);
        let both = program(&all.clone().filter(&own)).unwrap();
        assert_eq!(both.instructions().len(), 7);
        assert_eq!(both.instructions()[6], own.instructions()[0]);
        // An explicit choice is the user's.
        let asked = all.filter(&own);
        for ignore in [true, false] {
            let chosen = program(&asked.clone().ignore_outgoing(ignore));
            assert_eq!(chosen.as_ref(), Some(&own));
        }
        assert!(!asked.interface("eth0").all_interfaces);
    }

    #[test]
    fn a_program_with_no_room_for_ours_is_refused_with_the_ways_out() {
        let full = vec![SockFilter::stmt(BPF_RET_K, 7); BPF_MAXINSNS - 6];
        let all = CaptureBuilder::new().all_interfaces().filter(&full);
        assert_eq!(program(&all).unwrap().instructions().len(), BPF_MAXINSNS);
        let more = [&full[..], &full[..1]].concat();
        let all = all.filter(&more);
        let refused = all.program(&Interface::any()).unwrap_err();
        assert!(
            refused.to_string().contains("4097 instructions"),
            "{refused}"
        );
        assert!(program(&all.ignore_outgoing(false)).is_some());
    }
}
