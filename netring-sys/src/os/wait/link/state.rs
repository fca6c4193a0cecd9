//! The state of an interface as the notifications describe it, independent of any socket.

use crate::os::interface::link_is_up;
use crate::os::netlink::Message;

/// The known state of the interface, and the reports made.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Its last known name.
    pub(super) name: String,
    pub(super) up: bool,
    pub(super) removed: bool,
    /// A pending report that it is down, and whether it was up before.
    pub(super) report: Option<Down>,
    pub(super) downs: u64,
    /// Notifications were lost.
    pub(super) missed: bool,
    /// Changes emit no events: another watch of the interface does.
    pub(super) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Down {
    pub(super) was_up: bool,
}

impl State {
    pub(super) fn opened(name: &str, up: bool) -> Self {
        Self {
            name: name.to_owned(),
            up,
            report: (!up).then_some(Down { was_up: false }),
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, interface: u32, message: &Message<'_>) {
        match message {
            Message::Link(link) if link.index == interface => {
                self.set_name(link.name);
                self.set_up(link_is_up(link.flags));
            }
            Message::Removed(link) if link.index == interface => {
                self.set_name(link.name);
                self.set_removed();
            }
            // The only request ever made on this socket is for this interface.
            Message::Refused {
                errno: libc::ENODEV,
            } => self.set_removed(),
            _ => {}
        }
    }

    fn set_up(&mut self, up: bool) {
        if self.up && !up {
            self.downs += 1;
            self.report = Some(Down { was_up: true });
            if !self.quiet {
                crate::__event!("link", WARN, interface = %self.name, "link down");
            }
        }
        if !self.up && up && !self.quiet {
            crate::__event!("link", INFO, interface = %self.name, "link up");
        }
        // It was down when the source was opened, and came up before that was reported.
        if up && self.report == Some(Down { was_up: false }) {
            self.report = None;
        }
        self.up = up;
    }

    fn set_removed(&mut self) {
        if !self.removed && !self.quiet {
            crate::__event!("link", WARN, interface = %self.name, "interface removed");
        }
        self.removed = true;
    }

    fn set_name(&mut self, name: &[u8]) {
        if !name.is_empty() && name != self.name.as_bytes() {
            self.name = String::from_utf8_lossy(name).into_owned();
        }
    }

    /// A packet socket gets an error each time its interface is set down, and its address has the
    /// index −1 once the interface is removed. An AF_XDP socket has no address, and gets its only
    /// error at the removal.
    // [`xsk_notifier`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1866
    // [`packet_notifier`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4299
    pub(super) fn observe_socket(&mut self, bound_to: Option<i32>, errno: i32) {
        let down = errno == libc::ENETDOWN;
        match bound_to {
            Some(-1) => self.set_removed(),
            None if down => self.set_removed(),
            None => {}
            Some(_) if down => {
                self.set_up(false);
                // Nothing announces that it comes up: the next error means that it went down again.
                self.up = true;
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::netlink::Link;

    const UP: u32 = 1 | 1 << 16;

    fn link(index: u32, flags: u32) -> Message<'static> {
        Message::Link(Link {
            index,
            flags,
            ..Link::default()
        })
    }

    const fn down(was_up: bool) -> Option<Down> {
        Some(Down { was_up })
    }

    #[test]
    fn each_way_down_is_one_report() {
        let mut state = State::opened("a", true);
        for flags in [UP, UP, 0, 0, 1, UP, 1, UP] {
            state.take(7, &link(7, flags));
            state.take(7, &link(8, 0));
        }
        assert_eq!((state.downs, state.report, state.up), (2, down(true), true));
    }

    #[test]
    fn an_interface_that_was_down_from_the_start_did_not_go_down() {
        let mut state = State::opened("a", false);
        assert_eq!((state.downs, state.report), (0, down(false)));
        state.take(7, &link(7, 1));
        assert_eq!((state.downs, state.report), (0, down(false)));
        state.take(7, &link(7, UP));
        assert_eq!((state.downs, state.report), (0, None));
        state.take(7, &link(7, 0));
        assert_eq!((state.downs, state.report), (1, down(true)));
    }

    #[test]
    fn only_our_own_interface_can_be_removed_or_renamed() {
        let removed = |index, name: &'static str| {
            Message::Removed(Link {
                index,
                name: name.as_bytes(),
                ..Link::default()
            })
        };
        let mut state = State::opened("a", true);
        state.take(7, &removed(8, "b"));
        assert_eq!((state.removed, state.name.as_str()), (false, "a"));
        state.take(7, &removed(7, "c"));
        assert_eq!((state.removed, state.name.as_str()), (true, "c"));
    }

    #[test]
    fn without_notifications_the_socket_reports_what_it_can() {
        let mut state = State::opened("a", false);
        // The error that binding to a down interface leaves on the socket.
        state.observe_socket(Some(7), libc::ENETDOWN);
        assert_eq!((state.downs, state.report), (0, down(false)));
        for downs in [1, 2] {
            state.report = None;
            state.observe_socket(Some(7), 0);
            assert_eq!(state.report, None);
            state.observe_socket(Some(7), libc::ENETDOWN);
            assert_eq!((state.downs, state.report), (downs, down(true)));
        }
        assert!(!state.removed);
        state.observe_socket(Some(-1), 0);
        assert!(state.removed);
        let mut xdp = State::opened("a", true);
        xdp.observe_socket(None, 0);
        assert!(!xdp.removed);
        xdp.observe_socket(None, libc::ENETDOWN);
        assert!(xdp.removed);
    }
}
