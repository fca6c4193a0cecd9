//! IPFIX over UDP to a collector: nfcapd receives it, and nfdump prints what it understood.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use netring::flow::export::{FlowRecord, FlowRecorder, Ipfix, MplsRecord, TunnelRecord};
use netring::flow::extract::{FiveTuple, TunnelKind};
use netring::flow::{FlowTracker, Timeouts, TrackerConfig};
use netring::{Clock, LinkType, Packet, Timestamp};
use xtask::netns::Netns;

use crate::export_records::records;

/// What nfdump prints of a flow.
const FORMAT: &str = "fmt:%ts %te %pr %sap %dap %flg %pkt %byt %opkt %obyt %svln";

/// A running nfcapd, and the folder that it writes to. It is killed if a test ends before it.
struct Collector {
    child: Child,
    folder: PathBuf,
}

impl Collector {
    fn start(name: &str) -> Self {
        let folder = format!("netring-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let child = Command::new("nfcapd")
            .args(["-b", "127.0.0.1", "-p", "9995", "-w"])
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let why = "nfcapd does not start (Debian: apt-get install nfdump)";
        let child = child.unwrap_or_else(|error| panic!("{why}: {error}"));
        let mut collector = Self { child, folder };
        collector.until("the collector listens", |queued| queued.is_some());
        collector
    }

    /// Waits for a condition on the bytes in its socket; `None` before it is bound.
    fn until(&mut self, what: &str, is_met: impl Fn(Option<u64>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_met(queued()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "nfcapd ended: {ended:?}");
            assert!(Instant::now() < deadline, "not within a minute: {what}");
            sleep(Duration::from_millis(5));
        }
    }

    /// Ends it once it has read everything, and returns its own account and nfdump's lines.
    fn end(mut self, format: &str) -> (String, Vec<String>) {
        self.until("the collector has read everything", |queued| {
            queued == Some(0)
        });
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(kill.unwrap().success());
        let mut errors = String::new();
        let pipe = self.child.stderr.take();
        std::io::Read::read_to_string(&mut pipe.unwrap(), &mut errors).unwrap();
        self.child.wait().unwrap();
        let dump = Command::new("nfdump")
            .env("TZ", "UTC")
            .args(["-q", "-N", "-o", format, "-R"])
            .arg(&self.folder)
            .output()
            .unwrap();
        let lines = String::from_utf8(dump.stdout).unwrap();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        (errors, lines.lines().map(words).collect())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Nothing more can be done about either.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The bytes that wait in the collector's socket, by the kernel's table of this namespace.
fn queued() -> Option<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/udp").unwrap();
    let row = table.lines().find(|line| line.contains("0100007F:270B"))?;
    let queues = row.split_whitespace().nth(4)?;
    u64::from_str_radix(queues.split_once(':')?.1, 16).ok()
}

fn some_flows() -> Vec<FlowRecord> {
    let mut flows = records("ldap_ldap-starttls.pcap");
    flows.extend(records("tunnels_vxlan.pcap"));
    flows.extend(records("mysql_tls-12-amazon-rds.pcap"));
    flows[0].vlan = Some(5);
    flows
}

fn collected(name: &str, uniflow: bool) -> (String, Vec<String>) {
    sent(name, uniflow, &some_flows(), FORMAT)
}

/// Sends flows in small messages and repeats the templates, as over a network that loses some.
fn sent(name: &str, uniflow: bool, flows: &[FlowRecord], format: &str) -> (String, Vec<String>) {
    let mut collector = Collector::start(name);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let settings = Ipfix::builder()
        .domain(42)
        .max_message(600)
        .uniflow(uniflow);
    let settings = settings.templates_every(3, Duration::ZERO);
    let mut ipfix = settings.build().unwrap();
    let mut send = |message: &[u8]| {
        let sent = socket.send_to(message, "127.0.0.1:9995").unwrap();
        assert_eq!(sent, message.len());
    };
    for flow in flows {
        ipfix.record(flow, &mut send);
    }
    ipfix.flush(&mut send);
    collector.until("the last message is read", |queued| queued == Some(0));
    collector.end(format)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_collector_reads_biflows() {
    let _ns = Netns::enter().unwrap();
    let (account, lines) = collected("biflow", false);
    assert!(
        account.contains("Flows: 6, Packets: 63, Bytes: 11668, Sequence Errors: 0, Bad Packets: 0"),
        "{account}"
    );
    assert_eq!(
        lines,
        [
            "2024-07-17 12:18:00.158 2024-07-17 12:18:00.175 6 127.0.0.1:45936 127.0.1.1:389 ...APRSF 14 1407 14 3738 5",
            "2016-07-06 15:20:32.675 2016-07-06 15:20:32.675 17 192.168.56.11:39924 192.168.56.12:4789 ........ 1 78 0 0 0",
            "2016-07-06 15:20:32.675 2016-07-06 15:20:32.675 17 192.168.56.12:40908 192.168.56.11:4789 ........ 1 78 0 0 0",
            "2016-07-06 15:20:32.676 2016-07-06 15:20:35.680 17 192.168.56.11:48134 192.168.56.12:4789 ........ 4 536 0 0 0",
            "2016-07-06 15:20:32.676 2016-07-06 15:20:35.680 17 192.168.56.12:38071 192.168.56.11:4789 ........ 4 536 0 0 0",
            "2022-12-10 16:09:26.465 2022-12-10 16:09:28.893 6 82.239.87.25:58132 79.107.90.25:3306 ...AP.SF 14 1460 11 3835 0",
        ]
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_collector_reads_uniflows() {
    let _ns = Netns::enter().unwrap();
    let (account, lines) = collected("uniflow", true);
    assert!(
        account.contains("Flows: 8, Packets: 63, Bytes: 11668, Sequence Errors: 0, Bad Packets: 0"),
        "{account}"
    );
    let tcp: Vec<_> = lines.iter().filter(|line| line.contains(" 6 ")).collect();
    assert_eq!(
        tcp,
        [
            "2024-07-17 12:18:00.158 2024-07-17 12:18:00.175 6 127.0.0.1:45936 127.0.1.1:389 ...APRSF 14 1407 0 0 5",
            "2024-07-17 12:18:00.158 2024-07-17 12:18:00.175 6 127.0.1.1:389 127.0.0.1:45936 ...AP.S. 14 3738 0 0 5",
            "2022-12-10 16:09:26.465 2022-12-10 16:09:28.893 6 82.239.87.25:58132 79.107.90.25:3306 ...AP.SF 14 1460 0 0 0",
            "2022-12-10 16:09:26.594 2022-12-10 16:09:28.893 6 79.107.90.25:3306 82.239.87.25:58132 ...AP.SF 11 3835 0 0 0",
        ]
    );
}

/// A collector that knows some elements of tunnels only takes the others without harm.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_collector_reads_the_labels_of_what_is_in_tunnels() {
    let _ns = Netns::enter().unwrap();
    let mut flows = vec![records("ldap_ldap-starttls.pcap").swap_remove(0); 3];
    for (flow, kind) in flows.iter_mut().zip([TunnelKind::Gre, TunnelKind::GtpU]) {
        let id = Some(0xfe00_0001);
        flow.tunnel = Some(TunnelRecord { kind, id });
    }
    let entry = |label, class, bottom| MplsRecord {
        label,
        class,
        bottom,
    };
    flows[2].initiator.mpls = Some(entry(0xf_1234, 5, true));
    flows[2].responder.mpls = Some(entry(41, 4, false));
    let format = "fmt:%sap %pkt %byt %opkt %obyt %mpls1";
    let (account, lines) = sent("labels", false, &flows, format);
    assert!(
        account.contains("Flows: 3, Packets: 84, Bytes: 15435, Sequence Errors: 0, Bad Packets: 0"),
        "{account}"
    );
    assert_eq!(
        lines,
        [
            "127.0.0.1:45936 14 1407 14 3738 0-0-0",
            "127.0.0.1:45936 14 1407 14 3738 0-0-0",
            "127.0.0.1:45936 14 1407 14 3738 987700-5-1",
        ]
    );
}

/// The intervals of two flows, one of them IPv6, which report each ten seconds: of their figures a
/// collector makes the sum of what was on the wire.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_collector_adds_the_intervals_of_active_flows_up() {
    let _ns = Netns::enter().unwrap();
    let timeouts = Timeouts::default().active(Duration::from_secs(10));
    let config = TrackerConfig::new().timeouts(timeouts);
    let mut tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    let mut recorder = FlowRecorder::new().intervals(true);
    // The initiator sends alone at first, and the other end at last.
    let mut want = [[[0_u64; 2]; 2]; 2];
    for second in 0..35_u16 {
        for is_v6 in [false, true] {
            let by_client = second < 12 || (second < 20 && second % 2 == 0);
            let packet = datagram(is_v6, by_client, 10 + usize::from(second));
            let of = &mut want[usize::from(is_v6)][usize::from(!by_client)];
            (of[0], of[1]) = (of[0] + 1, of[1] + packet.len() as u64);
            let seconds = 1_700_000_000 + i64::from(second);
            let time = Timestamp::from_nanos(seconds * 1_000_000_000, Clock::Software);
            let packet = Packet::new(&packet, time, LinkType::RAW_IP);
            tracker.track(&packet, &mut recorder);
        }
    }
    while tracker.finish(&mut recorder) {}
    let records: Vec<_> = recorder.drain().collect();
    assert_eq!(records.len(), 8);
    let (account, lines) = sent("intervals", false, &records, FORMAT);
    let all = |figure: usize| want.iter().flatten().map(|side| side[figure]).sum::<u64>();
    let totals = format!(
        "Flows: 8, Packets: {}, Bytes: {}, Sequence Errors: 0, Bad Packets: 0",
        all(0),
        all(1)
    );
    assert!(account.contains(&totals), "{totals}: {account}");
    let mut found = [[[0_u64; 2]; 2]; 2];
    for line in &lines {
        // Start, end, protocol, both ends, flags; then packets and bytes, both ways.
        let words: Vec<_> = line.split(' ').collect();
        let is_v6 = words[5].contains("2001:db8::1");
        assert!(is_v6 || words[5] == "192.0.2.1:40000", "{line}");
        for (number, word) in words[8..12].iter().enumerate() {
            let figure: u64 = word.parse().unwrap();
            found[usize::from(is_v6)][number / 2][number % 2] += figure;
        }
    }
    assert_eq!(found, want, "{lines:?}");
}

/// A UDP datagram between a client (40000) and a server (53).
fn datagram(is_v6: bool, by_client: bool, len: usize) -> Vec<u8> {
    let udp = 8 + len as u16;
    let (from, to) = if by_client { (1, 2) } else { (2, 1) };
    let mut packet = match is_v6 {
        false => {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
            header[2..4].copy_from_slice(&(20 + udp).to_be_bytes());
            header.extend([192, 0, 2, from, 192, 0, 2, to]);
            header
        }
        true => {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, 17, 64];
            header[4..6].copy_from_slice(&udp.to_be_bytes());
            for end in [from, to] {
                let addr = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, end.into());
                header.extend(addr.octets());
            }
            header
        }
    };
    let ports: [u16; 2] = if by_client {
        [40_000, 53]
    } else {
        [53, 40_000]
    };
    packet.extend(ports.into_iter().flat_map(u16::to_be_bytes));
    packet.extend(udp.to_be_bytes());
    packet.resize(packet.len() + 2 + len, 0);
    packet
}
