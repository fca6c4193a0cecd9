//! The Community ID of a flow, version 1 (<https://github.com/corelight/community-id-spec>).

mod base64;
mod icmp;
mod sha1;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use netring_sys::ParseError;

use super::FiveTupleKey;
use crate::extract::Orientation;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;
const SCTP: u8 = 132;

/// A hash of a flow that other tools compute alike (Zeek, Suricata, Wireshark, Arkime), so that
/// their records of the same flow can be joined. 20 bytes; displayed as
/// `1:LQU9qZlK+B5F3KDmev6m5PMibrg=`.
///
/// ```
/// use netring_flow::extract::FiveTupleKey;
///
/// let key: FiveTupleKey = "tcp 128.232.110.120:34855 66.35.250.204:80".parse()?;
/// assert_eq!(key.community_id(0).to_string(), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
/// # Ok::<(), netring_sys::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommunityId([u8; 20]);

impl CommunityId {
    /// The SHA-1 digest without its version, for records that hold bytes.
    pub const fn digest(&self) -> &[u8; 20] {
        &self.0
    }

    /// Its text in ASCII.
    pub(crate) fn text(&self) -> [u8; 30] {
        let mut text = *b"1:____________________________";
        base64::encode(&self.0, &mut text[2..]);
        text
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// Parses the displayed form of an ID.
impl FromStr for CommunityId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut digest = [0; 20];
        match text.strip_prefix("1:") {
            Some(rest) if base64::decode(rest.as_bytes(), &mut digest) => Ok(Self(digest)),
            _ => Err(ParseError::new(
                text,
                "Community ID",
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            )),
        }
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommunityId({self})")
    }
}

impl FiveTupleKey {
    /// The Community ID of the flow. `seed` separates domains of identifiers; nearly all tools use
    /// 0.
    ///
    /// TCP, UDP and SCTP are hashed with their ports, all other protocols, and flows whose ports
    /// are unknown, without. VLANs are not part of it. The ID of an ICMP or ICMPv6 flow depends on
    /// its messages, which are not in the key: use
    /// [`icmp_community_id`](Self::icmp_community_id).
    pub fn community_id(&self, seed: u16) -> CommunityId {
        let ports = matches!(self.protocol(), TCP | UDP | SCTP) && self.ports_known();
        let (a, b) = (self.a(), self.b());
        digest(
            seed,
            [a.ip(), b.ip()],
            self.protocol(),
            ports.then_some([a.port(), b.port()]),
        )
    }

    /// The Community ID of an ICMP or ICMPv6 flow: that of a message of this type and code from the
    /// end `from`.
    ///
    /// A request and its reply have the same ID, whatever their codes. Messages that are not one
    /// half of such a pair, errors above all, have an ID for each direction, type and code. For any
    /// other protocol this is [`community_id`](Self::community_id).
    ///
    /// ```
    /// use netring_flow::extract::{FiveTupleKey, Orientation};
    ///
    /// let key: FiveTupleKey = "icmp 192.168.0.1:0 192.168.0.89:0".parse()?;
    /// let request = key.icmp_community_id(0, Orientation::Reverse, 8, 0);
    /// assert_eq!(request.to_string(), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    /// assert_eq!(key.icmp_community_id(0, Orientation::Forward, 0, 0), request);
    /// # Ok::<(), netring_sys::ParseError>(())
    /// ```
    pub fn icmp_community_id(
        &self,
        seed: u16,
        from: Orientation,
        icmp_type: u8,
        code: u8,
    ) -> CommunityId {
        if !matches!(self.protocol(), ICMP | ICMP6) {
            return self.community_id(seed);
        }
        let counterpart = icmp_counterpart(self.protocol(), icmp_type);
        let (source, destination) = (self.source(from), self.destination(from));
        let end = |end: SocketAddr, number: u8| (end.ip(), u16::from(number));
        let mut ends = [
            end(source, icmp_type),
            end(destination, counterpart.unwrap_or(code)),
        ];
        if counterpart.is_some() {
            ends.sort();
        }
        let [a, b] = ends;
        digest(seed, [a.0, b.0], self.protocol(), Some([a.1, b.1]))
    }
}

