//! Pairs of ICMP messages: a request and its reply.

const V4: [(u8, u8); 5] = [
    // Echo, router advertisement and solicitation, timestamp, information, address mask.
    (8, 0),
    (9, 10),
    (13, 14),
    (15, 16),
    (17, 18),
];

const V6: [(u8, u8); 6] = [
    // Echo, multicast listeners, router and neighbour solicitation, node information, home agents.
    (128, 129),
    (130, 131),
    (133, 134),
    (135, 136),
    (139, 140),
    (144, 145),
];

/// The other half of the pair that an ICMP type belongs to.
pub(super) fn counterpart(icmp_type: u8) -> Option<u8> {
    other(&V4, icmp_type)
}

/// The same for ICMPv6.
pub(super) fn counterpart6(icmp_type: u8) -> Option<u8> {
    other(&V6, icmp_type)
}

fn other(pairs: &[(u8, u8)], icmp_type: u8) -> Option<u8> {
    pairs.iter().find_map(|&(a, b)| match icmp_type {
        half if half == a => Some(b),
        half if half == b => Some(a),
        _ => None,
    })
}
