//! The interfaces and their names, compared with iproute2, in namespaces of the tests' own.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use netring_sys::wait::Waiter;
use netring_sys::{Count, Error, Interface, LinkType, syscall};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, ip_batch, ip_says, veth};

/// Index and name of every interface, as `ip` lists them.
fn listed() -> Vec<(u32, String)> {
    let said = ip_says("-oneline link show").unwrap();
    let line = |line: &str| {
        let (index, rest) = line.split_once(": ").unwrap();
        let name = rest.split([':', '@']).next().unwrap();
        (index.parse().unwrap(), name.to_owned())
    };
    said.lines().map(line).collect()
}

fn indexes_and_names(interfaces: &[Interface]) -> Vec<(u32, String)> {
    let pair = |interface: &Interface| (interface.index, interface.name.clone());
    interfaces.iter().map(pair).collect()
}

fn pairs(count: usize) {
    let commands = (0..count).map(|n| format!("link add name a{n} type veth peer name b{n}\n"));
    ip_batch(&commands.collect::<String>()).unwrap();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_interfaces_of_a_namespace_are_listed_whole_and_in_order() {
    let _ns = Netns::enter().unwrap();
    let alone = Interface::all().unwrap();
    assert_eq!(indexes_and_names(&alone), [(1, "lo".to_owned())]);
    assert_eq!(alone, [Interface::by_name("lo").unwrap()]);

    veth("a", "b").unwrap();
    ip("link set dev b down mtu 1300 alias to_the_left").unwrap();
    ip("link property add dev b altname second-name-of-b altname third").unwrap();
    let all = Interface::all().unwrap();
    assert_eq!(indexes_and_names(&all), listed());
    let [lo, a_or_b, other] = &all[..] else {
        panic!("{all:?}");
    };
    assert!(lo.index < a_or_b.index && a_or_b.index < other.index);
    let b = all.iter().find(|interface| interface.name == "b").unwrap();
    assert_eq!(b, &Interface::by_name("b").unwrap());
    assert_eq!((b.mtu, b.is_up()), (1300, false));
    assert_eq!(b.link_type(), LinkType::ETHERNET);
    assert_eq!(b.alternative_names, ["second-name-of-b", "third"]);
    assert_eq!(b.description.as_deref(), Some("to_the_left"));
    assert_eq!((lo.is_loopback(), lo.description.as_deref()), (true, None));

    // Another thread's namespace has interfaces of its own.
    let there = Netns::new().unwrap();
    let names = there.run(|| Ok(indexes_and_names(&Interface::all().unwrap())));
    assert_eq!(names.unwrap(), [(1, "lo".to_owned())]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_addresses_of_an_interface_are_its_own() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    for address in [
        "10.1.2.3/24 dev a",
        "10.1.2.4/24 dev a",
        "192.0.2.1 peer 192.0.2.2/32 dev a",
        "2001:db8::1/64 dev a nodad",
        "10.9.9.9/8 dev b",
    ] {
        ip(&format!("address add {address}")).unwrap();
    }
    let of = |name| {
        let addresses = Interface::by_name(name).unwrap().addresses().unwrap();
        let text = addresses
            .iter()
            .map(|at| format!("{}/{}", at.ip, at.prefix_len));
        text.collect::<Vec<_>>()
    };
    assert_eq!(
        of("a"),
        [
            "10.1.2.3/24",
            "192.0.2.1/32",
            "10.1.2.4/24",
            "2001:db8::1/64"
        ]
    );
    assert_eq!(of("b"), ["10.9.9.9/8"]);
    assert_eq!(of("lo"), ["127.0.0.1/8", "::1/128"]);
}

/// Commands of `ip`, separated by semicolons, and the interfaces that then carry a default route.
const ROUTES: [(&str, &[&str]); 10] = [
    ("route add 10.9.0.0/16 via 10.0.0.9", &[]),
    ("route add default via 10.0.0.9", &["a"]),
    ("route add default dev c metric 7 table 99", &["c"]),
    ("-6 route add default via fd00::9", &["a"]),
    ("-6 route add unreachable default metric 9", &[]),
    ("route add blackhole default", &[]),
    (
        "route add default nexthop via 10.0.0.9 nexthop via 10.1.0.9",
        &["a", "c"],
    ),
    (
        "nexthop add id 5 via 10.1.0.9 dev c; route add default nhid 5",
        &["c"],
    ),
    // What one end of a pair sends is what the other receives.
    (
        "link add name e type veth peer name f; link set dev e up; link set dev f up; route add default dev e",
        &["e", "f"],
    ),
    // A bridge receives through its ports.
    (
        "link add name br type bridge; link set dev a master br; link set dev br up; route add default dev br",
        &["a", "br"],
    ),
];

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_default_route_is_found_in_each_form_that_it_takes() {
    for (commands, carriers) in ROUTES {
        let _ns = Netns::enter().unwrap();
        let far = Netns::new().unwrap();
        for (near, end, host) in [("a", "b", "10.0.0.1"), ("c", "d", "10.1.0.1")] {
            veth(near, end).unwrap();
            far.take(end).unwrap();
            far.run(|| ip(&format!("link set dev {end} up"))).unwrap();
            ip(&format!("address add {host}/24 dev {near}")).unwrap();
        }
        ip("address add fd00::1/64 dev a nodad").unwrap();
        commands.split(';').for_each(|words| ip(words).unwrap());
        let carrying = || {
            let mut all = Interface::all().unwrap();
            all.retain(|interface| interface.carries_default_route().unwrap());
            let mut names: Vec<_> = all.into_iter().map(|interface| interface.name).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(carrying(), carriers, "{commands}");
        // The routes of another namespace are its own.
        let there = far.run(|| Ok(carrying()));
        assert_eq!(there.unwrap(), [""; 0]);
    }
}

/// A kernel that does not repeat the interface of a nexthop object: it may be any.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_default_route_through_an_unnamed_interface_may_be_through_each() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let carries = || Interface::by_name("lo").unwrap().carries_default_route();
    std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap();
    assert!(!carries().unwrap());
    ip("address add 10.0.0.1/24 dev a").unwrap();
    ip("nexthop add id 5 via 10.0.0.9 dev a").unwrap();
    ip("route add default nhid 5").unwrap();
    assert!(carries().unwrap());
}

/// More than the kernel sends at once, so it lists them in several parts.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn three_hundred_interfaces_are_listed_each_once() {
    let _ns = Netns::enter().unwrap();
    pairs(150);
    let all = Interface::all().unwrap();
    assert_eq!(all.len(), 301);
    assert_eq!(indexes_and_names(&all), listed());
}

/// An interface that comes or goes between two parts of the kernel's list can push others out of
/// it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_list_is_whole_while_other_interfaces_come_and_go() {
    let ns = Netns::enter().unwrap();
    pairs(150);
    let stays = listed();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            ns.run(|| {
                while !done.load(Ordering::Relaxed) {
                    ip("link add name x type veth peer name y")?;
                    ip("link del dev x")?;
                }
                Ok(())
            })
            .unwrap();
        });
        for _ in 0..30 {
            let mut all = indexes_and_names(&Interface::all().unwrap());
            all.retain(|(_, name)| name != "x" && name != "y");
            assert_eq!(all, stays);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_is_found_by_an_alternative_name_of_any_length() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let names = ["second", "fifteen-bytes-x", "sixteen-bytes-xy"];
    let names = names.map(str::to_owned).into_iter();
    let names: Vec<_> = names.chain(["n".repeat(127)]).collect();
    for name in &names {
        ip(&format!("link property add dev v0 altname {name}")).unwrap();
    }
    let v0 = Interface::by_name("v0").unwrap();
    assert_eq!(v0.alternative_names, names);
    for name in &names {
        assert_eq!(Interface::by_name(name).unwrap(), v0, "{name}");
    }
    // No name is truncated to one that exists.
    for name in ["n".repeat(126), "n".repeat(128), "sixteen-bytes-x".into()] {
        let error = Interface::by_name(&name).unwrap_err();
        assert!(
            matches!(&error, Error::NoSuchInterface { name: reported, .. } if *reported == name),
            "{error}"
        );
    }
}

