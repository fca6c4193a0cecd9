//! Each rule, and what overrides it.

use super::*;
use netring_sys::Driver;

fn interface(mtu: u32, queues: u32) -> Interface {
    let mut interface = Interface::any();
    interface.name = "eth0".into();
    (interface.mtu, interface.rx_queues) = (mtu, queues);
    interface
}

/// A card whose driver supports all that there is.
fn card(speed: u32) -> InterfaceInformation {
    let mut xdp = XdpFeatures::default();
    (xdp.native, xdp.redirect, xdp.zero_copy) = (true, true, true);
    let mut driver = Driver::default();
    driver.bus = Some("0000:00:03.0".into());
    let mut information = InterfaceInformation::default();
    information.speed = Some(speed);
    information.driver = Some(driver);
    information.xdp = Some(xdp);
    information.carries_default_route = Some(false);
    information
}

const fn diverting() -> Wants {
    Wants::new().divert(true)
}

/// The backend and its reason.
fn backend(wants: &Wants, mtu: u32, information: &InterfaceInformation) -> (Backend, Reason) {
    let suggestion = wants.suggest(&interface(mtu, 8), information);
    (suggestion.backend, suggestion.reasons[0].clone())
}

#[test]
fn packets_stay_with_the_host_unless_that_is_permitted() {
    let mut information = card(1000);
    let stays = |wants: &Wants, information: &InterfaceInformation, why| {
        let expected = (Backend::AfPacket, why);
        assert_eq!(backend(wants, 1500, information), expected);
    };
    let name = || "eth0".to_owned();
    stays(&Wants::new(), &information, Reason::DivertNotPermitted);
    information.carries_default_route = Some(true);
    let route = Reason::DefaultRoute { interface: name() };
    stays(&diverting(), &information, route);
    information.carries_default_route = None;
    let unknown = Reason::DefaultRouteUnknown { interface: name() };
    stays(&diverting(), &information, unknown);
    let all = diverting().divert_default_route(true);
    assert_eq!(backend(&all, 1500, &information).0, Backend::XdpZeroCopy);
    // It does not permit the one without the other.
    let half = Wants::new().divert_default_route(true);
    stays(&half, &information, Reason::DivertNotPermitted);
}

#[test]
fn the_best_mode_that_the_driver_supports_is_suggested() {
    let mut information = card(1000);
    let suggested = |information: &_| backend(&diverting(), 1500, information);
    let zero_copy = (Backend::XdpZeroCopy, Reason::ZeroCopy);
    assert_eq!(suggested(&information), zero_copy);
    let mut xdp = information.xdp.take().expect("it was set");
    assert_eq!(
        suggested(&information),
        (Backend::AfPacket, Reason::XdpUnknown)
    );
    xdp.zero_copy = false;
    information.xdp = Some(xdp);
    let native = (Backend::XdpNative, Reason::NativeMode);
    assert_eq!(suggested(&information), native);
    xdp.redirect = false;
    information.xdp = Some(xdp);
    let none = (Backend::AfPacket, Reason::NoNativeMode);
    assert_eq!(suggested(&information), none);
}

#[test]
fn a_backend_that_cannot_hold_every_packet_is_not_suggested() {
    let mut information = card(1000);
    let suggested = |mtu, information: &_| backend(&diverting(), mtu, information);
    // The longest that is in one buffer, and the next.
    let longest = one_buffer() - HEADER;
    assert_eq!(suggested(longest, &information).0, Backend::XdpZeroCopy);
    let mtu = longest + 1;
    let long = (Backend::AfPacket, Reason::LongPackets { mtu });
    assert_eq!(suggested(mtu, &information), long);
    let mut xdp = information.xdp.take().expect("it was set");
    xdp.receive_segments = true;
    information.xdp = Some(xdp);
    assert_eq!(suggested(mtu, &information).0, Backend::XdpNative);
    xdp.zero_copy_segments = Some(8);
    information.xdp = Some(xdp);
    assert_eq!(suggested(mtu, &information).0, Backend::XdpZeroCopy);
}

