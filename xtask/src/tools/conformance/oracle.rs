//! The oracle: a line for each flow.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use crate::Result;

/// The flows of a capture.
pub(super) type Flows = BTreeMap<Key, Figures>;

/// The common part of a flow's packets: the protocol, and two ends, of which `a` is the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) protocol: u8,
    pub(super) a: (IpAddr, Port),
    pub(super) b: (IpAddr, Port),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Port {
    /// 0 for a protocol without ports.
    Number(u16),
    /// Later fragments, which have none.
    Fragment,
    /// The capture does not contain it.
    NotCaptured,
}

/// The figures of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figures {
    /// Nanoseconds since the epoch.
    pub(super) first: i64,
    pub(super) last: i64,
    /// The traffic from the lower end, and from the higher end.
    pub(super) sent: [Sent; 2],
}

/// The figures of a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// TCP segments with SYN, FIN, RST; zero for other protocols.
    pub(super) flags: [u64; 3],
}

const TCP: u8 = 6;

/// Whether a flow may be that of a tunnel's ends, by protocol or port.
pub(super) fn has_tunnels(flows: &Flows) -> bool {
    const PROTOCOLS: [u8; 5] = [4, 41, 47, 97, 137];
    const PORTS: [u16; 5] = [2152, 3544, 4789, 4790, 6081];
    const UDP: u8 = 17;
    let is_tunnel = |(_, port): (IpAddr, Port)| match port {
        Port::Number(port) => PORTS.contains(&port),
        Port::Fragment | Port::NotCaptured => false,
    };
    flows.keys().any(|key| {
        PROTOCOLS.contains(&key.protocol)
            || key.protocol == UDP && (is_tunnel(key.a) || is_tunnel(key.b))
    })
}

/// Reads the flows of a capture. An invalid line is an error with its place.
pub(super) fn read(path: &Path) -> Result<Flows> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let mut flows = Flows::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('#') {
            continue;
        }
        let broken = |why: String| format!("{shown}:{number}: {why}");
        let (key, figures) = parse(line).map_err(broken)?;
        if flows.insert(key, figures).is_some() {
            return Err(broken(format!("a second line for {key}")).into());
        }
    }
    Ok(flows)
}

fn parse(line: &str) -> std::result::Result<(Key, Figures), String> {
    let fields: Vec<_> = line.split('\t').collect();
    let [
        protocol,
        addr_a,
        port_a,
        addr_b,
        port_b,
        packets_ab,
        packets_ba,
        bytes_ab,
        bytes_ba,
        first,
        last,
        streams,
        completeness,
        syn_ab,
        syn_ba,
        fin_ab,
        fin_ba,
        rst_ab,
        rst_ba,
    ] = fields[..]
    else {
        return Err(format!("{} fields; a flow has 19", fields.len()));
    };
    let key = Key {
        protocol: number("proto", protocol)?,
        a: (address("addrA", addr_a)?, port("portA", port_a)?),
        b: (address("addrB", addr_b)?, port("portB", port_b)?),
    };
    if key.a.0.is_ipv4() != key.b.0.is_ipv4() {
        return Err("one end is IPv4, the other IPv6".into());
    }
    if key.b < key.a {
        return Err("A is not the lower end".into());
    }
    // Later fragments have no TCP header.
    let is_tcp = key.protocol == TCP && key.a.1 != Port::Fragment;
    let flag = |name, field: &str| match field {
        "-" if !is_tcp => Ok(0),
        "-" => Err(format!("{name}: a TCP flow has a number here")),
        _ if !is_tcp => Err(format!("{name}: {field:?} for a flow that is not TCP")),
        _ => number(name, field),
    };
    // Not compared, but any other value here is invalid.
    flag("streams", streams)?;
    // A segment whose header was not captured belongs to no connection.
    if completeness != "-" {
        for part in completeness.split(',') {
            flag("completeness", part)?;
        }
    }
    let ab = Sent {
        packets: number("pktsAB", packets_ab)?,
        bytes: number("bytesAB", bytes_ab)?,
        flags: [
            flag("synAB", syn_ab)?,
            flag("finAB", fin_ab)?,
            flag("rstAB", rst_ab)?,
        ],
    };
    let ba = Sent {
        packets: number("pktsBA", packets_ba)?,
        bytes: number("bytesBA", bytes_ba)?,
        flags: [
            flag("synBA", syn_ba)?,
            flag("finBA", fin_ba)?,
            flag("rstBA", rst_ba)?,
        ],
    };
    let figures = Figures {
        first: time("first", first)?,
        last: time("last", last)?,
        sent: [ab, ba],
    };
    if figures.last < figures.first {
        return Err("last is before first".into());
    }
    if ab.packets + ba.packets == 0 {
        return Err("a flow without packets".into());
    }
    Ok((key, figures))
}