/// A waiter over an unbound socket, which has no news of its own.
fn waiter(interface: &str) -> (std::os::fd::OwnedFd, Waiter) {
    let socket = syscall::packet_socket().unwrap();
    let interface = Interface::by_name(interface).unwrap();
    let waiter = Waiter::new(socket.as_fd(), &interface).unwrap();
    (socket, waiter)
}

/// The report that arrives within two seconds.
fn report(socket: &std::os::fd::OwnedFd, waiter: &mut Waiter) -> Error {
    let mut reported = None;
    wait_until("a report", Duration::from_secs(2), || {
        waiter.take_news(socket.as_fd()).unwrap();
        reported = waiter.report().err();
        reported.is_some()
    });
    reported.unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn reports_carry_the_name_that_the_interface_has_now() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let (socket, mut waiter) = waiter("a");
    let a = Interface::by_name("a").unwrap();
    ip("link set dev a down").unwrap();
    let down = report(&socket, &mut waiter);
    assert!(matches!(&down, Error::LinkDown { interface, was_up: true } if interface == "a"));
    ip("link set dev a name renamed").unwrap();
    ip("link set dev renamed up").unwrap();
    ip("link set dev renamed down").unwrap();
    let down = report(&socket, &mut waiter);
    assert!(
        matches!(&down, Error::LinkDown { interface, was_up: true } if interface == "renamed"),
        "{down}"
    );
    assert_eq!(a.current_name(), "renamed");
    ip("link set dev renamed name again").unwrap();
    ip("link del dev again").unwrap();
    let gone = report(&socket, &mut waiter);
    assert!(
        matches!(&gone, Error::InterfaceRemoved { interface } if interface == "again"),
        "{gone}"
    );
    assert_eq!(a.current_name(), "a");
}

