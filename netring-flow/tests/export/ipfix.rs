//! IPFIX, as a collector reads it by the templates it was sent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use netring_flow::EndReason;
use netring_flow::export::{FlowRecord, Ipfix, RecordKind, SideRecord};
use netring_flow::extract::TunnelKind;
use proptest::prelude::*;

use crate::records::{any_record, full};

/// Element, whether it is reverse, and the value's bytes.
type Values = Vec<((u16, bool), Vec<u8>)>;

/// A collector: it knows what RFC 7011 says, and the templates it was sent.
#[derive(Default)]
struct Collector {
    templates: HashMap<u16, Vec<(u16, bool, usize)>>,
    template_sets: u32,
    domains: Vec<u32>,
    times: Vec<u32>,
    messages: Vec<usize>,
    records: Vec<Values>,
}

fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(bytes[..2].try_into().unwrap())
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

impl Collector {
    fn message(&mut self, message: &[u8]) {
        assert_eq!(be16(message), 10);
        assert_eq!(usize::from(be16(&message[2..])), message.len());
        self.times.push(be32(&message[4..]));
        assert_eq!(be32(&message[8..]), self.records.len() as u32, "sequence");
        self.domains.push(be32(&message[12..]));
        self.messages.push(message.len());
        let mut rest = &message[16..];
        while !rest.is_empty() {
            let (id, len) = (be16(rest), usize::from(be16(&rest[2..])));
            assert!(len.is_multiple_of(4));
            let (set, after) = rest.split_at(len);
            match id {
                2 => self.templates(&set[4..]),
                _ => self.data(id, &set[4..]),
            }
            rest = after;
        }
    }

    fn templates(&mut self, mut set: &[u8]) {
        self.template_sets += 1;
        while set.len() >= 4 {
            let (id, count) = (be16(set), be16(&set[2..]));
            set = &set[4..];
            let mut fields = Vec::new();
            for _ in 0..count {
                let (element, len) = (be16(set), usize::from(be16(&set[2..])));
                set = &set[4..];
                let has_enterprise = element & 0x8000 != 0;
                if has_enterprise {
                    assert_eq!(be32(set), 29_305);
                    set = &set[4..];
                }
                fields.push((element & 0x7fff, has_enterprise, len));
            }
            self.templates.insert(id, fields);
        }
        assert!(set.is_empty());
    }

    fn data(&mut self, id: u16, mut set: &[u8]) {
        let fields = &self.templates[&id];
        let len: usize = fields.iter().map(|field| field.2).sum();
        assert!(set.len() >= len, "a set without a record");
        while set.len() >= len {
            let mut values = Vec::new();
            for (element, is_reverse, len) in fields {
                let (value, after) = set.split_at(*len);
                values.push(((*element, *is_reverse), value.to_vec()));
                set = after;
            }
            self.records.push(values);
        }
        assert!(
            set.len() < 4 && set.iter().all(|byte| *byte == 0),
            "padding"
        );
    }
}

/// The last value of an element, as collectors that do not know reverse elements read it.
fn number(values: &Values, element: u16, is_reverse: bool) -> Option<u64> {
    let found = values.iter().find(|(key, _)| *key == (element, is_reverse));
    found.map(|(_, bytes)| {
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte))
    })
}

fn collected(ipfix: &mut Ipfix, records: &[FlowRecord]) -> Collector {
    let mut collector = Collector::default();
    for record in records {
        ipfix.record(record, |message| collector.message(message));
    }
    ipfix.flush(|message| collector.message(message));
    assert_eq!(ipfix.sequence(), collector.records.len() as u32);
    collector
}

fn millis(time: i64) -> Option<u64> {
    Some(u64::try_from(time.div_euclid(1_000_000)).unwrap_or_default())
}

fn check_side(values: &Values, record: &FlowRecord, side: &SideRecord, reverse: bool) {
    let value = |element| number(values, element, reverse);
    assert_eq!(value(1), side.ip_bytes.or(Some(side.bytes)));
    assert_eq!(value(2), Some(side.packets));
    assert_eq!(value(352), Some(side.bytes));
    assert_eq!(value(6), Some(side.tcp_flags.into()));
    assert_eq!(value(152), millis(side.first_ns.unwrap_or(record.start_ns)));
    assert_eq!(value(153), millis(side.last_ns.unwrap_or(record.end_ns)));
    let label = side.mpls.map_or(0, |entry| {
        let (label, class) = (entry.label % (1 << 20), u32::from(entry.class % 8));
        u64::from(label * 16 + class * 2 + u32::from(entry.bottom))
    });
    assert_eq!(value(70), Some(label));
}

