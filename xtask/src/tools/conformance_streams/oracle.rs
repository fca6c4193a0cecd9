//! The streams that tshark follows.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Streams;
use crate::Result;

/// Tunnels that the tracker does not look into.
const TUNNELS: [&str; 9] = [
    "capwap.data",
    "etherip",
    "geneve",
    "gre",
    "gtp",
    "l2tp",
    "teredo",
    "vxlan",
    "vxlan_gpe",
];

pub(super) fn version() -> Result<String> {
    let output = Command::new("tshark")
        .arg("--version")
        .output()
        .map_err(|why| format!("tshark is not installed ({why}); it is the oracle"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// An end of a connection, as tshark prints it.
pub(super) fn end(address: SocketAddr) -> String {
    address.to_string()
}

/// What tshark prints for missing bytes.
pub(super) fn missing(bytes: u64) -> Vec<u8> {
    format!("[{bytes} bytes missing in capture file]\0").into_bytes()
}

/// A capture with more connections is asked which of them have payload, since tshark tries each
/// stream that it follows on each packet.
const FOLLOWED: usize = 256;

/// The streams of a capture that has about this many connections: one after the other for each pair
/// of ends. Of many connections, only those with payload.
pub(super) fn follow(file: &Path, connections: usize) -> Result<Streams<Vec<Vec<u8>>>> {
    if connections > FOLLOWED {
        let numbers: Vec<_> = with_payload(file)?.into_iter().collect();
        let mut streams = Streams::new();
        for numbers in numbers.chunks(FOLLOWED) {
            for (ends, more) in ask(file, numbers)?.0 {
                streams.entry(ends).or_insert_with(Vec::new).extend(more);
            }
        }
        return Ok(streams);
    }
    let mut number = connections + 4;
    loop {
        let (streams, complete) = ask(file, &(0..number).collect::<Vec<_>>())?;
        if complete {
            return Ok(streams);
        }
        number *= 2;
    }
}

/// tshark on a capture, with the settings that make it see what the tracker sees.
fn tshark(file: &Path) -> Command {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file);
    for preference in ["ip.defragment", "ipv6.defragment"] {
        command.args(["-o", &format!("{preference}:TRUE")]);
    }
    for protocol in TUNNELS {
        command.args(["--disable-protocol", protocol]);
    }
    command
}

/// The numbers of the streams that have payload.
fn with_payload(file: &Path) -> Result<BTreeSet<usize>> {
    let mut command = tshark(file);
    command.args([
        "-n",
        "-Y",
        "tcp.len > 0",
        "-T",
        "fields",
        "-e",
        "tcp.stream",
    ]);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = text.split([',', '\n']).filter(|number| !number.is_empty());
    Ok(numbers
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?)
}

/// Asks for these streams; and whether the last of them does not exist.
fn ask(file: &Path, numbers: &[usize]) -> Result<(Streams<Vec<Vec<u8>>>, bool)> {
    let mut command = tshark(file);
    command.arg("-q");
    for stream in numbers {
        command.args(["-z", &format!("follow,tcp,raw,{stream}")]);
    }
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found: Vec<(usize, [String; 2], [Vec<u8>; 2])> = Vec::new();
    for line in text.lines() {
        if let Some(stream) = line.strip_prefix("Filter: tcp.stream eq ") {
            found.push((stream.parse()?, Default::default(), Default::default()));
        } else if let Some((stream, ends, bytes)) = found.last_mut() {
            if let Some(end) = line.strip_prefix("Node 0: ") {
                ends[0] = end.to_owned();
            } else if let Some(end) = line.strip_prefix("Node 1: ") {
                ends[1] = end.to_owned();
            } else if !line.starts_with(['=', 'F']) && !line.is_empty() {
                let from = usize::from(line.starts_with('\t'));
                let read = hex(line.trim())
                    .ok_or_else(|| format!("stream {stream}: not hexadecimal: {line}"))?;
                bytes[from].extend(read);
            }
        }
    }
    // The last is printed first.
    found.sort_by_key(|(stream, ..)| *stream);
    let complete = found.last().is_none_or(|(_, ends, _)| ends[0] == ":0");
    let mut streams = Streams::new();
    for (_, [a, b], [from_a, from_b]) in found {
        if a != ":0" {
            let ends = (a.clone(), b.clone());
            streams.entry(ends).or_insert_with(Vec::new).push(from_a);
            streams.entry((b, a)).or_insert_with(Vec::new).push(from_b);
        }
    }
    Ok((streams, complete))
}

fn hex(line: &str) -> Option<Vec<u8>> {
    let pairs = line.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
