//! XDP programs in the kernel: what each generated program says to each packet, and what it counts.

use netring_sys::{Interface, XdpMode};
use netring_xdp::program::{AttachMode, Program};
use xtask::netns::{Netns, veth};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn attach_native_and_generic() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    for (asked, reached) in [
        (AttachMode::Native, XdpMode::Native),
        (AttachMode::Generic, XdpMode::Generic),
        (AttachMode::BestAvailable, XdpMode::Native),
    ] {
        let attachment = Program::redirect()
            .load()
            .unwrap()
            .attach(&v0, asked)
            .unwrap();
        assert_eq!(attachment.mode(), reached);
        assert!(attachment.is_attached().unwrap());
        println!("{attachment:?} {:?}", attachment.counters_total());
        drop(attachment);
        assert_eq!(Interface::by_name("v0").unwrap().xdp, None);
    }
}