/// What both forms say of a record whose source is this end.
fn check_key(values: &Values, record: &FlowRecord, from: &SideRecord, to: &SideRecord) {
    let value = |element| number(values, element, false);
    for (elements, end) in [([8, 27], from), ([12, 28], to)] {
        let is_v6 = from.addr.is_ipv6() || to.addr.is_ipv6();
        let element = elements[usize::from(is_v6)];
        let bytes = &values.iter().find(|(key, _)| key.0 == element).unwrap().1;
        let addr = match <[u8; 4]>::try_from(&bytes[..]) {
            Ok(v4) => IpAddr::from(v4),
            Err(_) => <[u8; 16]>::try_from(&bytes[..]).unwrap().into(),
        };
        let expected = match end.addr {
            IpAddr::V4(addr) if is_v6 => addr.to_ipv6_mapped().into(),
            addr => addr,
        };
        assert_eq!(addr, expected);
    }
    assert_eq!(value(7), from.port.map(Into::into).or(Some(0)));
    assert_eq!(value(11), to.port.map(Into::into).or(Some(0)));
    assert_eq!(value(4), Some(record.protocol.into()));
    assert_eq!(value(58), Some(record.vlan.unwrap_or_default().into()));
    assert_eq!(
        value(245),
        Some(record.inner_vlan.unwrap_or_default().into())
    );
    let flow = record.flow.get();
    let number = match record.worker {
        None | Some(0) => flow,
        Some(worker) => (u64::from(worker) << 40) | (flow % (1 << 40)),
    };
    assert_eq!(value(148), Some(number));
    let id = |kind| {
        let tunnel = record.tunnel.filter(|it| it.kind == kind);
        tunnel.and_then(|it| it.id).map(u64::from)
    };
    let vni = id(TunnelKind::Vxlan).map(|vni| 1 << 56 | vni);
    assert_eq!(value(351), vni.or(Some(0)));
    assert_eq!(value(296), id(TunnelKind::Gre).or(Some(0)));
    assert_eq!(value(507), id(TunnelKind::GtpU).or(Some(0)));
}

#[test]
fn reverse_elements_that_overwrite_come_first() {
    let collector = collected(&mut Ipfix::new(), &[full()]);
    for fields in collector.templates.values() {
        for element in [6, 70, 152, 153] {
            let place = |reverse| {
                let mut places = fields.iter();
                places.position(|field| (field.0, field.1) == (element, reverse))
            };
            assert!(place(true).unwrap() < place(false).unwrap(), "{element}");
        }
    }
    let values = &collector.records[0];
    assert_eq!(number(values, 239, false), Some(1));
    assert_eq!(number(values, 32, false), Some(8 << 8 | 1));
    assert_eq!(collector.times, [1_700_000_009]);
}

#[test]
fn flows_end_for_their_reason() {
    for (kind, reason, number_of_it) in [
        (RecordKind::Active, None, 2),
        (RecordKind::End, Some(EndReason::IdleTimeout), 1),
        (RecordKind::End, Some(EndReason::Finished), 3),
        (RecordKind::End, Some(EndReason::Reset), 3),
        (RecordKind::End, Some(EndReason::PortReuse), 3),
        (RecordKind::End, Some(EndReason::SourceEnded), 4),
        (RecordKind::End, Some(EndReason::Emergency), 5),
        (RecordKind::End, Some(EndReason::TableFull), 5),
    ] {
        let mut record = full();
        (record.kind, record.reason) = (kind, reason);
        let collector = collected(&mut Ipfix::new(), &[record]);
        let values = &collector.records[0];
        assert_eq!(number(values, 136, false), Some(number_of_it), "{reason:?}");
    }
}

#[test]
fn uniflow_is_a_record_for_each_end_that_sent() {
    let mut silent = full();
    silent.responder.packets = 0;
    let mut ipfix = Ipfix::builder().uniflow(true).domain(77).build().unwrap();
    let mut answer = full();
    answer.initiator.packets = 0;
    let mut nothing = answer.clone();
    nothing.responder.packets = 0;
    let records = [full(), silent, answer, nothing];
    let collector = collected(&mut ipfix, &records);
    assert_eq!(collector.domains, [77]);
    let [there, back, alone, answered, empty] = &collector.records[..] else {
        panic!("{}", collector.records.len());
    };
    for (values, record, swapped) in [
        (there, &records[0], false),
        (back, &records[0], true),
        (alone, &records[1], false),
        (answered, &records[2], true),
        (empty, &records[3], false),
    ] {
        let (from, to) = match swapped {
            false => (&record.initiator, &record.responder),
            true => (&record.responder, &record.initiator),
        };
        check_key(values, record, from, to);
        check_side(values, record, from, false);
        assert!(
            values
                .iter()
                .all(|((element, reverse), _)| !reverse && *element != 239)
        );
    }
}

