//! Batches of packets, and the reuse of their memory.

use std::sync::Arc;

use netring_sys::{LinkType, Packet, PacketBatch, PacketVec, Timestamp};

use super::{BATCH, Pending, PendingPackets};

/// As many packets of this length as a source lends.
struct Lent(usize, Vec<u8>);

impl PacketBatch for Lent {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let packet = Packet::new(&self.1, Timestamp::EPOCH, LinkType::ETHERNET);
        std::iter::repeat_n(packet, self.0)
    }
}

fn copy(pending: &mut PendingPackets, packets: usize, byte: u8) {
    assert!(pending.copy(&Lent(packets, vec![byte; 1000])));
}

fn all(pending: &mut PendingPackets) -> Vec<Arc<PacketVec>> {
    pending.batches(true).collect()
}

#[test]
fn a_batch_is_open_until_it_is_full() {
    let mut pending = PendingPackets::default();
    assert!(!pending.copy(&Lent(0, Vec::new())));
    copy(&mut pending, BATCH - 1, 1);
    assert_eq!(pending.batches(false).count(), 0);
    copy(&mut pending, BATCH + 2, 2);
    assert_eq!(Pending::count(&pending), 2 * BATCH + 1);
    let full: Vec<_> = pending.batches(false).map(|batch| batch.len()).collect();
    assert_eq!(full, [BATCH, BATCH]);
    assert_eq!(all(&mut pending)[0].len(), 1);
    copy(&mut pending, 3, 3);
    pending.clear();
    assert_eq!(Pending::count(&pending), 0);
}

#[test]
fn memory_is_used_again_once_nobody_uses_it() {
    let mut pending = PendingPackets::default();
    copy(&mut pending, BATCH, 1);
    let first = all(&mut pending).pop().unwrap();
    let place = Arc::as_ptr(&first);
    copy(&mut pending, BATCH, 2);
    let second = all(&mut pending).pop().unwrap();
    assert!(!std::ptr::eq(place, Arc::as_ptr(&second)), "it is in use");
    assert!(first.iter().all(|packet| packet.data() == [1; 1000]));
    drop(first);
    copy(&mut pending, 10, 3);
    let third = all(&mut pending).pop().unwrap();
    assert!(std::ptr::eq(place, Arc::as_ptr(&third)));
    assert_eq!(third.len(), 10);
    assert!(third.iter().all(|packet| packet.data() == [3; 1000]));
    assert!(second.iter().all(|packet| packet.data() == [2; 1000]));
}

/// A subscriber that keeps everything does not make the sender keep it too.
#[test]
fn what_is_kept_for_later_is_bounded() {
    let mut pending = PendingPackets::default();
    let mut held = Vec::new();
    for n in 0..200 {
        copy(&mut pending, BATCH, n);
        held.extend(all(&mut pending));
    }
    // 64 KB each, and some for the metadata.
    let kept = held.iter().filter(|batch| Arc::strong_count(batch) == 2);
    let kept = kept.count();
    assert!((50..=66).contains(&kept), "{kept}");
    assert_eq!(kept, pending.published.len());
    let bytes: usize = pending
        .published
        .iter()
        .map(|batch| super::memory(batch))
        .sum();
    assert_eq!(bytes, pending.kept);
    for (n, batch) in (0..).zip(&held) {
        assert!(batch.iter().all(|packet| packet.data() == [n; 1000]));
    }
}
