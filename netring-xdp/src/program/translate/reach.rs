//! Refuses tests that a packet socket supports and an XDP program does not: a filter means what it
//! says, or is an error.

use netring_sys::Error;
use netring_sys::filter::{Ancillary, Op, Program, Width};
use netring_sys::kernel::filter::{SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF};

/// How far an XDP program reaches into a packet, in bytes.
pub(super) const REACH: u32 = 0xffff;

/// The instructions of a filter, all of which an XDP program can do; `knows_tags` if it can load
/// the VLAN tag beside the bytes.
pub(super) fn read(filter: &Program, knows_tags: bool) -> Result<Vec<Op>, Error> {
    let ops = filter.decode()?;
    for (at, op) in ops.iter().enumerate() {
        possible(*op, knows_tags).map_err(|why| filter.refuse(at, &why))?;
    }
    Ok(ops)
}

fn possible(op: Op, knows_tags: bool) -> Result<(), String> {
    match op {
        Op::LoadAncillary(Ancillary::VlanTag | Ancillary::VlanTagPresent | Ancillary::VlanTpid)
            if knows_tags =>
        {
            Ok(())
        }
        Op::LoadAbsolute(width, k) => in_reach(k, width),
        Op::LoadHeaderLength(k) => in_reach(k, Width::Byte),
        Op::LoadIndirect(_, k) => in_the_packet(k),
        Op::LoadAncillary(fact) => Err(unknown(fact.number())),
        _ => Ok(()),
    }
}

fn unknown(number: u32) -> String {
    format!(
        "it loads what the kernel knows about a packet (SKF_AD_OFF + {number}), which an XDP \
         program does not have; a packet socket does"
    )
}

/// The kernel's negative offsets do not count from the start of the packet.
fn in_the_packet(k: u32) -> Result<(), String> {
    let (header, from) = match k {
        SKF_NET_OFF..SKF_AD_OFF => ("counts from the network header (SKF_NET_OFF", SKF_NET_OFF),
        SKF_LL_OFF..SKF_NET_OFF => ("counts from the link header (SKF_LL_OFF", SKF_LL_OFF),
        _ => return Ok(()),
    };
    Err(format!(
        "it {header} + {}), which an XDP program does not know; a packet socket does",
        k - from
    ))
}

/// A constant offset, at which all bytes of this width are in reach.
fn in_reach(k: u32, width: Width) -> Result<(), String> {
    if k >= SKF_AD_OFF {
        return Err(unknown(k - SKF_AD_OFF));
    }
    in_the_packet(k)?;
    if k > REACH - width.bytes() {
        return Err(format!(
            "an XDP program reaches the first {REACH} bytes of a packet; a packet socket does all"
        ));
    }
    Ok(())
}