#[test]
fn templates_are_sent_again_by_count_and_by_time() {
    let sets = |ipfix: &mut Ipfix, records: &[FlowRecord]| collected(ipfix, records).template_sets;
    let records = vec![full(); 100];
    let every = |records, seconds| {
        let settings = Ipfix::builder().templates_every(records, Duration::from_secs(seconds));
        settings.build().unwrap()
    };
    assert_eq!(sets(&mut every(0, 0), &records), 1);
    assert_eq!(sets(&mut every(10, 0), &records), 10);
    assert_eq!(sets(&mut every(1, 0), &records), 100);
    let mut slow = records.clone();
    for (number, record) in slow.iter_mut().enumerate() {
        record.time_ns += 1_000_000_000 * number as i64;
    }
    assert_eq!(sets(&mut every(0, 20), &slow), 5);
    let mut ipfix = every(0, 0);
    ipfix.record(&full(), |_| ());
    ipfix.flush(|_| ());
    ipfix.resend_templates();
    let mut last = Vec::new();
    ipfix.record(&full(), |_| panic!("it fits"));
    ipfix.flush(|message| last = message.to_vec());
    assert_eq!(be16(&last[16..]), 2);
    ipfix.flush(|_| panic!("nothing to send"));
}

/// Of times that 32 bits of seconds cannot say, the nearest; of a flow, in milliseconds.
#[test]
fn times_out_of_range_are_the_nearest() {
    for (time, seconds, in_millis) in [
        (i64::MIN, 0, 0),
        (-1, 0, 0),
        (0, 0, 0),
        (1_999_999_999, 1, 1999),
        (5_000_000_000_000_000_000, u32::MAX, 5_000_000_000_000),
        (i64::MAX, u32::MAX, 9_223_372_036_854),
    ] {
        let mut record = full();
        (record.time_ns, record.start_ns) = (time, time);
        record.initiator.first_ns = None;
        let collector = collected(&mut Ipfix::new(), &[record]);
        assert_eq!(collector.times, [seconds], "{time}");
        let start = number(&collector.records[0], 152, false);
        assert_eq!(start, Some(in_millis), "{time}");
    }
}

/// A timestamp from the far future does not keep templates back for good.
#[test]
fn templates_are_sent_again_if_time_goes_back() {
    let settings = Ipfix::builder().templates_every(0, Duration::from_secs(60));
    let mut records = vec![full(); 3];
    records[0].time_ns = i64::MAX;
    let mut ipfix = settings.build().unwrap();
    let mut collector = Collector::default();
    for record in &records {
        ipfix.record(record, |message| collector.message(message));
        ipfix.flush(|message| collector.message(message));
    }
    assert_eq!(collector.template_sets, 2);
}

/// A flow between an IPv4 and an IPv6 address is a record of IPv6.
#[test]
fn addresses_of_both_versions_are_in_one_record() {
    let mut records = vec![full(); 2];
    records[0].initiator.addr = "2001:db8::1".parse().unwrap();
    records[1].responder.addr = "::ffff:192.0.2.1".parse().unwrap();
    for uniflow in [false, true] {
        let mut ipfix = Ipfix::builder().uniflow(uniflow).build().unwrap();
        let collector = collected(&mut ipfix, &records);
        let mut read = collector.records.iter();
        for record in &records {
            let (first, second) = (&record.initiator, &record.responder);
            check_key(read.next().unwrap(), record, first, second);
            if uniflow {
                check_key(read.next().unwrap(), record, second, first);
            }
        }
        assert!(read.next().is_none());
    }
}

#[test]
fn messages_that_hold_nothing_are_refused() {
    for uniflow in [false, true] {
        let with = |len| Ipfix::builder().uniflow(uniflow).max_message(len).build();
        let error = with(100).unwrap_err().to_string();
        assert!(error.contains("max_message"), "{error}");
        let (_, range) = error.split_once("out of range (").unwrap();
        let least: usize = range.split(' ').next().unwrap().parse().unwrap();
        assert!(with(least - 1).is_err());
        assert!(with(65_536).is_err());
        let mut ipfix = with(least).unwrap();
        let mut v6 = full();
        v6.initiator.addr = "2001:db8::1".parse().unwrap();
        v6.responder.addr = "2001:db8::2".parse().unwrap();
        let collector = collected(&mut ipfix, &[v6, full(), full()]);
        assert!(collector.messages.iter().all(|len| *len <= least));
    }
}

proptest! {
    #[test]
    fn every_record_reads_back(
        records in prop::collection::vec(any_record(), 0..20),
        max in 600_usize..3000,
        uniflow: bool,
    ) {
        let settings = Ipfix::builder().max_message(max).uniflow(uniflow);
        let collector = collected(&mut settings.build().unwrap(), &records);
        prop_assert!(collector.messages.iter().all(|len| *len <= max));
        let mut read = collector.records.iter();
        for record in &records {
            let (first, second) = (&record.initiator, &record.responder);
            let silent = first.packets == 0 && second.packets != 0;
            if !uniflow || !silent {
                let values = read.next().unwrap();
                check_key(values, record, first, second);
                check_side(values, record, first, false);
                if !uniflow {
                    check_side(values, record, second, true);
                }
            }
            if uniflow && second.packets != 0 {
                let values = read.next().unwrap();
                check_key(values, record, second, first);
                check_side(values, record, second, false);
            }
        }
        prop_assert!(read.next().is_none());
    }
}