/// The other half of the pair that a type of ICMP or ICMPv6 belongs to: the reply of a request, or
/// the request of a reply.
pub(crate) fn icmp_counterpart(protocol: u8, icmp_type: u8) -> Option<u8> {
    match protocol {
        ICMP => icmp::counterpart(icmp_type),
        ICMP6 => icmp::counterpart6(icmp_type),
        _ => None,
    }
}

/// The hash of the specification's concatenation: at most 40 bytes.
fn digest(seed: u16, addresses: [IpAddr; 2], protocol: u8, ports: Option<[u16; 2]>) -> CommunityId {
    let mut text = [0; sha1::LONGEST];
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        text[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    put(&seed.to_be_bytes());
    for address in addresses {
        match address {
            IpAddr::V4(address) => put(&address.octets()),
            IpAddr::V6(address) => put(&address.octets()),
        }
    }
    put(&[protocol, 0]);
    for port in ports.into_iter().flatten() {
        put(&port.to_be_bytes());
    }
    CommunityId(sha1::of_short(&text[..len]))
}

#[cfg(feature = "serde")]
mod form {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::CommunityId;

    /// As text.
    impl Serialize for CommunityId {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for CommunityId {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published examples of the specification's reference implementation.
    #[test]
    fn published_ids_are_reproduced() {
        for (key, id) in [
            (
                "tcp 128.232.110.120:34855 66.35.250.204:80",
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                "udp 192.168.1.52:54585 8.8.8.8:53",
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
            (
                "sctp 192.168.170.8:7 192.168.170.56:80",
                "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=",
            ),
            (
                "proto 46 10.1.24.4:0 10.1.12.1:0",
                "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4=",
            ),
        ] {
            let key: FiveTupleKey = key.parse().unwrap();
            assert_eq!(key.community_id(0).to_string(), id, "{key}");
            assert_eq!(id.parse(), Ok(key.community_id(0)));
            assert_ne!(key.community_id(1), key.community_id(0));
        }
    }

    #[test]
    fn published_ids_of_icmp_are_reproduced() {
        let (v4, v6) = ("icmp 192.168.0.89:0 192.168.0.1:0", "icmp6 [SRC]:0 [DST]:0");
        let neighbours = ["fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea"];
        let routed = [
            "3ffe:507:0:1:260:97ff:fe07:69ea",
            "3ffe:507:0:1:200:86ff:fe05:80da",
        ];
        for (text, [source, destination], (icmp_type, code), id) in [
            (
                v4,
                ["192.168.0.89", "192.168.0.1"],
                (8, 0),
                "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
            ),
            (
                v4,
                ["192.168.0.1", "192.168.0.89"],
                (0, 20),
                "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
            ),
            (
                v4,
                ["192.168.0.89", "192.168.0.1"],
                (20, 0),
                "1:3o2RFccXzUgjl7zDpqmY7yJi8rI=",
            ),
            (
                v4,
                ["192.168.0.89", "192.168.0.1"],
                (20, 1),
                "1:tz/fHIDUHs19NkixVVoOZywde+I=",
            ),
            (v6, neighbours, (135, 0), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            (
                v6,
                [neighbours[1], neighbours[0]],
                (136, 0),
                "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=",
            ),
            (v6, routed, (3, 0), "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w="),
            (
                v6,
                [routed[1], routed[0]],
                (3, 0),
                "1:/OGBt9BN1ofenrmSPWYicpij2Vc=",
            ),
        ] {
            let text = text.replace("SRC", source).replace("DST", destination);
            let key: FiveTupleKey = text.parse().unwrap();
            let is_forward = key.a().ip() == source.parse::<IpAddr>().unwrap();
            let from = match is_forward {
                true => Orientation::Forward,
                false => Orientation::Reverse,
            };
            let found = key.icmp_community_id(0, from, icmp_type, code);
            assert_eq!(
                found.to_string(),
                id,
                "{source} {destination} {icmp_type} {code}"
            );
        }
    }

    #[test]
    fn unknown_ports_are_not_hashed() {
        let key = |text: &str| text.parse::<FiveTupleKey>().unwrap().community_id(0);
        let unknown = key("udp 192.0.2.1:- 192.0.2.9:-");
        assert_ne!(unknown, key("udp 192.0.2.1:0 192.0.2.9:0"));
    }
}
