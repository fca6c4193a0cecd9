//! What encoding and recording allocate.

use allocation_counter::measure;
use netring_flow::export::{ConnLog, Eve, FlowRecord, Ipfix, JsonLines};

use crate::records::full;

/// Once the output has grown, a record costs no allocation.
#[test]
fn encoding_a_record_allocates_nothing() {
    let mut v6 = full();
    v6.initiator.addr = "2001:db8::1".parse().unwrap();
    v6.responder.addr = "2001:db8::2".parse().unwrap();
    let records = [full(), v6];
    let eve = Eve::new().in_iface("eth0");
    let mut ipfix = Ipfix::new();
    let mut out = Vec::with_capacity(1 << 20);
    let mut all = |record: &FlowRecord| {
        JsonLines::new().record(record, &mut out);
        ConnLog::new().community_id(true).record(record, &mut out);
        ConnLog::new().json(record, &mut out);
        eve.flow(record, &mut out);
        eve.netflow(record, &mut out);
        ipfix.record(record, |message| out.extend_from_slice(message));
        ipfix.flush(|message| out.extend_from_slice(message));
    };
    let counted = measure(|| {
        for _ in 0..50 {
            records.iter().for_each(&mut all);
        }
    });
    assert_eq!(counted.count_total, 0);
}
