//! ICMP errors: they quote the packet that they are about.

use super::ip;
use super::transport::{self, SCTP, TCP, UDP};
use crate::extract::{Extracted, FiveTupleKey, IcmpError, Orientation, Skip, Transport};

/// Destination unreachable, source quench, redirect, time exceeded, parameter problem.
#[inline]
pub(super) fn error_v4(body: &[u8]) -> Option<IcmpError> {
    let &[icmp_type @ (3 | 4 | 5 | 11 | 12), code] = body.first_chunk()? else {
        return None;
    };
    Some(IcmpError { icmp_type, code })
}

/// The types below 128.
#[inline]
pub(super) fn error_v6(body: &[u8]) -> Option<IcmpError> {
    let &[icmp_type @ ..128, code] = body.first_chunk()? else {
        return None;
    };
    Some(IcmpError { icmp_type, code })
}

/// The flow of the packet that is quoted behind the eight bytes of the ICMP header.
pub(super) fn quoted(
    body: &[u8],
    error: IcmpError,
    tags: u64,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    let quote = body.get(8..).ok_or(Skip::IcmpError)?;
    let (key, orientation) = match quote.first().map(|first| first >> 4) {
        Some(4) => v4(quote, tags),
        Some(6) => v6(quote, tags),
        _ => None,
    }
    .ok_or(Skip::IcmpError)?;
    Ok(Extracted::new(key, orientation, Transport::Other).with_icmp_error(error))
}

fn v4(quote: &[u8], tags: u64) -> Option<(FiveTupleKey, Orientation)> {
    let header = ip::v4_header(quote).ok()?;
    if header.fragment_offset != 0 {
        return None;
    }
    let (source, target) = ports(header.protocol, quote.get(header.len..)?)?;
    let ends = ((header.source, source), (header.target, target));
    Some(FiveTupleKey::v4(header.protocol, ends.0, ends.1, tags))
}

fn v6(quote: &[u8], tags: u64) -> Option<(FiveTupleKey, Orientation)> {
    let header = ip::v6_header(quote).ok()?;
    let (protocol, body) = ip::extensions(header.protocol, &quote[40..]).ok()?;
    let (source, target) = ports(protocol, body)?;
    let ends = ((header.source, source), (header.target, target));
    Some(FiveTupleKey::v6(protocol, ends.0, ends.1, tags))
}

fn ports(protocol: u8, body: &[u8]) -> Option<(u16, u16)> {
    match protocol {
        TCP | UDP | SCTP => transport::ports(body),
        _ => Some((0, 0)),
    }
}
