//! `cargo xtask conformance` on folders that the test writes.
#![expect(
    clippy::unwrap_used,
    reason = "a folder that cannot be written is a failed test"
)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use etherparse::PacketBuilder;

const INDEX: &str = "#file\tsha256\tbytes\tstatus\tlink types\tpackets\tflows\tsource repository\tsource path\ttags\n";
const EXACT: &str = "#file\tlink types\tpackets\tflows\n";
const HEADER: &str = "#proto\taddrA\tportA\taddrB\tportB\tpktsAB\tpktsBA\tbytesAB\tbytesBA\tfirst\tlast\tstreams\tcompleteness\tsynAB\tsynBA\tfinAB\tfinBA\trstAB\trstBA\n";

/// The three packets of [`Folder::add`] in the oracle: a request, its answer, and another request.
const UDP: &str = "17\t10.0.0.1\t53\t10.0.0.2\t4000\t1\t2\t142\t84\t1.000000001\t3.000000003\t-\t-\t-\t-\t-\t-\t-\t-\n";

/// A folder that is removed at the end of the test.
struct Folder {
    path: PathBuf,
    index: String,
    exact: String,
}

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("netring-conformance-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("oracle")).unwrap();
        fs::create_dir_all(path.join("made")).unwrap();
        Self {
            path,
            index: INDEX.into(),
            exact: EXACT.into(),
        }
    }

    /// Adds a capture of a request, its answer and another request, with these flows.
    fn add(&mut self, name: &str, tags: &str, exact: bool, oracle: &str) {
        let udp = |client: bool, len: usize| {
            let (from, to) = if client { (2, 1) } else { (1, 2) };
            let ports = if client { (4000, 53) } else { (53, 4000) };
            let builder = PacketBuilder::ethernet2([2; 6], [3; 6])
                .ipv4([10, 0, 0, from], [10, 0, 0, to], 64)
                .udp(ports.0, ports.1);
            let mut frame = Vec::new();
            builder.write(&mut frame, &vec![0; len]).unwrap();
            frame
        };
        let mut file = pcap_header();
        for (number, frame) in [udp(true, 0), udp(false, 100), udp(true, 0)]
            .iter()
            .enumerate()
        {
            let number = number as u32 + 1;
            for word in [number, number, frame.len() as u32, frame.len() as u32] {
                file.extend(word.to_le_bytes());
            }
            file.extend(frame);
        }
        let flows = oracle.lines().count();
        self.add_file(name, &file, tags, exact.then_some((3, flows)));
        fs::write(self.oracle(name), format!("{HEADER}{oracle}")).unwrap();
    }

    fn add_file(&mut self, name: &str, file: &[u8], tags: &str, exact: Option<(u64, usize)>) {
        fs::write(self.path.join(name), file).unwrap();
        let len = file.len();
        self.index += &format!("{name}\t-\t{len}\t-\t1\t3\t1\tnobody/none\t{name}\t{tags}\n");
        if let Some((packets, flows)) = exact {
            self.exact += &format!("{name}\t1\t{packets}\t{flows}\n");
        }
    }

    fn oracle(&self, name: &str) -> PathBuf {
        let name = name.replace('/', "__");
        self.path.join("oracle").join(format!("{name}.tsv"))
    }

    /// Runs the tool, and returns whether it succeeded, its output, and its errors.
    fn run(&self) -> (bool, String, String) {
        fs::write(self.path.join("index.tsv"), &self.index).unwrap();
        fs::write(self.path.join("exact.txt"), &self.exact).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_tools"))
            .arg("conformance")
            .arg(&self.path)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The header of a file of Ethernet frames with nanosecond timestamps.
fn pcap_header() -> Vec<u8> {
    let words = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 65_535, 1_u32];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

#[test]
fn equal_flows_are_reported_as_a_success() {
    let mut folder = Folder::new("equal");
    folder.add("made/a.pcap", "udp=3", true, UDP);
    folder.add("made/b.pcap", "udp=3", true, UDP);
    let (content, said, complaint) = folder.run();
    assert!(content, "{said}{complaint}");
    assert!(
        said.contains("compared 2 captures, 6 packets, 2 flows, 0 fragments in the flow of their first: 2 equal, 0 differ as listed, in 0 lines, 0 differ otherwise"),
        "{said}"
    );
}

#[test]
fn each_figure_that_differs_is_a_line_and_a_failure() {
    let fields: Vec<_> = UDP.trim_end().split('\t').collect();
    let cases = [
        (5, "2", "pktsAB 1, expected 2"),
        (6, "1", "pktsBA 2, expected 1"),
        (7, "141", "bytesAB 142, expected 141"),
        (8, "85", "bytesBA 84, expected 85"),
        (
            9,
            "1.000000000",
            "first (ns) 1000000001, expected 1000000000",
        ),
        (
            10,
            "3.000000004",
            "last (ns) 3000000003, expected 3000000004",
        ),
    ];
    for (place, value, told) in cases {
        let mut folder = Folder::new(&format!("differ-{place}"));
        let mut fields = fields.clone();
        fields[place] = value;
        folder.add(
            "made/a.pcap",
            "udp=3",
            true,
            &format!("{}\n", fields.join("\t")),
        );
        let (content, said, _) = folder.run();
        assert!(!content, "{said}");
        let line = format!("made/a.pcap: udp 10.0.0.1 53 10.0.0.2 4000: {told}");
        assert_eq!(
            said.lines().filter(|said| *said == line).count(),
            1,
            "{said}"
        );
        assert!(
            said.contains(
                "0 equal, 0 differ as listed, in 0 lines, 1 differ otherwise, in 1 lines"
            ),
            "{said}"
        );
    }
}

#[test]
fn tcp_flags_are_compared_by_direction() {
    let segment = |from_a: bool, flags: &str| {
        let (ends, ports) = if from_a {
            ((1, 2), (80, 4000))
        } else {
            ((2, 1), (4000, 80))
        };
        let mut builder = PacketBuilder::ethernet2([2; 6], [3; 6])
            .ipv4([10, 0, 0, ends.0], [10, 0, 0, ends.1], 64)
            .tcp(ports.0, ports.1, 1, 100);
        for flag in flags.chars() {
            builder = match flag {
                'S' => builder.syn(),
                'F' => builder.fin(),
                'R' => builder.rst(),
                _ => builder.ack(1),
            };
        }
        let mut frame = Vec::new();
        builder.write(&mut frame, &[]).unwrap();
        frame
    };
    let frames = [
        segment(false, "S"),
        segment(false, "S"),
        segment(true, "SA"),
        segment(false, "A"),
        segment(false, "FA"),
        segment(true, "R"),
    ];
    let mut file = pcap_header();
    for (second, frame) in (1_u32..).zip(&frames) {
        for word in [second, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    let right = "6\t10.0.0.1\t80\t10.0.0.2\t4000\t2\t4\t108\t216\t1.000000000\t6.000000000\t1\t55\t1\t2\t0\t1\t1\t0\n";
    let mut folder = Folder::new("flags");
    folder.add_file("made/a.pcap", &file, "tcp=6", Some((6, 1)));
    fs::write(folder.oracle("made/a.pcap"), right).unwrap();
    let (content, said, complaint) = folder.run();
    assert!(content, "{said}{complaint}");
    let wrong = right.replace("\t1\t2\t0\t1\t1\t0\n", "\t2\t1\t1\t0\t0\t1\n");
    fs::write(folder.oracle("made/a.pcap"), wrong).unwrap();
    let (content, said, _) = folder.run();
    assert!(!content);
    for told in [
        "synAB 1", "synBA 2", "finAB 0", "finBA 1", "rstAB 1", "rstBA 0",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
}

#[test]
fn flows_that_are_missing_and_flows_too_many_are_differences() {
    let other = UDP.replace("4000", "4001");
    let mut folder = Folder::new("missing");
    folder.add("made/a.pcap", "udp=3", true, &other);
    let (content, said, _) = folder.run();
    assert!(!content);
    assert!(
        said.contains("udp 10.0.0.1 53 10.0.0.2 4001: missing, 1 + 2 packets"),
        "{said}"
    );
    assert!(
        said.contains("udp 10.0.0.1 53 10.0.0.2 4000: not expected, 1 + 2 packets"),
        "{said}"
    );
}

#[test]
fn every_capture_with_an_oracle_is_compared_whatever_it_shows() {
    let wrong = UDP.replace("142", "143");
    for (tags, exact) in [
        ("udp=3", false),
        ("udp=3,l2-mpls=1", true),
        ("udp=3,l2-pppoe=1", true),
        ("udp=3,l2-llc=1", true),
        ("udp=3,fragment-v4-first=1", true),
    ] {
        let mut folder = Folder::new("every");
        folder.add("made/a.pcap", "udp=3", true, UDP);
        folder.add("made/b.pcap", tags, exact, &wrong);
        let (content, said, _) = folder.run();
        assert!(!content, "{tags}: {said}");
        assert!(
            said.contains("compared 2 captures, 6 packets, 2 flows, 0 fragments in the flow of their first: 1 equal, 0 differ as listed, in 0 lines, 1 differ otherwise"),
            "{tags}: {said}"
        );
    }
}

#[test]
fn captures_without_an_oracle_are_run_and_counted_by_link_type() {
    let mut folder = Folder::new("ran");
    folder.add("made/a.pcap", "udp=3", true, UDP);
    folder.add_file("made/no-capture.pcap", b"GET / HTTP/1.1", "", None);
    folder.add_file("made/empty.pcap", b"", "", None);
    let (content, said, complaint) = folder.run();
    assert!(content, "{said}{complaint}");
    assert!(said.contains("compared 1 captures"), "{said}");
    assert!(
        said.contains("ran 2 more without an oracle: 2 of link type 1\n"),
        "{said}"
    );
}

/// UDP over IPv4 from 10.0.0.2 to 10.0.0.1, in a frame of 60 bytes, with its fragment offset in
/// units of 8 bytes.
fn fragment(offset: u8) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0, 0, 44, 0, 1, 0, offset, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 2, 10, 0, 0, 1, 15, 160, 0, 53, 0, 24, 0, 0]);
    frame.resize(60, 7);
    frame
}

fn capture_of(frames: &[&[u8]]) -> Vec<u8> {
    let mut file = pcap_header();
    for (second, frame) in (1_u32..).zip(frames) {
        for word in [second, 0, frame.len() as u32, 60] {
            file.extend(word.to_le_bytes());
        }
        file.extend(*frame);
    }
    file
}

#[test]
fn later_fragments_are_compared_by_protocol_and_addresses() {
    let file = capture_of(&[&fragment(0), &fragment(3), &fragment(6)]);
    let first = "17\t10.0.0.1\t53\t10.0.0.2\t4000\t0\t1\t0\t60\t1.000000000\t1.000000000\t-\t-\t-\t-\t-\t-\t-\t-\n";
    let later = "17\t10.0.0.1\tfrag\t10.0.0.2\tfrag\t0\t2\t0\t120\t2.000000000\t3.000000000\t-\t-\t-\t-\t-\t-\t-\t-\n";
    let mut folder = Folder::new("fragments");
    folder.add_file("made/a.pcap", &file, "fragment-v4-later=2", Some((3, 2)));
    fs::write(folder.oracle("made/a.pcap"), format!("{first}{later}")).unwrap();
    let (content, said, complaint) = folder.run();
    assert!(content, "{said}{complaint}");
    let more = later.replace("\t0\t2\t", "\t1\t2\t");
    fs::write(folder.oracle("made/a.pcap"), format!("{first}{more}")).unwrap();
    let (content, said, _) = folder.run();
    assert!(!content);
    assert!(
        said.contains("made/a.pcap: udp 10.0.0.1 frag 10.0.0.2 frag: pktsAB 0, expected 1\n"),
        "{said}"
    );
}

#[test]
fn unknown_ports_are_compared_as_such() {
    let whole = fragment(0);
    let file = capture_of(&[&whole[..36]]);
    let cut = "17\t10.0.0.1\t-\t10.0.0.2\t-\t0\t1\t0\t60\t1.000000000\t1.000000000\t-\t-\t-\t-\t-\t-\t-\t-\n";
    let mut folder = Folder::new("unknown");
    folder.add_file("made/a.pcap", &file, "sliced=1", Some((1, 1)));
    fs::write(folder.oracle("made/a.pcap"), cut).unwrap();
    let (content, said, complaint) = folder.run();
    assert!(content, "{said}{complaint}");
    fs::write(
        folder.oracle("made/a.pcap"),
        cut.replace("\t-\t10", "\t0\t10")
            .replace("2\t-\t0", "2\t0\t0"),
    )
    .unwrap();
    let (content, said, _) = folder.run();
    assert!(!content);
    assert!(
        said.contains("udp 10.0.0.1 - 10.0.0.2 -: not expected, 0 + 1 packets"),
        "{said}"
    );
}

#[test]
fn a_process_that_hangs_is_ended_by_the_kernel() {
    let folder = Folder::new("hangs");
    let pipe = folder.path.join("pipe.pcap");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // Nothing writes to it.
    let output = Command::new(env!("CARGO_BIN_EXE_tools"))
        .args(["conformance", "--one", "1"])
        .arg(&pipe)
        .output()
        .unwrap();
    const SIGALRM: i32 = 14;
    assert_eq!(output.status.signal(), Some(SIGALRM), "{output:?}");
}

#[test]
fn nothing_to_compare_is_a_failure() {
    let mut folder = Folder::new("nothing");
    folder.add_file("made/a.pcap", &capture_of(&[&fragment(0)]), "udp=1", None);
    let (content, _, complaint) = folder.run();
    assert!(!content);
    assert!(complaint.contains("nothing to compare"), "{complaint}");
}

#[test]
fn errors_in_a_folder_name_file_and_line() {
    type Break = fn(&mut Folder);
    let cases: [(&str, Break); 8] = [
        (
            "made__a.pcap.tsv:2: bytesAB: \"14x\" is not a number",
            |folder| {
                let text = format!("{HEADER}{}", UDP.replace("142", "14x"));
                fs::write(folder.oracle("made/a.pcap"), text).unwrap();
            },
        ),
        ("made__a.pcap.tsv:2: 18 fields; a flow has 19", |folder| {
            let text = format!("{HEADER}{}", UDP.replacen("\t-", "", 1));
            fs::write(folder.oracle("made/a.pcap"), text).unwrap();
        }),
        ("made__a.pcap.tsv:3: a second line", |folder| {
            fs::write(folder.oracle("made/a.pcap"), format!("{HEADER}{UDP}{UDP}")).unwrap();
        }),
        ("made__a.pcap.tsv: No such file", |folder| {
            fs::remove_file(folder.oracle("made/a.pcap")).unwrap();
        }),
        ("a.pcap: No such file", |folder| {
            fs::remove_file(folder.path.join("made/a.pcap")).unwrap();
        }),
        ("a.pcap has 3 bytes, but", |folder| {
            fs::write(folder.path.join("made/a.pcap"), "abc").unwrap();
        }),
        ("exact.txt:3: packets: \"many\" is not a number", |folder| {
            folder.exact += "made/b.pcap\t1\tmany\t1\n";
        }),
        (
            "exact.txt lists made/b.pcap, but index.tsv does not",
            |folder| {
                folder.exact += "made/b.pcap\t1\t1\t1\n";
            },
        ),
    ];
    for (number, (told, make_broken)) in cases.into_iter().enumerate() {
        let mut folder = Folder::new(&format!("broken-{number}"));
        folder.add("made/a.pcap", "udp=3", true, UDP);
        make_broken(&mut folder);
        let (content, said, complaint) = folder.run();
        assert!(!content, "{told}: {said}");
        assert!(complaint.contains(told), "{told}: {complaint}");
    }
}

#[test]
fn a_file_that_is_cut_is_content_only_where_the_index_says_so() {
    for (tags, expected) in [("udp=3", false), ("udp=3,file-cut-short=1", true)] {
        let mut folder = Folder::new(&format!("cut-{expected}"));
        folder.add("made/whole.pcap", "udp=3", true, UDP);
        let mut file = fs::read(folder.path.join("made/whole.pcap")).unwrap();
        file.extend([1, 2, 3]);
        folder.add_file("made/cut.pcap", &file, tags, Some((3, 1)));
        fs::write(folder.oracle("made/cut.pcap"), UDP).unwrap();
        let (content, said, complaint) = folder.run();
        assert_eq!(content, expected, "{said}{complaint}");
        assert_eq!(said.contains("it is cut short"), !expected, "{said}");
    }
}

#[test]
fn a_folder_without_a_list_is_run_without_an_oracle() {
    let mut folder = Folder::new("without-a-list");
    folder.add("made/a.pcap", "udp=3", true, UDP);
    let whole = fs::read(folder.path.join("made/a.pcap")).unwrap();
    fs::write(folder.path.join("made/cut.pcap"), &whole[..whole.len() - 1]).unwrap();
    fs::write(folder.path.join("made/none.pcap"), "no capture").unwrap();
    fs::write(folder.path.join("made/notes.txt"), "no capture").unwrap();
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_tools"))
            .arg("conformance")
            .arg(&folder.path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), text)
    };
    // There are flows to compare with, but no list.
    let (content, said) = run();
    assert!(content, "{said}");
    assert!(
        said.contains("compared 1 captures, 3 packets, 1 flows"),
        "{said}"
    );
    assert!(
        said.contains("ran 2 more without an oracle: 2 of link type ?"),
        "{said}"
    );
    fs::remove_dir_all(folder.path.join("oracle")).unwrap();
    let (content, said) = run();
    assert!(content, "{said}");
    assert!(
        said.contains("ran 3 more without an oracle: 3 of link type ?"),
        "{said}"
    );
    fs::remove_dir_all(folder.path.join("made")).unwrap();
    let (content, said) = run();
    assert!(!content, "{said}");
}
