//! The waits of a source, over a scripted one: what ends them, and what does not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use netring_sys::adapters::{Filtered, Limit, Tee};
use netring_sys::kernel::filter::SockFilter;
use netring_sys::{
    Error, LinkType, Packet, PacketBatch, PacketSource, PacketWriter, Readiness, Stats, Timed,
    Timestamp,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A batch of one packet of this byte.
    Packet(u8),
    /// Nothing, until a wait is over: a timeout expired, unless there was none.
    Silence,
    /// A report that the link went down.
    Down,
    /// It stays.
    Removed,
    /// It stays.
    End,
}
use Step::{Down, End, Packet as P, Removed, Silence};

/// What happened, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Waited(Option<Duration>),
    Flushed,
}

type Events = Rc<RefCell<Vec<Event>>>;

struct Scripted {
    steps: VecDeque<Step>,
    events: Events,
}

struct One(Vec<u8>);

impl Scripted {
    fn new(steps: &[Step]) -> Self {
        Self {
            steps: steps.iter().copied().collect(),
            events: Events::default(),
        }
    }
}

impl PacketSource for Scripted {
    type Batch<'a> = One;

    fn ready(&mut self) -> Result<Readiness, Error> {
        let interface = String::from("x0");
        match self.steps.front().unwrap() {
            P(_) => Ok(Readiness::Ready),
            Silence => Ok(Readiness::Empty),
            End => Ok(Readiness::Ended),
            Removed => Err(Error::InterfaceRemoved { interface }),
            Down => {
                self.steps.pop_front();
                let was_up = true;
                Err(Error::LinkDown { interface, was_up })
            }
        }
    }

