use std::sync::Arc;
use std::thread;

use netring_sys::{
    Error, LinkType, Packet, PacketBatch, PacketSource, Readiness, Stats, Timestamp,
};

use super::queue::{Item, Queue, Taken};
use super::thread::run;

/// Lends batches of 700 packets of 100 bytes from one piece of memory.
struct Steady {
    at: u64,
    end: u64,
}

struct Same([u8; 100]);

impl PacketBatch for Same {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let packet = Packet::new(&self.0, Timestamp::EPOCH, LinkType::ETHERNET);
        std::iter::repeat_n(packet, 700)
    }
}

impl PacketSource for Steady {
    type Batch<'a> = Same;
    fn ready(&mut self) -> Result<Readiness, Error> {
        Ok(if self.at < self.end {
            Readiness::Ready
        } else {
            Readiness::Ended
        })
    }
    fn batch(&mut self) -> Same {
        self.at += 700;
        Same([7; 100])
    }
    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(self.at))
    }
    fn is_live(&self) -> bool {
        false
    }
}

/// Allocations of the thread that reads the source and of the one that reads the channel.
fn allocations(packets: u64, lossless: bool) -> (u64, u64) {
    let queue = Arc::new(Queue::new(4096));
    let reader = Arc::clone(&queue);
    let reader = thread::spawn(move || {
        let mut got = 0;
        let counted = allocation_counter::measure(|| {
            while let Taken::Item(item) = reader.take(true, None) {
                if let Item::Packets(batch) = item {
                    got += batch.len() as u64;
                    reader.give_back(batch);
                }
            }
        });
        (got, counted.count_total)
    });
    let source = Steady {
        at: 0,
        end: packets,
    };
    let writing = allocation_counter::measure(|| run(source, &queue, lossless)).count_total;
    let (got, reading) = reader.join().expect("the reader does not panic");
    assert_eq!(got + queue.lost(), packets);
    assert!(!lossless || got == packets);
    (writing, reading)
}

/// Only the memory of the channel's batches is allocated, at most six, each grown in a few steps:
/// forty times the packets cause no further allocations.
#[test]
fn no_allocation_for_a_packet_nor_for_a_batch_that_is_read_and_lent() {
    for lossless in [true, false] {
        let [few, many] = [70_000, 2_800_000].map(|packets| allocations(packets, lossless));
        eprintln!("lossless {lossless}: {few:?} for 70,000 packets, {many:?} for 2,800,000");
        assert!(few.0 < 300 && many.0 < 300, "{few:?}, {many:?}");
        assert!(few.1 <= 8 && many.1 <= 8, "{few:?}, {many:?}");
    }
}
