//! Runs the example `flow_export` as a program.

use std::fs;

use netring::Timestamp;
use netring::flow::export::{ConnLog, FlowRecord, Ipfix};

use crate::common::{capture, records};
use crate::program::Program;

/// A file that is deleted when the test ends.
struct Output(std::path::PathBuf);

impl Output {
    fn new(name: &str) -> Self {
        let name = format!("netring-export-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = fs::remove_file(&self.0);
    }
}

const FLOWS: &str = "ldap_ldap-starttls.pcap";

#[test]
fn flows_are_written_as_lines_of_json() {
    let output = Output::new("flows.json");
    let from = capture(FLOWS);
    let args = [from.to_str().unwrap(), output.path()];
    Program::start("flow_export", &args).end().went_well();
    let text = fs::read_to_string(&output.0).unwrap();
    let read = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let read: Vec<FlowRecord> = read.collect();
    assert_eq!(read, records(FLOWS));
    let record = &read[0];
    assert_eq!(record.state.as_str(), "RSTO");
    assert_eq!(record.initiator.ip_bytes, Some(1407));
    // The file is not overwritten.
    let said = Program::start("flow_export", &args).end();
    assert!(!said.ok && said.err.contains("File exists"), "{said:?}");
    assert_eq!(fs::read_to_string(&output.0).unwrap(), text);
}

#[test]
fn flows_are_written_as_ipfix() {
    let output = Output::new("flows.ipfix");
    let from = capture(FLOWS);
    let args = [from.to_str().unwrap(), output.path()];
    Program::start("flow_export", &args).end().went_well();
    let (mut ipfix, mut expected) = (Ipfix::new(), Vec::new());
    ipfix.record(&records(FLOWS)[0], |_| panic!("one record fits"));
    ipfix.flush(|message| expected.extend_from_slice(message));
    assert_eq!(fs::read(&output.0).unwrap(), expected);
}

/// But for the times of the run, the log is what the encoder writes.
#[test]
fn flows_are_written_as_a_log_of_zeek() {
    let output = Output::new("conn.log");
    let from = capture(FLOWS);
    let args = [from.to_str().unwrap(), output.path()];
    Program::start("flow_export", &args).end().went_well();
    let text = fs::read_to_string(&output.0).unwrap();
    let (log, mut expected) = (ConnLog::new(), Vec::new());
    log.header(Timestamp::default(), &mut expected);
    log.record(&records(FLOWS)[0], &mut expected);
    log.footer(Timestamp::default(), &mut expected);
    let expected = String::from_utf8(expected).unwrap();
    let lines = |text: &str| {
        let is_timed = |line: &&str| line.starts_with("#open\t") || line.starts_with("#close\t");
        let (timed, others): (Vec<_>, Vec<_>) = text.lines().partition(is_timed);
        (timed.len(), others.join("\n"))
    };
    assert_eq!(lines(&text), lines(&expected));
    assert_eq!(lines(&text).0, 2);
}

#[test]
fn what_cannot_be_read_or_written_is_reported() {
    let output = Output::new("never");
    let from = capture(FLOWS);
    let from = from.to_str().unwrap();
    for (args, why) in [
        (&[from][..], "usage: flow_export FROM TO"),
        (&[from, output.path(), "more"], "unexpected argument"),
        (&["/nowhere.pcap", output.path()], "/nowhere.pcap"),
        (&[from, "/nowhere/flows.json"], "No such file"),
        (
            &[&format!("{from}/../README.md"), output.path()],
            "README.md",
        ),
    ] {
        let said = Program::start("flow_export", args).end();
        assert!(!said.ok && said.err.contains(why), "{said:?}");
    }
    assert!(!output.0.exists());
}
