//! Captures as Wireshark shows them.

use std::path::Path;
use std::process::{Command, Output};

use crate::Result;

/// The fields of a packet that tshark shows without dissecting it.
const FIELDS: [&str; 5] = [
    "frame.number",
    "frame.time_epoch",
    "frame.cap_len",
    "frame.len",
    "frame.encap_type",
];

/// The version of tshark.
pub(super) fn version() -> Result<String> {
    let output = Command::new("tshark").arg("--version").output();
    let output = output.map_err(|why| format!("tshark: {why} (Debian: apt-get install tshark)"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Whether tshark takes a file for a pcap or pcapng file with packets.
pub(super) fn reads(path: &Path) -> bool {
    let output = Command::new("capinfos")
        .args(["-t", "-c", "-M"])
        .arg(path)
        .output();
    output.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_capture = text
            .lines()
            .any(|line| line.contains("File type") && line.contains("pcap"));
        is_capture && !text.contains("Number of packets:   0\n")
    })
}

fn tshark(path: &Path) -> Result<Output> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "separator=|"]);
    command.args(FIELDS.iter().flat_map(|name| ["-e", name]));
    Ok(command.arg("-r").arg(path).output()?)
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// tshark's view of a possibly damaged file: the packets before the damage.
pub(super) fn damaged(path: &Path) -> Result<Vec<String>> {
    Ok(lines(&tshark(path)?))
}

/// How tshark's view of a copy differs from its view of the original.
pub(super) fn difference(original: &[String], copy: &Path, is_ng: bool) -> Result<Option<String>> {
    let output = tshark(copy)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let mut said = said
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("Running as user \"root\""));
    if let Some(warning) = said.next() {
        return Ok(Some(format!("tshark says: {warning}")));
    }
    if !output.status.success() {
        return Ok(Some(format!("tshark ended with {}", output.status)));
    }
    let shown = lines(&output);
    if shown.len() != original.len() {
        let (this, that) = (original.len(), shown.len());
        return Ok(Some(format!(
            "tshark shows {that} packets instead of {this}"
        )));
    }
    let mut both = original.iter().zip(&shown);
    let different = both.find(|(this, that)| !is_same(this, that, is_ng));
    Ok(different.map(|(this, that)| format!("tshark shows {that} instead of {this}")))
}

/// Whether two lines say the same. In a pcap file every packet has a time.
fn is_same(original: &str, copy: &str, is_ng: bool) -> bool {
    if original == copy {
        return true;
    }
    let without = original.split_once("||").zip(copy.split_once('|'));
    without.is_some_and(|((number, rest), (same, shown))| {
        !is_ng && number == same && shown.ends_with(rest)
    })
}
