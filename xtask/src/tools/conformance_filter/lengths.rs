//! How long programs are, next to those that libpcap compiles at `-O`.

use std::process::Command;

use netring::LinkType;
use netring_sys::filter::Expr;

use crate::Result;

/// Filters that people use most.
pub(super) const COMMON: &str = "\
ip
ip6
arp
tcp
udp
icmp
tcp or udp
ip or ip6
port 53
udp port 53
tcp port 80
tcp port 80 or tcp port 443
tcp port 80 or 443
port 80 or port 443 or port 8080
tcp dst port 443 and not net 10.0.0.0/8
not port 22
not (port 22 or port 53)
not udp port 51820
portrange 1-1023
src port 53 and dst portrange 1024-65535
host 10.0.0.1
host 10.0.0.1 or host 10.0.0.2
src host 54.214.176.167
(host 192.168.1.1 or host 10.0.0.1) and port 80
net 192.168.0.0/16
net 10 or net 172.16.0.0/12 or net 192.168
ip6 and tcp dst port 443
host fe80::1
net fe80::/10
ether proto 0x88cc
ether host 00:11:22:33:44:55
ether broadcast
not broadcast and not multicast
ip and not broadcast and not multicast
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[tcpflags] & tcp-syn != 0 and tcp[tcpflags] & tcp-ack == 0
tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420
ip[6:2] & 0x1fff != 0
vlan and port 80
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
";

/// Prints a line for each expression, for Ethernet: its instructions here and in libpcap.
pub(super) fn print<'a>(expressions: impl Iterator<Item = &'a str>) -> Result<()> {
    println!("{:>5} {:>8}  expression", "ours", "libpcap");
    let (mut all, mut longer, mut sums) = (0, 0, [0, 0]);
    for text in expressions {
        let ours = text
            .parse::<Expr>()
            .and_then(|expr| expr.for_bytes(LinkType::ETHERNET));
        let Ok(ours) = ours else {
            continue;
        };
        let ours = ours.instructions().len();
        let output = Command::new("tcpdump")
            .args(["-ddd", "-y", "EN10MB", "--", text])
            .output()?;
        let count = String::from_utf8_lossy(&output.stdout);
        let Some(theirs) = count
            .lines()
            .next()
            .and_then(|line| line.parse::<usize>().ok())
        else {
            continue;
        };
        let mark = if ours > theirs { "  longer" } else { "" };
        println!("{ours:>5} {theirs:>8}  {text}{mark}");
        all += 1;
        longer += usize::from(ours > theirs);
        sums = [sums[0] + ours, sums[1] + theirs];
    }
    println!(
        "{} of {all} longer; {} and {} instructions",
        longer, sums[0], sums[1]
    );
    Ok(())
}
