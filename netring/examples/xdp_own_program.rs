//! Captures UDP over IPv4 with an XDP program of our own, and leaves the rest to the kernel:
//! `cargo run --features xdp --example xdp_own_program -- eth0 10`. It ends after that many
//! packets, or after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::xdp::program::Program;
use netring::xdp::program::asm::{
    AssembleError, Assembler, Code, Cond, Helper, MapDef, MapKind, Reg, Size,
};
use netring::{Interface, PacketBatch, PacketSource, Timed, XdpCapture};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("xdp_own_program INTERFACE [PACKETS [SECONDS]]");
    let interface = args.interface()?;
    let wanted = args.number("PACKETS", 10)? as usize;
    let mut time = args.seconds(10)?;

    // An object from any eBPF compiler works too.
    let queues = Interface::by_name(&interface)?.rx_queues;
    let object = udp_to_sockets(queues)?.object("udp_only", "xdp")?;
    let program = Program::from_elf(&object, "udp_only", "sockets")?;
    let builder = XdpCapture::builder().interface(&interface);
    let mut capture = builder.program(program).build()?;

    let mut seen = 0;
    while seen < wanted
        && let Some(left) = time.left()
    {
        if let Timed::Batch(batch) = capture.next_batch_timeout(left)? {
            for packet in batch.packets().take(wanted - seen) {
                println!("udp: {} bytes", packet.wire_len());
                seen += 1;
            }
        }
    }
    if seen < wanted {
        println!("time is up: received {seen} of {wanted} packets");
    }
    Ok(())
}

/// Redirects UDP over IPv4 to the socket of its queue, and passes everything else to the kernel.
fn udp_to_sockets(queues: u32) -> Result<Code, AssembleError> {
    const XDP_PASS: i32 = 2;
    let mut asm = Assembler::new();
    let sockets = asm.map(MapDef {
        name: "sockets".into(),
        kind: MapKind::XskMap,
        key_size: 4,
        value_size: 4,
        max_entries: queues,
    });
    let pass = asm.label();
    asm.load(Size::Word, Reg::R2, Reg::R1, 0); // xdp_md.data
    asm.load(Size::Word, Reg::R3, Reg::R1, 4); // xdp_md.data_end
    asm.mov(Reg::R4, Reg::R2);
    asm.add(Reg::R4, 14 + 20);
    asm.jump_if(Cond::Gt, Reg::R4, Reg::R3, pass);
    asm.load(Size::Half, Reg::R4, Reg::R2, 12); // the EtherType
    asm.to_host(Reg::R4, Size::Half);
    asm.jump_if(Cond::Ne, Reg::R4, 0x0800, pass);
    asm.load(Size::Byte, Reg::R4, Reg::R2, 14 + 9); // the IP protocol
    asm.jump_if(Cond::Ne, Reg::R4, 17, pass);
    asm.load(Size::Word, Reg::R2, Reg::R1, 16); // xdp_md.rx_queue_index
    asm.load_map(Reg::R1, sockets);
    asm.mov(Reg::R3, XDP_PASS); // if the queue has no socket
    asm.call(Helper::RedirectMap);
    asm.exit();
    asm.bind(pass);
    asm.mov(Reg::R0, XDP_PASS);
    asm.exit();
    asm.finish()
}
