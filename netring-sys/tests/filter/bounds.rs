//! Expressions that are very long or very deep, from text or from the builder: each is compiled or
//! refused, in bounded time and stack.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use netring_sys::filter::{Expr, Inside, Number, Protocol, Relation, Side, Transport, Width};
use netring_sys::{LinkType, Matcher, Packet, Timestamp};

/// Generous: debug builds on a loaded machine. What is quadratic takes minutes.
const SOON: Duration = Duration::from_secs(60);

fn refused(expression: &Expr) -> String {
    let refused = expression.for_bytes(LinkType::ETHERNET);
    let live = expression.for_live_socket(LinkType::ETHERNET);
    assert!(
        live.is_err(),
        "{} instructions",
        live.unwrap().instructions().len()
    );
    refused.unwrap_err().to_string()
}

fn tcp() -> Expr {
    Expr::protocol(Protocol::Tcp)
}

fn port(n: u32) -> Expr {
    Expr::port(Transport::Tcp, Side::Either, n as u16)
}

/// Nothing is lost: a tree that is too deep is refused, and never used in part.
#[test]
fn a_tree_that_is_too_deep_is_refused_however_it_was_built() {
    let start = Instant::now();
    let grow: [fn(Expr, u32) -> Expr; 5] = [
        |tree, _| !tree,
        |tree, n| port(n).and(tree),
        |tree, n| port(n).or(tree),
        |tree, n| {
            if n % 2 == 0 {
                tree.and(port(n))
            } else {
                tree.or(port(n))
            }
        },
        |tree, n| if n % 2 == 0 { !tree } else { tree.or(port(n)) },
    ];
    for grow in grow {
        let deep = (0..1_000_000).fold(tcp(), grow);
        assert_eq!(refused(&deep), "filter: nested more than 200 levels deep");
        let copy = deep.clone();
        assert_eq!(copy, deep);
        assert!(HashSet::from([deep]).contains(&copy));
        assert!(!format!("{copy:?}").is_empty());
        // It prints as text that is refused.
        assert!(copy.to_string().parse::<Expr>().is_err());
        // What is around it is refused too.
        assert_eq!(
            refused(&tcp().or(!copy)),
            "filter: nested more than 200 levels deep"
        );
    }
    let grow: [fn(Number) -> Number; 4] = [
        |number| number + 1,
        |number| Number::from(1) + number,
        |number| -number,
        |number| Number::load(Protocol::Ip, number, Width::Byte),
    ];
    for grow in grow {
        let deep = (0..1_000_000).fold(Number::length(), |number, _| grow(number));
        let deep = Expr::compare(deep, Relation::Equal, 1);
        assert!(refused(&deep).ends_with("nested more than 200 levels deep"));
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_tree_of_as_many_levels_as_text_may_have_is_compiled() {
    let deep = (0..200).fold(tcp(), |tree, _| !tree);
    assert_eq!(
        deep.for_bytes(LinkType::ETHERNET).unwrap(),
        tcp().for_bytes(LinkType::ETHERNET).unwrap()
    );
    let deep = (0..200).fold(tcp(), |tree, n| {
        if n % 2 == 0 {
            tree.and(port(n))
        } else {
            tree.or(port(n))
        }
    });
    assert!(deep.for_bytes(LinkType::ETHERNET).unwrap().check().is_ok());
    let deep = (0..200).fold(Number::length(), |number, _| number + 1);
    let deep = Expr::compare(deep, Relation::Greater, 259);
    let matcher = Matcher::new(deep.for_bytes(LinkType::ETHERNET).unwrap()).unwrap();
    for (len, expected) in [(59, false), (60, true)] {
        let packet = [0; 60];
        let packet = Packet::new(&packet[..len], Timestamp::EPOCH, LinkType::ETHERNET);
        assert_eq!(matcher.matches(&packet), expected);
    }
}

/// A chain is flat, however long it is.
#[test]
fn a_long_list_is_compiled_or_refused_soon() {
    let address = |n: u32| Expr::host(Side::Either, (0x0a00_0000 + n).to_be_bytes());
    let list =
        |n: u32, term: &dyn Fn(u32) -> Expr| (1..n).fold(term(0), |list, n| list.or(term(n)));
    let start = Instant::now();
    for hosts in [600, 1300] {
        let program = list(hosts, &address).for_bytes(LinkType::ETHERNET).unwrap();
        assert!(program.check().is_ok());
        assert!(
            (!list(hosts, &address))
                .for_live_socket(LinkType::ETHERNET)
                .is_ok()
        );
    }
    for hosts in [2000, 5_000] {
        let long = list(hosts, &address);
        let why = refused(&long);
        assert!(why.contains("a program has up to 4096"), "{why}");
        let why = refused(&!long);
        assert!(why.contains("a program has up to 4096"), "{why}");
    }
    let protocols = list(4000, &|n| Expr::number(Inside::Link, 0x600 + n));
    assert_eq!(
        protocols
            .for_bytes(LinkType::ETHERNET)
            .unwrap()
            .instructions()
            .len(),
        4018
    );
    for long in [
        list(5_000, &|n| {
            Expr::ether_host(
                Side::Src,
                [2, 0, 0, (n >> 16) as u8, (n >> 8) as u8, n as u8],
            )
        }),
        list(5_000, &port),
        (1..5_000).fold(address(0), |list, n| list.and(!address(n))),
    ] {
        refused(&long);
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}
