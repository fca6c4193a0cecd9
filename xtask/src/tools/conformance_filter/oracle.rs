//! tcpdump's verdicts.

use std::process::Command;

use netring::PacketBatch;
use netring::PacketSource as _;
use netring::pcap::CaptureFile;

use super::corpus::Corpus;
use crate::Result;

pub(super) enum Verdict {
    /// The numbers of the packets that it selects.
    Selected(Vec<usize>),
    /// It does not accept the expression.
    Refused(String),
}

pub(super) fn version() -> Result<String> {
    let output = Command::new("tcpdump")
        .arg("--version")
        .output()
        .map_err(|why| format!("tcpdump is not installed ({why}); it is the oracle"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .take(2)
        .collect::<Vec<_>>()
        .join(", "))
}

pub(super) fn ask(expression: &str, corpus: &Corpus) -> Result<Verdict> {
    let output = Command::new("tcpdump")
        .arg("-nr")
        .arg(&corpus.file)
        .args(["-w", "-", "--", expression])
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let why = text.lines().last().unwrap_or("no reason").to_owned();
        // An expression that nothing can match is valid here.
        return Ok(if why.contains("rejects all packets") {
            Verdict::Selected(Vec::new())
        } else {
            Verdict::Refused(why)
        });
    }
    let mut file = CaptureFile::new(&output.stdout[..])?;
    let mut selected = Vec::new();
    while let Some(batch) = file.next_batch()? {
        let number = |packet: netring::Packet<'_>| packet.timestamp().as_nanos() / 1_000_000_000;
        selected.extend(batch.packets().map(|packet| number(packet) as usize));
    }
    Ok(Verdict::Selected(selected))
}