    fn batch(&mut self) -> One {
        match self.steps.pop_front() {
            Some(P(byte)) => One(vec![byte]),
            step => panic!("no batch at {step:?}"),
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        self.events.borrow_mut().push(Event::Waited(timeout));
        if self.steps.front() == Some(&Silence) {
            self.steps.pop_front();
            if timeout.is_some() {
                return Ok(Readiness::Empty);
            }
        }
        self.ready()
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::default())
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl PacketBatch for One {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let packet = |bytes| Packet::new(bytes, Timestamp::EPOCH, LinkType::RAW_IP);
        self.0.chunks(1).map(packet)
    }
}

/// The bytes that a plain loop sees, and how it ends.
fn read(source: &mut impl PacketSource) -> (Vec<u8>, Result<(), Error>) {
    let mut seen = Vec::new();
    let end = source.for_each(|packet| seen.push(packet.data()[0]));
    (seen, end)
}

#[test]
fn a_loop_goes_on_over_silence_and_reports_until_the_end() {
    let steps = [Down, P(1), Silence, Silence, Down, Down, P(2), P(3), End];
    let mut source = Scripted::new(&steps);
    let (seen, end) = read(&mut source);
    assert_eq!(seen, [1, 2, 3]);
    assert!(end.is_ok(), "{end:?}");
    assert!(source.next_batch().unwrap().is_none());
    // A loan of a source and every adapter pass the wait on.
    let all = [SockFilter::stmt(0x06, u32::MAX)];
    let mut source = Scripted::new(&steps);
    let filtered = Filtered::new(&mut source, all).unwrap();
    let mut around = Limit::new(Tee::new(filtered, Writer::default()), 10);
    assert_eq!(read(&mut around).0, [1, 2, 3]);
    assert_eq!(source.steps, [End]);
}

#[test]
fn a_removal_comes_out_of_every_wait_each_time() {
    let mut source = Scripted::new(&[P(1), Down, Removed]);
    let (seen, end) = read(&mut source);
    assert_eq!(seen, [1]);
    let removed = |error: &Error| matches!(error, Error::InterfaceRemoved { .. });
    assert!(removed(&end.unwrap_err()));
    for _ in 0..2 {
        assert!(removed(&source.next_batch().map(drop).unwrap_err()));
        let timed = source.next_batch_timeout(SECOND).map(drop);
        assert!(removed(&timed.unwrap_err()));
    }
}

#[test]
fn a_timeout_is_neither_a_batch_nor_the_end() {
    let mut source = Scripted::new(&[P(1), Silence, P(2), Silence, End]);
    let mut next = |timeout| match source.next_batch_timeout(timeout).unwrap() {
        Timed::Batch(batch) => Some(batch.0[0]),
        Timed::TimedOut => None,
        Timed::Ended => Some(0),
    };
    assert_eq!([next(SECOND), next(SECOND)], [Some(1), None]);
    assert_eq!([next(SECOND), next(Duration::ZERO)], [Some(2), None]);
    assert_eq!([next(SECOND), next(SECOND)], [Some(0), Some(0)]);
    // Each is one wait, for the whole time.
    let waited = |time| Event::Waited(Some(time));
    let expected = [SECOND, SECOND, SECOND, Duration::ZERO, SECOND, SECOND].map(waited);
    assert_eq!(source.events.take(), expected);
}

#[test]
fn a_report_does_not_prolong_a_timeout() {
    let mut source = Scripted::new(&[Down, Down, P(1)]);
    let timed = source.next_batch_timeout(SECOND).unwrap();
    assert!(matches!(timed, Timed::Batch(_)));
    let events = source.events.take();
    let [
        Event::Waited(Some(first)),
        Event::Waited(Some(second)),
        Event::Waited(Some(third)),
    ] = events[..]
    else {
        panic!("{events:?}");
    };
    assert!(first == SECOND && second < first && third < second);
}

#[test]
fn a_source_that_cannot_wait_says_so_instead_of_spinning() {
    struct Still;
    impl PacketSource for Still {
        type Batch<'a> = One;

        fn ready(&mut self) -> Result<Readiness, Error> {
            Ok(Readiness::Empty)
        }

        fn batch(&mut self) -> One {
            One(Vec::new())
        }

        fn stats(&mut self) -> Result<Stats, Error> {
            Ok(Stats::default())
        }

        fn is_live(&self) -> bool {
            false
        }
    }
    let timed = Still.next_batch_timeout(SECOND).map(drop).unwrap_err();
    for error in [Still.next_batch().map(drop).unwrap_err(), timed] {
        assert_eq!(
            error.to_string(),
            "PacketSource::wait: the source is empty before its end, and does not implement waiting"
        );
    }
}

/// Notes when it is flushed.
#[derive(Default)]
struct Writer(Events);

impl PacketWriter for Writer {
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        match packet.data()[0] {
            9 => Err(Error::FrameLength { len: 9, max: 1 }),
            _ => Ok(true),
        }
    }

    fn flush(&mut self) -> Result<bool, Error> {
        self.0.borrow_mut().push(Event::Flushed);
        Ok(true)
    }
}

#[test]
fn a_tee_flushes_before_it_waits_and_its_reports_end_no_loop() {
    let source = Scripted::new(&[P(1), P(9), P(2), Silence, End]);
    let events = source.events.clone();
    let mut tee = Tee::new(source, Writer(events.clone()));
    let (seen, end) = read(&mut tee);
    assert_eq!(seen, [1, 9, 2]);
    assert!(end.is_ok(), "{end:?}");
    assert_eq!((tee.written(), tee.missed()), (2, 1));
    let expected = [Event::Flushed, Event::Waited(None)];
    assert_eq!(events.take(), expected);
}

#[test]
fn a_limit_that_is_reached_waits_for_nothing() {
    let mut limit = Limit::new(Scripted::new(&[P(1), Silence]), 1);
    assert_eq!(read(&mut limit).0, [1]);
    assert!(matches!(
        limit.next_batch_timeout(SECOND).unwrap(),
        Timed::Ended
    ));
    // The one wait was for the packet.
    assert_eq!(limit.get_ref().events.take(), [Event::Waited(None)]);
}
