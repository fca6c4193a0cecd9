//! `protochain`: a protocol behind extension headers, in user space and in the kernel.

use netring_sys::filter::{Expr, Inside};
use netring_sys::{LinkType, Matcher};

use super::Kernel;
use super::expressions::{PORTS, ethernet, expression, frame, ip4, ip6};

/// TCP behind headers of these kinds, each of another length, and the kind of the first one.
fn chain(kinds: &[u8]) -> (u8, Vec<u8>) {
    let (mut next, mut bytes) = (6, PORTS.to_vec());
    for (n, kind) in kinds.iter().enumerate().rev() {
        let words = n as u8 % 3;
        let (words, length) = match kind {
            44 => (0, 8),
            51 => (words + 1, (usize::from(words) + 3) * 4),
            _ => (words, (usize::from(words) + 1) * 8),
        };
        let mut header = vec![next, words];
        header.resize(length, 7);
        bytes = [header, bytes].concat();
        next = *kind;
    }
    (next, bytes)
}

#[test]
fn s14_a_protocol_is_found_behind_extension_headers() {
    for (kinds, is_found) in [
        (&[][..], true),
        (&[0], true),
        (&[60, 43, 44], true),
        (&[51], true),
        (&[0, 51, 60, 51], true),
        (&[0, 60, 43, 44, 51, 60, 0, 43], true),
        // One more than are looked behind, and one that is no extension header.
        (&[0, 60, 43, 44, 51, 60, 0, 43, 60], false),
        (&[0, 50], false),
    ] {
        let (next, bytes) = chain(kinds);
        let ip4_found = kinds.iter().all(|kind| *kind == 51);
        for (sample, found, is_ip6) in [
            (frame(&ip6(next, &bytes)), is_found, true),
            (frame(&ip4(7, 0, next, &bytes)), ip4_found, false),
        ] {
            for (text, expected) in [
                ("protochain 6", found),
                ("ip6 protochain \\tcp", found && is_ip6),
                ("ip protochain 6", found && !is_ip6),
                ("not protochain 6", !found),
                ("protochain 132", false),
            ] {
                let programs = [
                    expression(text).for_bytes(LinkType::ETHERNET).unwrap(),
                    expression(text)
                        .for_live_socket(LinkType::ETHERNET)
                        .unwrap(),
                ];
                for program in programs {
                    let kernel = Kernel::new(program.instructions()).unwrap();
                    let keeps = expected.then_some(sample.len());
                    assert_eq!(kernel.keeps(&sample), keeps, "{text}: {kinds:?}");
                    let matcher = Matcher::new(program).unwrap();
                    assert_eq!(matcher.matches(&ethernet(&sample)), expected, "{text}");
                }
            }
        }
    }
}

#[test]
fn a_chain_from_its_parts_and_its_mistakes() {
    let built = Expr::protocol_chain(Inside::Ip6, 6);
    assert_eq!(expression("ip6 protochain \\tcp"), built);
    assert_eq!(built.to_string(), "ip6 protochain 6");
    let why = "ether protochain 6".parse::<Expr>().unwrap_err();
    assert!(
        why.to_string()
            .ends_with("`protochain` follows `ip`, `ip6` or nothing")
    );
    let why = Expr::protocol_chain(Inside::Iso, 6).for_bytes(LinkType::ETHERNET);
    let why = why.unwrap_err().to_string();
    assert!(
        why.ends_with("only `ip` and `ip6` have chains of headers"),
        "{why}"
    );
}
