//! IPv4 with options, IPv6 with extension headers.

use super::transport::{Body, Said};
use super::v6_chain::{self, Broken};
use super::{Part, Rules, header, icmp, transport};
use crate::extract::{Extracted, FiveTupleKey, Skip};

pub(super) const ICMP: u8 = 1;
pub(super) const ICMP6: u8 = 58;

#[inline]
pub(super) fn v4(part: Part<'_>, rules: Rules) -> Result<Extracted<FiveTupleKey>, Skip> {
    let header = header::v4(part.data)?;
    // Nearly every packet: a whole one, or one that was cut behind its transport header.
    if header.total_len <= part.wire
        && header.fragment_offset == 0
        && let end = header.total_len.min(part.data.len())
        && let Some(body) = part.data.get(header.len..end)
        && let Some(plain) = transport::plain(header.protocol, body, header.total_len - header.len)
    {
        let source = (header.source, plain.ports.0);
        let target = (header.target, plain.ports.1);
        let (key, orientation) = FiveTupleKey::v4(header.protocol, source, target, rules.tags);
        return Ok(plain.of(key, orientation));
    }
    any_v4(part.data, part.wire, rules)
}

/// Reads the header once more: handed over, it would have to be in memory for each packet. So would
/// a [`Part`], which is why it comes in pieces.
#[inline(never)]
fn any_v4(data: &[u8], wire: usize, rules: Rules) -> Result<Extracted<FiveTupleKey>, Skip> {
    let part = Part { data, wire };
    let header = header::v4(part.data)?;
    let mut total_len = header.total_len;
    let mut large = false;
    if total_len < header.len {
        // 0 stands for more than the field can say, or for a segment that a card is still to cut
        // up: the length is the frame's.
        if total_len != 0 {
            return Err(Skip::IpTotalLength);
        }
        total_len = part.wire;
        large = true;
    }
    if header.fragment_offset != 0 {
        return Err(Skip::Fragment);
    }
    // Behind the total length is padding.
    let packet = part.up_to(total_len);
    let body = packet.behind(header.len);
    if rules.icmp_errors
        && header.protocol == ICMP
        && let Some(error) = icmp::error_v4(body.data)
    {
        return icmp::quoted(body.data, error, rules.tags);
    }
    let body = Body {
        part: body,
        more: header.more_fragments,
        large,
    };
    let said = transport::read(header.protocol, body);
    let (key, orientation) = FiveTupleKey::v4(
        header.protocol,
        (header.source, said.ports.0),
        (header.target, said.ports.1),
        rules.tags,
    );
    let malformed = total_len > part.wire || packet.wire < header.len;
    Ok(said.of(key, orientation, malformed))
}

#[inline]
pub(super) fn v6(part: Part<'_>, rules: Rules) -> Result<Extracted<FiveTupleKey>, Skip> {
    let header = header::v6(part.data)?;
    let rest = part.behind(40);
    if header.payload_len <= rest.wire
        && let body = &rest.data[..rest.data.len().min(header.payload_len)]
        && let Some(plain) = transport::plain(header.protocol, body, header.payload_len)
    {
        let source = (header.source, plain.ports.0);
        let target = (header.target, plain.ports.1);
        let (key, orientation) = FiveTupleKey::v6(header.protocol, source, target, rules.tags);
        return Ok(plain.of(key, orientation));
    }
    any_v6(part.data, part.wire, rules)
}

#[inline(never)]
fn any_v6(data: &[u8], wire: usize, rules: Rules) -> Result<Extracted<FiveTupleKey>, Skip> {
    let part = Part { data, wire };
    let header = header::v6(part.data)?;
    let rest = part.behind(40);
    let (len, is_valid) = match header.payload_len {
        0 => v6_chain::length_of_0(header.protocol, rest),
        len => (len, true),
    };
    let chain = v6_chain::follow(header.protocol, rest.up_to(len))?;
    if rules.icmp_errors
        && chain.protocol == ICMP6
        && let Some(error) = icmp::error_v6(chain.body.data)
    {
        return icmp::quoted(chain.body.data, error, rules.tags);
    }
    let said = match chain.broken {
        None => {
            let body = Body {
                part: chain.body,
                more: chain.more,
                large: true,
            };
            transport::read(chain.protocol, body)
        }
        Some(broken) => Said::unreached(chain.protocol, broken == Broken::Malformed),
    };
    let (key, orientation) = FiveTupleKey::v6(
        chain.protocol,
        (header.source, said.ports.0),
        (header.target, said.ports.1),
        rules.tags,
    );
    Ok(said.of(key, orientation, !is_valid || len > rest.wire))
}
