//! Fields that few TCP headers need: the options of a SYN, and the urgent pointer. They are read
//! separately, so that other packets carry no field for them.

use netring_sys::Packet;

use super::{Rules, be16, header, layers, link, transport, v6_chain};
use crate::extract::WindowScale;

/// The window scale that a packet with a SYN offers.
#[cold]
pub(crate) fn window_scale(packet: &Packet<'_>, rules: Rules) -> WindowScale {
    options(packet, rules).map_or(WindowScale::UNKNOWN, find)
}

/// The urgent pointer of a TCP segment; 0 if it was not captured.
#[cold]
pub(crate) fn urgent_pointer(packet: &Packet<'_>, rules: Rules) -> u16 {
    let pointer = tcp(packet, rules).and_then(|body| be16(body, 18));
    pointer.unwrap_or(0)
}

/// The bytes between the TCP header and the data, if all were captured.
fn options<'a>(packet: &Packet<'a>, rules: Rules) -> Option<&'a [u8]> {
    let body = tcp(packet, rules)?;
    let len = usize::from(body.get(12)? >> 4) * 4;
    body.get(20..len)
}

/// The captured TCP header and what follows it.
fn tcp<'a>(packet: &Packet<'a>, rules: Rules) -> Option<&'a [u8]> {
    let part = match link::untagged(packet) {
        _ if !rules.tunnels.is_none() => {
            let most = rules.tunnels.depth();
            let reached = layers::innermost(packet, &rules.tunnels, most, |_| ());
            reached.ok()?.part
        }
        // Nearly every packet.
        Some((link::IPV4 | link::IPV6, part)) => part,
        _ => layers::walk(packet, |_, part, _| Ok(part)).ok()?,
    };
    let data = part.data;
    let (protocol, body) = match data.first()? >> 4 {
        4 => {
            let len = usize::from(data[0] & 0xf) * 4;
            (*data.get(9)?, data.get(len..)?)
        }
        6 => {
            let chain = v6_chain::follow(*data.get(6)?, part.behind(header::FIXED_V6)).ok()?;
            (chain.protocol, chain.body.data)
        }
        _ => return None,
    };
    (protocol == transport::TCP).then_some(body)
}

fn find(mut options: &[u8]) -> WindowScale {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const SCALE: u8 = 3;
    loop {
        options = match *options {
            [NOTHING, ref rest @ ..] => rest,
            [SCALE, 3, bits, ..] => return WindowScale::shift(bits),
            [kind, len, ..] if kind != END && len >= 2 && options.len() >= usize::from(len) => {
                &options[usize::from(len)..]
            }
            // The end, or an invalid option.
            _ => return WindowScale::ABSENT,
        };
    }
}

#[cfg(test)]
mod tests {
    use netring_sys::{Clock, LinkType, Timestamp};

    use crate::extract::Tunnels;

    use super::*;

    const RULES: Rules = Rules {
        vlan: false,
        tunnel: false,
        quoted: true,
        whole: false,
        tunnels: Tunnels::none(),
    };

    #[test]
    fn the_scale_is_found_between_other_options_and_in_none_that_is_broken() {
        let cases: [(&[u8], WindowScale); 10] = [
            (&[], WindowScale::ABSENT),
            (&[3, 3, 7], WindowScale::shift(7)),
            (&[2, 4, 5, 180, 1, 3, 3, 0], WindowScale::shift(0)),
            (
                &[
                    2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 14,
                ],
                WindowScale::shift(14),
            ),
            (&[3, 3, 200], WindowScale::shift(14)),
            // Past the end, without a length, and longer than what remains.
            (&[0, 3, 3, 7], WindowScale::ABSENT),
            (&[2, 0, 3, 3, 7], WindowScale::ABSENT),
            (&[2, 9, 3, 3, 7], WindowScale::ABSENT),
            (&[3, 3], WindowScale::ABSENT),
            (&[3], WindowScale::ABSENT),
        ];
        for (options, scale) in cases {
            assert_eq!(find(options), scale, "{options:?}");
        }
    }

    #[test]
    fn options_are_found_behind_ipv4_and_ipv6_and_not_where_they_are_cut() {
        for v6 in [false, true] {
            let mut frame = Vec::new();
            let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]);
            let builder = if v6 {
                builder.ipv6([1; 16], [2; 16], 64)
            } else {
                builder.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            };
            builder
                .tcp(1, 2, 3, 4)
                .syn()
                .options(&[etherparse::TcpOptionElement::WindowScale(9)])
                .unwrap()
                .write(&mut frame, b"data")
                .unwrap();
            let time = Timestamp::from_nanos(0, Clock::Unknown);
            let of = |data| window_scale(&Packet::new(data, time, LinkType::ETHERNET), RULES);
            assert_eq!(of(&frame), WindowScale::shift(9));
            // Four bytes of data, preceded by four bytes of options.
            assert_eq!(of(&frame[..frame.len() - 5]), WindowScale::UNKNOWN);
        }
    }
}