/// The kernel sends all names of an interface with each notification about it: here more than 32
/// KiB.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn news_of_an_interface_with_hundreds_of_names_are_taken_in() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let name = |n: usize| format!("{n:03}-{}", "long-name-".repeat(12));
    let names = (0..300).map(|n| format!("link property add dev a altname {}\n", name(n)));
    ip_batch(&names.collect::<String>()).unwrap();
    let a = Interface::by_name(&name(299)).unwrap();
    assert_eq!((a.name.as_str(), a.alternative_names.len()), ("a", 300));
    assert_eq!(Interface::all().unwrap().len(), 3);
    let (socket, mut waiter) = waiter("a");
    ip("link set dev a down").unwrap();
    assert!(matches!(
        report(&socket, &mut waiter),
        Error::LinkDown { .. }
    ));
    assert_eq!(waiter.link_downs(), Count::Exact(1));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_was_down_from_the_start_is_down_and_did_not_go_down() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    ip("link set dev a down").unwrap();
    let (socket, mut waiter) = waiter("a");
    let down = report(&socket, &mut waiter);
    assert!(matches!(&down, Error::LinkDown { was_up: false, .. }));
    assert_eq!(
        down.to_string(),
        "the interface a is down; packets arrive when it is up"
    );
    assert_eq!(waiter.link_downs(), Count::Exact(0));
    ip("link set dev a up").unwrap();
    wait_until("a carrier", Duration::from_secs(2), || {
        Interface::by_name("a").unwrap().is_up()
    });
    waiter.take_news(socket.as_fd()).unwrap();
    waiter.report().unwrap();
    ip("link set dev a down").unwrap();
    let down = report(&socket, &mut waiter);
    assert!(matches!(&down, Error::LinkDown { was_up: true, .. }));
    assert_eq!(waiter.link_downs(), Count::Exact(1));
}