#[test]
fn workers_are_bounded_by_processors_and_by_the_queues_of_af_xdp() {
    let suggested = |wants: &Wants, queues| {
        let suggestion = wants.suggest(&interface(1500, queues), &card(1000));
        (suggestion.workers, suggestion.reasons[1].clone())
    };
    assert_eq!(suggested(&Wants::new(), 8), (1, Reason::OneProcessor));
    assert_eq!(
        suggested(&Wants::new().cores(0), 8),
        (1, Reason::OneProcessor)
    );
    // Fanout needs no queues.
    let fanout = (4, Reason::Fanout { cores: 4 });
    assert_eq!(suggested(&Wants::new().cores(4), 1), fanout);
    let (queues, cores) = (2, 4);
    let few = (2, Reason::FewQueues { queues, cores });
    assert_eq!(suggested(&diverting().cores(4), 2), few);
    let (queues, cores) = (8, 4);
    let enough = (4, Reason::Queues { queues, cores });
    assert_eq!(suggested(&diverting().cores(4), 8), enough);
    let memory = Wants::new().cores(4).goal(Goal::Memory);
    assert_eq!(suggested(&memory, 8), (1, Reason::RingOfEachWorker));
}

#[test]
fn the_profile_follows_from_the_goal_the_speed_and_the_mtu() {
    let suggested = |wants: &Wants, mtu, information: &InterfaceInformation| {
        let suggestion = wants.suggest(&interface(mtu, 1), information);
        (suggestion.profile, suggestion.reasons[2].clone())
    };
    let goal = |goal| (Wants::new().goal(goal), Reason::Goal(goal));
    let (balanced, as_wanted) = goal(Goal::Balanced);
    let default = (Profile::Default, as_wanted.clone());
    assert_eq!(suggested(&balanced, 1500, &card(9_999)), default);
    let speed = 10_000;
    let fast = (Profile::HighThroughput, Reason::FastLink { speed });
    assert_eq!(suggested(&balanced, 1500, &card(speed)), fast);
    // veth says 10,000 too.
    let mut nominal = card(speed);
    nominal.driver.as_mut().expect("it was set").bus = None;
    assert_eq!(suggested(&balanced, 1500, &nominal), default);
    let mtu = 9000;
    let jumbo = (Profile::Jumbo, Reason::JumboFrames { mtu });
    assert_eq!(suggested(&balanced, mtu, &card(speed)), jumbo);
    assert_eq!(suggested(&balanced, 8999, &card(1000)), default);
    let (throughput, as_wanted) = goal(Goal::Throughput);
    assert_eq!(suggested(&throughput, mtu, &card(speed)), jumbo);
    let most = (Profile::HighThroughput, as_wanted);
    assert_eq!(suggested(&throughput, 1500, &card(100)), most);
    let (latency, as_wanted) = goal(Goal::Latency);
    let at_once = (Profile::Immediate, as_wanted.clone());
    assert_eq!(suggested(&latency, mtu, &card(speed)), at_once);
    let soon = (Profile::LowLatency, as_wanted);
    assert_eq!(suggested(&latency.divert(true), 1500, &card(speed)), soon);
    let (memory, as_wanted) = goal(Goal::Memory);
    let small = (Profile::LowMemory, as_wanted);
    assert_eq!(suggested(&memory, mtu, &card(speed)), small);
}

#[test]
fn a_suggestion_is_one_line_and_a_reason_one_sentence() {
    let suggestion = Wants::new()
        .cores(4)
        .suggest(&interface(1500, 1), &card(1000));
    let line = suggestion.to_string();
    assert_eq!(line, "AF_PACKET, profile Default, 4 workers");
    let lines: Vec<_> = suggestion.reasons.iter().map(Reason::to_string).collect();
    assert_eq!(
        lines,
        [
            "AF_XDP takes packets away from this host; permit it with `divert(true)`",
            "the kernel shares the packets among 4 workers, each flow with one of them",
            "moderate memory and few wake-ups",
        ]
    );
    let one = Wants::new().suggest(&interface(1500, 1), &card(1000));
    assert!(one.to_string().ends_with(", 1 worker"), "{one}");
}
