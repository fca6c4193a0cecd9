//! Timestamps of the card, on interfaces whose drivers have none. The settings of a card that has
//! them are tested in `netring-sys/src/os/hardware_timestamps/tests.rs`.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::AsFd;
use std::time::Duration;

use netring_afpacket::{Capture, CaptureBuilder, Profile, TimestampSource};
use netring_sys::{Clock, Error, HardwareTimestamps, Interface, errno, syscall};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, numbered};

const SILENCE: Duration = Duration::from_millis(300);

fn builder() -> CaptureBuilder {
    let builder = Capture::builder().interface("a");
    builder.profile(Profile::LowMemory)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_driver_without_hardware_timestamps_is_named_with_what_to_use_instead() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    for replace in [false, true] {
        let builder = builder().enable_hardware_timestamps(true);
        let error = builder.replace_hardware_timestamps(replace).build();
        assert_eq!(
            error.unwrap_err().to_string(),
            "hardware timestamps: the driver of \"a\" has none (EOPNOTSUPP); use the clock of the kernel, `TimestampSource::Software`"
        );
    }
    // The failed capture leaves nothing behind, and the next one opens.
    let builder = builder().enable_hardware_timestamps(true);
    let builder = builder.enable_hardware_timestamps(false);
    let mut capture = builder
        .timestamps(TimestampSource::Software)
        .build()
        .unwrap();
    Sender::on("b").unwrap().send(&numbered(1, 60)).unwrap();
    assert_eq!(collect(&mut capture, 1, SILENCE).unwrap().len(), 1);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn hardware_timestamps_that_no_packet_would_show_are_refused() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = builder().enable_hardware_timestamps(true);
    let error = builder.timestamps(TimestampSource::Software).build();
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        Error::Config {
            setting: "timestamps",
            ..
        }
    ));
    assert!(error.to_string().contains("needs RawHardware"), "{error}");
}

/// Whatever clock is requested, no packet claims one that the interface does not have.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s9_no_packet_of_an_interface_without_a_clock_says_hardware() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    for profile in [Profile::LowMemory, Profile::Immediate] {
        let builder = builder().profile(profile);
        let builder = builder.timestamps(TimestampSource::RawHardware);
        let mut capture = builder.build().unwrap();
        (0..20).for_each(|n| sender.send(&numbered(n, 60)).unwrap());
        let packets = collect(&mut capture, 20, SILENCE).unwrap();
        assert_eq!(packets.len(), 20);
        for packet in packets {
            let clock = packet.timestamp().clock();
            assert!(
                matches!(clock, Clock::Software | Clock::Socket),
                "{clock:?}"
            );
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_says_what_it_can_stamp() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    for name in ["a", "lo"] {
        let can = Interface::by_name(name).unwrap().timestamping().unwrap();
        assert!(can.is_software_available());
        assert_eq!((can.clock(), can.config()), (None, None));
        assert!(!can.stamps_any_packet() && !can.stamps_every_packet_now());
        assert_eq!(can.to_string(), "no hardware timestamps");
    }
    // An interface that was renamed, and one that is gone.
    let interface = Interface::by_name("a").unwrap();
    ip("link set dev a down").unwrap();
    ip("link set dev a name c").unwrap();
    assert!(interface.timestamping().is_ok());
    ip("link del dev c").unwrap();
    let gone = interface.timestamping().unwrap_err();
    assert!(
        matches!(&gone, Error::Syscall(error) if error.is_no_device()),
        "{gone}"
    );
    let gone = HardwareTimestamps::enable(&interface, false).unwrap_err();
    assert!(
        matches!(&gone, Error::Syscall(error) if error.is_no_device()),
        "{gone}"
    );
    let socket = syscall::interface_socket().unwrap();
    let none = syscall::hardware_timestamping(socket.as_fd(), "lo").unwrap_err();
    assert!(none.is(errno::EOPNOTSUPP), "{none}");
    let config = netring_sys::kernel::timestamping::hwtstamp_config::default();
    let none = syscall::set_hardware_timestamping(socket.as_fd(), "lo", config).unwrap_err();
    assert!(none.is(errno::EOPNOTSUPP), "{none}");
}
