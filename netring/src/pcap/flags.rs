//! The flags of a packet in pcapng.

use crate::Direction;

const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
const DIRECTION: u32 = 3;

// How a packet was received.
const RECEPTION_AT: u32 = 2;
const RECEPTION: u32 = 7;
const UNICAST: u32 = 1;
const MULTICAST: u32 = 2;
const BROADCAST: u32 = 3;
const PROMISCUOUS: u32 = 4;

/// The bits that state a direction.
pub(super) const STATED: u8 = (DIRECTION | RECEPTION << RECEPTION_AT) as u8;

/// The flags for a direction.
pub(super) const fn of(direction: Direction) -> u32 {
    match direction {
        Direction::Outgoing => OUTBOUND,
        Direction::Host => INBOUND | UNICAST << RECEPTION_AT,
        Direction::Multicast => INBOUND | MULTICAST << RECEPTION_AT,
        Direction::Broadcast => INBOUND | BROADCAST << RECEPTION_AT,
        Direction::OtherHost => INBOUND | PROMISCUOUS << RECEPTION_AT,
        _ => 0,
    }
}

/// The direction that flags state; an inbound packet that does not say how it was received was
/// for the host.
pub(super) const fn direction(flags: u32) -> Option<Direction> {
    match (flags & DIRECTION, flags >> RECEPTION_AT & RECEPTION) {
        (OUTBOUND, _) => Some(Direction::Outgoing),
        (INBOUND, MULTICAST) => Some(Direction::Multicast),
        (INBOUND, BROADCAST) => Some(Direction::Broadcast),
        (INBOUND, PROMISCUOUS) => Some(Direction::OtherHost),
        (INBOUND, _) => Some(Direction::Host),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_is_read_as_it_was_written() {
        use Direction::{Broadcast, Host, Multicast, OtherHost, Outgoing};
        for way in [Broadcast, Host, Multicast, OtherHost, Outgoing] {
            assert_eq!(direction(of(way)), Some(way));
        }
        assert_eq!(direction(0b1_1100), None);
        assert_eq!(direction(3), None);
        assert_eq!(direction(1), Some(Host));
    }
}
