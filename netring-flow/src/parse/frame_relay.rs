//! Frame relay (Q.922), and what it carries by RFC 2427 or by Cisco's EtherTypes.

use super::link::{self, Step};
use super::{Layer, Part};
use crate::extract::Skip;

/// The bit that marks the last byte of an address.
const LAST: u8 = 1;
/// Unnumbered information: a protocol identifier follows.
const UI: u8 = 3;
const PAD: u8 = 0;

/// Protocol identifiers (ISO/IEC TR 9577).
const SNAP: u8 = 0x80;
const IPV6: u8 = 0x8e;
const IPV4: u8 = 0xcc;
const PPP: u8 = 0xcf;

/// Frames of 802.3 behind SNAP, with and without their check sequence.
const BRIDGED: [u16; 2] = [1, 7];

pub(super) fn frame(part: &mut Part<'_>) -> Step {
    address(part)?;
    // No EtherType starts with the byte of UI.
    if *part.data.first().ok_or(Skip::Short)? != UI {
        return ether_type(u16::from_be_bytes(*part.take()?));
    }
    let [_, mut protocol] = *part.take()?;
    if protocol == PAD {
        [protocol] = *part.take()?;
    }
    match protocol {
        IPV4 => Ok(Layer::V4),
        IPV6 => Ok(Layer::V6),
        PPP => Ok(Layer::Ppp),
        SNAP => snap(part),
        _ => Err(Skip::NotIp),
    }
}

/// Takes off an address of two to four bytes.
fn address(part: &mut Part<'_>) -> Result<(), Skip> {
    let longest = &part.data[..part.data.len().min(4)];
    match longest.iter().position(|byte| byte & LAST != 0) {
        Some(0) => Err(Skip::NotIp),
        Some(last) => {
            part.skip(last + 1);
            Ok(())
        }
        None if longest.len() < 4 => Err(Skip::Short),
        None => Err(Skip::NotIp),
    }
}

fn snap(part: &mut Part<'_>) -> Step {
    let [a, b, c, high, low] = *part.take()?;
    let number = u16::from_be_bytes([high, low]);
    match [a, b, c] {
        [0, 0, 0] => ether_type(number),
        [0, 0x80, 0xc2] if BRIDGED.contains(&number) => Ok(Layer::Ethernet),
        _ => Err(Skip::NotIp),
    }
}

/// The layer that follows; here a small number is not the length of an 802.3 frame.
fn ether_type(number: u16) -> Step {
    match number {
        ..link::SMALLEST_TYPE => Err(Skip::NotIp),
        number => link::above(number),
    }
}
