//! Lists the interfaces of this network namespace: `cargo run --example interfaces`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use netring::Interface;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for interface in Interface::all()? {
        let state = if interface.is_up() { "up" } else { "down" };
        print!(
            "{} {}: {state}, mtu {}, {:?}",
            interface.index,
            interface.name,
            interface.mtu,
            interface.link_type()
        );
        if let Some([first, rest @ ..]) = &interface.address {
            print!(", {first:02x}");
            rest.iter().for_each(|byte| print!(":{byte:02x}"));
        }
        for address in interface.addresses()? {
            print!(", {}/{}", address.ip, address.prefix_len);
        }
        for name in &interface.alternative_names {
            print!(", also {name}");
        }
        if let Some(description) = &interface.description {
            print!(" ({description})");
        }
        println!();
    }
    Ok(())
}
