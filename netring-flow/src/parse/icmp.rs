//! ICMP errors, which quote the packet that caused them.

use super::transport::{self, TransportHeader};
use super::v6_chain::{self, Broken};
use super::{Part, header};
use crate::extract::{Extracted, FiveTupleKey, IcmpError, Orientation, Skip};

/// Destination unreachable, source quench, redirect, time exceeded, parameter problem.
#[inline]
pub(super) fn error_v4(body: &[u8]) -> Option<IcmpError> {
    let icmp_type @ (3 | 4 | 5 | 11 | 12) = *body.first()? else {
        return None;
    };
    Some(error(icmp_type, body))
}

/// The types below 128.
#[inline]
pub(super) fn error_v6(body: &[u8]) -> Option<IcmpError> {
    let icmp_type @ ..128 = *body.first()? else {
        return None;
    };
    Some(error(icmp_type, body))
}

/// An error without a code quotes nothing either, but is an error nevertheless and starts no flow.
fn error(icmp_type: u8, body: &[u8]) -> IcmpError {
    let code = body.get(1).copied().unwrap_or_default();
    IcmpError { icmp_type, code }
}

/// The flow of the packet that is quoted after the eight-byte ICMP header.
pub(super) fn quoted(
    body: &[u8],
    error: IcmpError,
    tags: u64,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    let quote = body.get(8..).ok_or(Skip::IcmpError)?;
    let (header, (key, orientation)) = match quote.first().map(|first| first >> 4) {
        Some(4) => v4(quote, tags),
        Some(6) => v6(quote, tags),
        _ => None,
    }
    .ok_or(Skip::IcmpError)?;
    Ok(header.of(key, orientation, false).with_icmp_error(error))
}

fn v4(quote: &[u8], tags: u64) -> Option<(TransportHeader, (FiveTupleKey, Orientation))> {
    let header = header::v4(quote).ok()?;
    if header.fragment_offset() != 0 {
        return None;
    }
    let len = header.total_len.saturating_sub(header.len);
    let quoted = ports(header.protocol, part(quote.get(header.len..)?, len))?;
    let source = (header.source, quoted.ports.0);
    let destination = (header.destination, quoted.ports.1);
    let key = FiveTupleKey::v4(header.protocol, source, destination, tags);
    Some((quoted, key))
}

fn v6(quote: &[u8], tags: u64) -> Option<(TransportHeader, (FiveTupleKey, Orientation))> {
    let header = header::v6(quote).ok()?;
    let part = part(&quote[40..], header.payload_len);
    let chain = v6_chain::follow(header.protocol, part).ok()?;
    let quoted = match chain.broken {
        None => ports(chain.protocol, chain.body)?,
        Some(Broken::Malformed) => TransportHeader::unreached(chain.protocol, false),
        Some(Broken::Cut) => return None,
    };
    let source = (header.source, quoted.ports.0);
    let destination = (header.destination, quoted.ports.1);
    let key = FiveTupleKey::v6(chain.protocol, source, destination, tags);
    Some((quoted, key))
}

/// The bytes quoted after an IP header that states this length. Some systems change the length
/// before quoting it, so it may be too small.
fn part(data: &[u8], len: usize) -> Part<'_> {
    Part {
        data,
        wire: len.max(data.len()),
        // Irrelevant, because a quoted packet has no payload of its own.
        start: 0,
    }
}

/// The ports of the quoted packet; 0 if its protocol has none. `None` if they are cut off: the flow
/// is then unknown.
fn ports(protocol: u8, body: Part<'_>) -> Option<TransportHeader> {
    let is_whole = body.wire == body.data.len();
    match transport::ports(body.data) {
        Some(ports) if transport::has_ports(protocol) => Some(TransportHeader::with_ports(ports)),
        None if transport::has_ports(protocol) && !is_whole => None,
        _ => Some(TransportHeader::unreached(protocol, false)),
    }
}
