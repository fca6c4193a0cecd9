//! Finding network namespaces, and what is said about those that are not.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs::File;
use std::process::{Command, Stdio};

use netring_sys::{Error, Interface, Namespace};
use xtask::netns::{Netns, ip, own_names};

#[track_caller]
fn refused(opened: Result<Namespace, Error>, text: &str) {
    assert_eq!(opened.unwrap_err().to_string(), text);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn names_are_those_of_ip_netns() {
    let _ns = Netns::enter().unwrap();
    own_names().unwrap();
    assert_eq!(Namespace::names().unwrap(), [""; 0]);
    let none =
        "there is no network namespace \"blue\"; none has a name; `ip netns add NAME` makes one";
    refused(Namespace::by_name("blue"), none);
    for name in ["red", "blue"] {
        ip(&format!("netns add {name}")).unwrap();
    }
    assert_eq!(Namespace::names().unwrap(), ["blue", "red"]);
    for name in ["blu", "", ".", "..", "../netns/blue", "a/b", "blue\0"] {
        let text = format!("there is no network namespace {name:?}; those that exist: blue, red");
        refused(Namespace::by_name(name), &text);
    }

    let (blue, red) = (
        Namespace::by_name("blue").unwrap(),
        Namespace::by_name("red").unwrap(),
    );
    assert_ne!(blue, red);
    assert_eq!(blue, Namespace::by_path("/run/netns/blue").unwrap());
    assert_eq!(
        (blue.to_string(), blue.is_current()),
        ("blue".into(), false)
    );
    ip("-n blue link add name only_in_blue type bridge").unwrap();
    let names = |namespace: &Namespace| {
        let all = Interface::all_in(namespace).unwrap();
        assert!(
            all.iter()
                .all(|one| one.namespace.as_ref() == Some(namespace))
        );
        all.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&blue), ["lo", "only_in_blue"]);
    assert_eq!(names(&red), ["lo"]);
    let error = Interface::by_name_in(&red, "only_in_blue").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no interface \"only_in_blue\" in the network namespace red; `ip -n red link` lists those that exist"
    );

    // A name whose mount is gone, as after a restart with /run on a disk.
    File::create("/run/netns/stale").unwrap();
    let stale = "namespace: stale is not a namespace; its mount is gone; remove it with `ip netns delete` and add it again";
    refused(Namespace::by_name("stale"), stale);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_is_not_a_network_namespace_is_refused_and_nothing_blocks() {
    let _ns = Netns::enter().unwrap();
    let help = "; give the path of one, such as /proc/PID/ns/net";
    let path = "/proc/self/ns/mnt";
    let text = format!("namespace: {path} is a namespace, but not a network namespace{help}");
    refused(Namespace::by_path(path), &text);
    for path in ["/etc/passwd", "/dev/null", "/"] {
        let text = format!("namespace: {path} is not a namespace{help}");
        refused(Namespace::by_path(path), &text);
    }
    let pipe = std::env::temp_dir().join(format!("netring-pipe-{}", std::process::id()));
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let opened = Namespace::by_path(&pipe);
    std::fs::remove_file(&pipe).unwrap();
    let text = format!("namespace: {} is not a namespace{help}", pipe.display());
    refused(opened, &text);
    let text = "there is no network namespace \"/no/such/file\"; there is no such file";
    refused(Namespace::by_path("/no/such/file"), text);
    let text = "there is no network namespace \"4294967295\"; there is no process of this number";
    refused(Namespace::of_process(u32::MAX), text);
    let error = Namespace::from_fd(File::open("/etc/passwd").unwrap().into()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("namespace: net:[") && text.contains("is not a namespace"),
        "{text}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_namespace_of_a_process_is_found_by_its_number() {
    let _ns = Netns::enter().unwrap();
    ip("link add name only_here type bridge").unwrap();
    let there = Netns::new().unwrap();
    let sleep = || Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
    let (mut here, mut far) = (sleep().unwrap(), there.run(sleep).unwrap());
    let of = |process: &std::process::Child| Namespace::of_process(process.id()).unwrap();
    let (near, away) = (of(&here), of(&far));
    for child in [&mut here, &mut far] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(near, Namespace::current().unwrap());
    assert_eq!(away, there.handle().unwrap());
    // The namespace outlives the process.
    assert!(Interface::by_name_in(&near, "only_here").is_ok());
    assert!(Interface::by_name_in(&away, "only_here").is_err());
    assert!(Interface::by_name_in(&away, "lo").unwrap().is_loopback());
}
