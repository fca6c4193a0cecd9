//! libpcap's filters: its compiler, and `pcap_offline_filter` over the packets of a capture.

use std::hint::black_box;
use std::time::Duration;

use pcap::{Capture, Linktype};

use crate::{Result, cpu_time};

/// Prints the program of an expression (`insn CODE JT JF K`), how many packets it selects
/// (`matched`), and what it costs for each packet (`picoseconds` of CPU).
pub(crate) fn run(file: &str, expression: &str, milliseconds: &str) -> Result<()> {
    let mut capture = Capture::from_file(file)?;
    let program = capture.compile(expression, true)?;
    let mut packets = Vec::new();
    while let Ok(packet) = capture.next_packet() {
        packets.push(packet.data.to_vec());
    }
    let select = || packets.iter().filter(|data| program.filter(data)).count();
    for insn in program.get_instructions() {
        println!("insn {insn}");
    }
    println!("matched {}", select());
    let (mut rounds, start) = (0, cpu_time()?);
    let budget = Duration::from_millis(milliseconds.parse()?);
    while cpu_time()? - start < budget {
        black_box(select());
        rounds += 1;
    }
    let picoseconds = (cpu_time()? - start).as_nanos() * 1000;
    println!(
        "picoseconds {}",
        picoseconds / (rounds * packets.len() as u128)
    );
    Ok(())
}

/// Compiles each line of a file for Ethernet, and prints what each costs (`nanoseconds` of CPU), 0
/// for one that libpcap refuses.
pub(crate) fn compile(file: &str) -> Result<()> {
    let capture = Capture::dead(Linktype::ETHERNET)?;
    for expression in std::fs::read_to_string(file)?.lines() {
        let (mut rounds, start) = (0, cpu_time()?);
        while rounds < 20 {
            if black_box(capture.compile(expression, true)).is_err() {
                break;
            }
            rounds += 1;
        }
        let nanoseconds = (cpu_time()? - start).as_nanos();
        println!(
            "nanoseconds {}",
            if rounds == 0 { 0 } else { nanoseconds / rounds }
        );
    }
    Ok(())
}
