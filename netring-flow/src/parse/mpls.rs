//! The top label of a frame. It is in no flow's key, because labels differ by direction and by hop.

use netring_sys::Packet;

use super::layers::{self, MAX_LAYERS};
use super::{Layer, Part};

/// The first three bytes of the entry on top of a frame's label stack, outside of all tunnels;
/// `None` if IP is not behind labels.
pub(crate) fn top_label(packet: &Packet<'_>) -> Option<u32> {
    let mut part = Part::all(packet);
    let mut layer = layers::outermost(packet.link_type()).ok()?;
    for _ in 0..MAX_LAYERS {
        layer = match layer {
            Layer::Mpls => return Some(u32::from_be_bytes(*part.data.first_chunk()?) >> 8),
            Layer::V4 | Layer::V6 | Layer::Ip | Layer::Pseudowire => return None,
            layer => layers::next(layer, &mut part).ok()?,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use netring_sys::{LinkType, Timestamp};

    use super::*;

    fn of(bytes: &[u8], link: LinkType) -> Option<u32> {
        top_label(&Packet::new(bytes, Timestamp::default(), link))
    }

    #[test]
    fn the_top_label_is_found_behind_tags_and_nowhere_else() {
        let mut frame = vec![2; 12];
        frame.extend([0x81, 0, 0, 7, 0x88, 0x47, 0, 1, 0x04, 64, 0, 2, 1, 64, 0x45]);
        assert_eq!(of(&frame, LinkType::ETHERNET), Some(0x104));
        assert_eq!(of(&frame[..21], LinkType::ETHERNET), None);
        frame[16..18].copy_from_slice(&[8, 0]);
        assert_eq!(of(&frame, LinkType::ETHERNET), None);
        assert_eq!(of(&[2, 0x81, 0, 1, 1, 64], LinkType::PPP), Some(0x101));
        assert_eq!(of(&[0x45; 40], LinkType::RAW_IP), None);
        // Tags without an end.
        let tags = [0x81, 0, 0x81, 0].repeat(200);
        assert_eq!(of(&tags, LinkType::ETHERNET), None);
    }
}
