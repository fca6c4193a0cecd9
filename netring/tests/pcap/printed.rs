//! The text of each fault of a file.

use std::io;
use std::sync::Arc;

use netring::Error;
use netring::pcap::FileError;

fn missing() -> Arc<io::Error> {
    Arc::new(io::ErrorKind::NotFound.into())
}

/// Each fault and its text.
fn all() -> [(FileError, &'static str); 10] {
    [
        (
            FileError::Open(missing()),
            "it cannot be opened: entity not found",
        ),
        (
            FileError::Read {
                offset: 24,
                source: missing(),
            },
            "reading failed at byte 24: entity not found",
        ),
        (
            FileError::Write(missing()),
            "writing failed: entity not found",
        ),
        (
            FileError::Unrecognized {
                why: "it is compressed by gzip".into(),
            },
            "it is compressed by gzip",
        ),
        (
            FileError::CutShort {
                what: "a packet",
                offset: 24,
                missing: 7,
            },
            "it is cut short: a packet begins at byte 24, and at least 7 of its bytes are missing",
        ),
        (
            FileError::Corrupt {
                what: "a block",
                offset: 28,
                why: "announces 3 bytes".into(),
            },
            "it is corrupt: a block at byte 28 announces 3 bytes",
        ),
        (
            FileError::Delete(missing()),
            "it cannot be deleted: entity not found",
        ),
        (FileError::Removed, "it was removed while being written"),
        (
            FileError::Compressed {
                by: "gzip",
                offset: 77,
                why: "it ends in the middle of its data".into(),
            },
            "it cannot be unpacked from byte 77 of its gzip data on: it ends in the middle of its data",
        ),
        (
            FileError::Filter {
                why: "filter: `vlan`: VLAN tags are not there".into(),
            },
            "filter: `vlan`: VLAN tags are not there",
        ),
    ]
}

#[test]
fn a_fault_is_printed_once_in_every_way() {
    for (fault, text) in all() {
        let source = || Error::Source {
            what: "a.pcap".into(),
            source: Box::new(fault.clone()),
        };
        assert_eq!(format!("{fault}"), text);
        assert_eq!(format!("{fault:?}"), text);
        let text = format!("a.pcap: {text}");
        assert_eq!(format!("{}", source()), text);
        assert_eq!(format!("{:?}", source()), text);
        let shown = anyhow::Error::from(source());
        assert_eq!(format!("{shown:#}"), text);
        let shown = format!("{shown:?}");
        assert_eq!(shown.split("\n\nStack").next(), Some(text.as_str()));
        let shown = eyre::Report::from(source());
        assert_eq!(format!("{shown:#}"), text);
        assert!(!format!("{shown:?}").contains("Caused by"));
        assert!(matches!(
            source().downcast_ref::<FileError>(),
            Some(found) if found.to_string() == fault.to_string()
        ));
    }
}
