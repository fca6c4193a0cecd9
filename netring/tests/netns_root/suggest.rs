//! The suggestion for AF_XDP is what `auto` opens by trying.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use netring::auto::{self, Backend};
use netring::suggest::{Reason, Wants};
use netring::{Interface, XdpCapture};
use xtask::netns::{Netns, ip, veth_with_queues};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_suggestion_is_what_auto_opens() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let wants = Wants::new().cores(4).divert(true);
    for (interface, backend, workers, why) in [
        ("v1", Backend::XdpNative, 2, Reason::NativeMode),
        ("lo", Backend::AfPacket, 4, Reason::NoNativeMode),
    ] {
        ip("link set lo up").unwrap();
        let found = Interface::by_name(interface).unwrap();
        let suggestion = wants.suggest(&found, &found.information().unwrap());
        assert_eq!((suggestion.backend, suggestion.workers), (backend, workers));
        assert_eq!(suggestion.reasons[0], why);
        // Generic mode is no better than AF_PACKET.
        let better = Backend::ALL
            .into_iter()
            .filter(|it| *it != Backend::XdpGeneric);
        let builder = auto::builder().interface(interface).divert(true);
        let capture = builder.backends(better).profile(suggestion.profile).build();
        assert_eq!(capture.unwrap().backend(), backend, "{interface}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_that_is_there_is_not_replaced() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 1).unwrap();
    let _capture = XdpCapture::open("v1").unwrap();
    let v1 = Interface::by_name("v1").unwrap();
    let wants = Wants::new().divert(true);
    let suggestion = wants.suggest(&v1, &v1.information().unwrap());
    assert_eq!(suggestion.backend, Backend::AfPacket);
    let interface = "v1".into();
    assert_eq!(suggestion.reasons[0], Reason::ProgramInTheWay { interface });
}
