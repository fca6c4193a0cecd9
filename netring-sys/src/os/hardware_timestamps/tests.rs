use std::cell::Cell;
use std::io;

use super::*;
use crate::errno::{EOPNOTSUPP, EPERM};

const PTP: i32 = 12;

/// A card that does what drivers do.
#[derive(Debug)]
struct Fake {
    now: Cell<hwtstamp_config>,
    /// What it makes of a request, or its error number.
    answer: fn(i32) -> Result<i32, i32>,
    sets: Cell<u32>,
}

impl Fake {
    fn new(rx_filter: i32, answer: fn(i32) -> Result<i32, i32>) -> Self {
        let now = hwtstamp_config {
            flags: 0,
            tx_type: 1,
            rx_filter,
        };
        Self {
            now: Cell::new(now),
            answer,
            sets: Cell::new(0),
        }
    }

    fn filter(&self) -> i32 {
        assert_eq!(self.now.get().tx_type, 1, "nothing else is changed");
        self.now.get().rx_filter
    }

    fn become_set_to(&self, rx_filter: i32) {
        let now = self.now.get();
        self.now.set(hwtstamp_config { rx_filter, ..now });
    }
}

impl Calls for &Fake {
    fn get(&self) -> Result<hwtstamp_config, SyscallError> {
        match self.now.get().rx_filter {
            -1 => Err(failed(EOPNOTSUPP)),
            _ => Ok(self.now.get()),
        }
    }

    fn set(&self, config: hwtstamp_config) -> Result<hwtstamp_config, SyscallError> {
        self.sets.set(self.sets.get() + 1);
        let made = (self.answer)(config.rx_filter).map_err(failed)?;
        self.become_set_to(made);
        Ok(self.now.get())
    }
}

fn failed(errno: i32) -> SyscallError {
    SyscallError {
        call: "ioctl(SIOCSHWTSTAMP)",
        source: io::Error::from_raw_os_error(errno),
    }
}

fn refused(card: &Fake, replace: bool) -> String {
    enable(card, "eth7", replace).unwrap_err().to_string()
}

#[test]
fn a_card_that_stamped_nothing_stamps_all_and_then_nothing_again() {
    let card = Fake::new(HWTSTAMP_FILTER_NONE, Ok);
    let enabled = enable(&card, "eth7", false).unwrap();
    assert!(enabled.is_some());
    assert_eq!(card.filter(), HWTSTAMP_FILTER_ALL);
    // A second user of the same card changes nothing, and so restores nothing.
    let second = enable(&card, "eth7", false).unwrap();
    assert!(second.is_none());
    drop(second);
    assert_eq!(card.filter(), HWTSTAMP_FILTER_ALL);
    drop(enabled);
    assert_eq!((card.filter(), card.sets.get()), (HWTSTAMP_FILTER_NONE, 2));
}

#[test]
fn a_card_that_is_set_up_for_another_program_is_replaced_on_request_only() {
    let card = Fake::new(PTP, Ok);
    let error = refused(&card, false);
    assert!(error.contains("PTP daemon (rx_filter 12)"), "{error}");
    assert_eq!((card.filter(), card.sets.get()), (PTP, 0));
    let enabled = enable(&card, "eth7", true).unwrap();
    assert_eq!(card.filter(), HWTSTAMP_FILTER_ALL);
    drop(enabled);
    assert_eq!(card.filter(), PTP);
}

#[test]
fn what_another_program_set_meanwhile_stays() {
    let card = Fake::new(HWTSTAMP_FILTER_NONE, Ok);
    let enabled = enable(&card, "eth7", false).unwrap();
    card.become_set_to(PTP);
    drop(enabled);
    assert_eq!((card.filter(), card.sets.get()), (PTP, 1));
}

#[test]
fn a_card_that_cannot_do_it_is_named_and_left_as_it_was() {
    let without = Fake::new(-1, Ok);
    let error = refused(&without, true);
    assert!(error.contains("\"eth7\" has none (EOPNOTSUPP)"), "{error}");
    assert!(error.contains("TimestampSource::Software"), "{error}");
    assert_eq!(without.sets.get(), 0);
    // Some can be asked and not be set; some refuse; some do less than they were asked for.
    for (answer, text) in [
        (
            (|_| Err(EOPNOTSUPP)) as fn(i32) -> Result<i32, i32>,
            "has none",
        ),
        (|_| Err(ERANGE), "only some"),
        (
            |filter| Ok(if filter == 1 { PTP } else { filter }),
            "only some",
        ),
    ] {
        let card = Fake::new(HWTSTAMP_FILTER_NONE, answer);
        let error = refused(&card, false);
        assert!(error.contains(text), "{error}");
        assert_eq!(card.filter(), HWTSTAMP_FILTER_NONE);
    }
    let denied = Fake::new(HWTSTAMP_FILTER_NONE, |_| Err(EPERM));
    let error = refused(&denied, false);
    assert!(error.contains("SIOCSHWTSTAMP"), "{error}");
}