fn number<N: FromStr>(name: &str, field: &str) -> std::result::Result<N, String> {
    // `parse` would also take a plus sign.
    let digits = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits { field.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("{name}: {field:?} is not a number, or too large"))
}

fn address(name: &str, field: &str) -> std::result::Result<IpAddr, String> {
    field
        .parse()
        .map_err(|_| format!("{name}: {field:?} is not an IP address"))
}

fn port(name: &str, field: &str) -> std::result::Result<Port, String> {
    match field {
        "frag" => Ok(Port::Fragment),
        "-" => Ok(Port::NotCaptured),
        _ => number(name, field).map(Port::Number),
    }
}

/// Seconds since the epoch with nine decimals, to nanoseconds. A time too far for them, which only
/// a damaged capture has, saturates as that of a packet does.
fn time(name: &str, field: &str) -> std::result::Result<i64, String> {
    let broken = || format!("{name}: {field:?} is not a time with nine decimals");
    let (negative, rest) = match field.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, field),
    };
    let (seconds, nanos) = rest.split_once('.').ok_or_else(broken)?;
    if nanos.len() != 9 {
        return Err(broken());
    }
    let seconds: i64 = number(name, seconds)?;
    let nanos: i64 = number(name, nanos)?;
    let time = seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    Ok(if negative { -time } else { time })
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            1 => f.write_str("icmp")?,
            TCP => f.write_str("tcp")?,
            17 => f.write_str("udp")?,
            58 => f.write_str("icmp6")?,
            132 => f.write_str("sctp")?,
            other => write!(f, "proto {other}")?,
        }
        for (address, port) in [self.a, self.b] {
            write!(f, " {address} ")?;
            match port {
                Port::Number(port) => write!(f, "{port}")?,
                Port::Fragment => f.write_str("frag")?,
                Port::NotCaptured => f.write_str("-")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "6\t10.0.0.1\t80\t10.0.0.2\t4000\t2\t3\t120\t190\t1.000000002\t5.000000000\t2\t31,3\t1\t2\t3\t4\t5\t6";

    #[test]
    fn a_line_is_read_field_by_field() {
        let (key, figures) = parse(LINE).unwrap();
        assert_eq!(key.to_string(), "tcp 10.0.0.1 80 10.0.0.2 4000");
        assert_eq!(
            (figures.first, figures.last),
            (1_000_000_002, 5_000_000_000)
        );
        let expected = [(2, 120, [1, 3, 5]), (3, 190, [2, 4, 6])];
        for (sent, (packets, bytes, flags)) in figures.sent.into_iter().zip(expected) {
            assert_eq!(
                sent,
                Sent {
                    packets,
                    bytes,
                    flags
                }
            );
        }
    }

    #[test]
    fn a_line_that_is_not_as_it_should_be_is_refused() {
        let with = |place: usize, field: &str| {
            let mut fields: Vec<_> = LINE.split('\t').collect();
            fields[place] = field;
            fields.join("\t")
        };
        let cases = [
            (String::new(), "1 fields"),
            (format!("{LINE}\t"), "20 fields"),
            (with(0, "256"), "proto"),
            (with(0, "17"), "not TCP"),
            (with(1, "10.0.0"), "addrA"),
            (with(1, "::1"), "the other IPv6"),
            (with(1, "10.0.0.3"), "not the lower end"),
            (with(2, "65536"), "portA"),
            (with(4, "+1"), "portB"),
            (with(5, "-1"), "pktsAB"),
            (with(9, "1.5"), "nine decimals"),
            (with(9, "6.000000000"), "before first"),
            (with(10, "99999999999999999999.000000000"), "too large"),
            (with(12, "31,"), "completeness"),
            (with(2, "frag"), "not TCP"),
            (with(18, "-"), "rstBA"),
        ];
        for (line, told) in cases {
            let why = parse(&line).unwrap_err();
            assert!(why.contains(told), "{told}: {why}");
        }
    }

    #[test]
    fn a_time_too_far_saturates() {
        for (field, nanos) in [
            ("9223372036.854775807", i64::MAX),
            ("68470465054.149710000", i64::MAX),
            ("-1.500000000", -1_500_000_000),
        ] {
            assert_eq!(time("last", field), Ok(nanos));
        }
    }

    #[test]
    fn a_flow_that_is_not_tcp_has_no_flags() {
        let line =
            "1\t::1\t0\t::2\tfrag\t1\t0\t9\t0\t0.000000000\t0.000000000\t-\t-\t-\t-\t-\t-\t-\t-";
        let (key, figures) = parse(line).unwrap();
        assert_eq!(key.b.1, Port::Fragment);
        assert_eq!(figures.sent[0].flags, [0; 3]);
    }
}
