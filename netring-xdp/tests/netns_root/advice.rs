//! An error for a lack of privileges contains one line that grants them: the test takes the line
//! out of the error and follows it literally.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
#![allow(
    clippy::print_stdout,
    reason = "a test that runs itself again reports by its output"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netring_sys::Error;
use netring_xdp::program::{AttachMode, Program};
use netring_xdp::{
    BusyPoll, DriverMetadata, RingSize, SockFilter, Umem, UmemConfig, XdpCapture, XdpInjector,
    XdpSocket,
};
use xtask::netns::{Netns, ip, veth, veth_with_queues};

/// A copy of this test program in a folder that every user may enter.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (pid, n) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("netring-{pid}-{n}-{name}"));
        std::fs::create_dir(&folder).unwrap();
        let anybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&folder, anybody).unwrap();
        std::fs::copy(std::env::current_exe().unwrap(), folder.join("program")).unwrap();
        Self(folder)
    }

    fn program(&self) -> PathBuf {
        self.0.join("program")
    }

    /// The output of the role `what` of this test as the user nobody, with this limit of locked
    /// memory.
    fn reported(&self, test: &str, what: &str, memlock: &str) -> String {
        let output = Command::new("prlimit")
            .arg(format!("--memlock={memlock}:{memlock}"))
            .args([
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--",
            ])
            .arg(self.program())
            .args([
                "--exact",
                &format!("advice::{test}"),
                "--ignored",
                "--nocapture",
            ])
            .env("NETRING_ROLE", what)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, reported) = said
            .split_once("reported: ")
            .unwrap_or_else(|| panic!("{output:?}"));
        reported.lines().next().unwrap().to_owned()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The limit of locked memory covers all programs of the user nobody.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Follows the error's line for `setcap`; returns the capabilities that it grants.
#[track_caller]
fn follow(said: &str, program: &Path) -> Vec<String> {
    let (_, line) = said
        .split_once("`sudo ")
        .unwrap_or_else(|| panic!("no line: {said}"));
    let (line, _) = line.split_once('`').unwrap();
    let words: Vec<_> = line.split(' ').collect();
    let ["setcap", grant, "PROGRAM"] = words[..] else {
        panic!("{said}");
    };
    let done = Command::new("setcap").arg(grant).arg(program).status();
    assert!(done.unwrap().success(), "{line}");
    let (names, _) = grant.split_once('=').unwrap();
    names.split(',').map(str::to_owned).collect()
}

/// Opens what the role stands for.
fn open(what: &str) -> Result<(), Error> {
    let capture = || XdpCapture::builder().interface("v0");
    match what {
        "open" => XdpCapture::open("v0").map(drop),
        "half" => capture().chunks(2048).build().map(drop),
        "few" => capture().chunks(512).build().map(drop),
        "generic" => capture().attach_mode(AttachMode::Generic).build().map(drop),
        "filter" => {
            // Loads whose offset depends on the packet.
            let filter = [
                SockFilter::stmt(0xb1, 14),
                SockFilter::stmt(0x48, 16),
                SockFilter::stmt(0x16, 0),
            ];
            capture().filter(filter).build().map(drop)
        }
        "metadata" => {
            let builder = capture().metadata(DriverMetadata::Require);
            builder.rx_hash(true).promiscuous(true).build().map(drop)
        }
        "busy" => capture().busy_poll(BusyPoll::default()).build().map(drop),
        "both" => {
            let builder = capture().chunks(2048);
            builder.build_with_injector(RingSize::new(2048)?).map(drop)
        }
        "own" => capture()
            .program(Program::redirect().load()?)
            .build()
            .map(drop),
        "injector" => XdpInjector::open("v0").map(drop),
        "long injector" => {
            let builder = XdpInjector::builder("v0").chunk_size(4096);
            builder
                .transmit_ring(RingSize::new(4096)?)
                .build()
                .map(drop)
        }
        "busy injector" => {
            let builder = XdpInjector::builder("v0");
            builder.busy_poll(BusyPoll::default()).build().map(drop)
        }
        "sockets" | "few sockets" => {
            let chunks = if what == "sockets" { 8192 } else { 4096 };
            Umem::scope(&UmemConfig::new().chunks(chunks), |umem| {
                let rx = XdpSocket::builder("v0", 0).open_receiver(umem)?;
                let _program = Program::redirect().load()?;
                drop(rx);
                Ok(())
            })
        }
        other => panic!("{other}"),
    }
}

/// The role of these tests: prints the result.
fn ran_as_role() -> bool {
    let Ok(what) = std::env::var("NETRING_ROLE") else {
        return false;
    };
    match open(&what) {
        Ok(()) => println!("reported: opened"),
        Err(error) => println!("reported: {error}"),
    }
    true
}

/// Refused, given one line of advice, and opened. Checks the capabilities in that line.
#[track_caller]
fn one_line_is_enough(test: &str, what: &str, memlock: &str, expected: &[&str]) {
    let copy = Copy::new(&what.replace(' ', "-"));
    let refused = copy.reported(test, what, memlock);
    let mut granted = follow(&refused, &copy.program());
    granted.sort();
    assert_eq!(granted, expected, "{what}: {refused}");
    let now = copy.reported(test, what, memlock);
    assert_eq!(now, "opened", "{what}, after: {refused}");
}

const RECEIVE: [&str; 3] = ["cap_bpf", "cap_net_admin", "cap_net_raw"];
const LOCKING: [&str; 4] = ["cap_bpf", "cap_ipc_lock", "cap_net_admin", "cap_net_raw"];
/// The usual limit, which not every machine allows to raise, and a smaller one.
const USUAL: &str = "8388608";
const SMALL: &str = "65536";

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_that_is_refused_says_all_that_it_takes() {
    if ran_as_role() {
        return;
    }
    let test = "a_capture_that_is_refused_says_all_that_it_takes";
    let _turn = turn();
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for what in ["open", "generic", "filter", "metadata", "busy", "both"] {
        // 8 MiB are exactly the limit, which is allowed.
        one_line_is_enough(test, what, USUAL, &RECEIVE);
        one_line_is_enough(test, what, SMALL, &LOCKING);
    }
    one_line_is_enough(test, "own", USUAL, &RECEIVE);
    // Chunks of twice the size.
    ip("link set v0 mtu 9000").unwrap();
    one_line_is_enough(test, "open", USUAL, &LOCKING);
    one_line_is_enough(test, "half", USUAL, &RECEIVE);
}

/// Each queue has packet memory of its own.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_of_two_queues_says_what_both_take() {
    if ran_as_role() {
        return;
    }
    let _turn = turn();
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let test = "a_capture_of_two_queues_says_what_both_take";
    one_line_is_enough(test, "open", USUAL, &LOCKING);
    one_line_is_enough(test, "half", USUAL, &RECEIVE);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_only_sends_says_no_more_than_that_takes() {
    if ran_as_role() {
        return;
    }
    let _turn = turn();
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let test = "what_only_sends_says_no_more_than_that_takes";
    one_line_is_enough(test, "injector", USUAL, &["cap_net_raw"]);
    one_line_is_enough(test, "injector", SMALL, &["cap_ipc_lock", "cap_net_raw"]);
    let locking = ["cap_ipc_lock", "cap_net_raw"];
    one_line_is_enough(test, "long injector", USUAL, &locking);
    let busy = ["cap_net_admin", "cap_net_raw"];
    one_line_is_enough(test, "busy injector", USUAL, &busy);
}

/// With sockets and program opened separately, the first refusal names what the program will need.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn sockets_by_hand_say_what_their_program_takes() {
    if ran_as_role() {
        return;
    }
    let _turn = turn();
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let test = "sockets_by_hand_say_what_their_program_takes";
    one_line_is_enough(test, "sockets", USUAL, &LOCKING);
    one_line_is_enough(test, "few sockets", USUAL, &RECEIVE);
}

/// A user who has locked memory elsewhere: the line keeps the capabilities that the program has,
/// and adds the one for memory.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn memory_that_is_refused_does_not_cost_what_was_granted() {
    if ran_as_role() {
        return;
    }
    let _turn = turn();
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let test = "memory_that_is_refused_does_not_cost_what_was_granted";
    let copy = Copy::new("memory");
    let grant = "cap_net_raw,cap_bpf,cap_net_admin=ep";
    let done = Command::new("setcap")
        .arg(grant)
        .arg(copy.program())
        .status();
    assert!(done.unwrap().success());
    let start = std::time::Instant::now();
    let refused = copy.reported(test, "few", SMALL);
    // Memory beyond the limit is not waited for.
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(
        refused.starts_with("1048576 bytes of packet memory"),
        "{refused}"
    );
    let mut granted = follow(&refused, &copy.program());
    granted.sort();
    assert_eq!(granted, LOCKING, "{refused}");
    assert_eq!(copy.reported(test, "few", SMALL), "opened");
    // The alternative is given with its figure.
    assert!(refused.contains("`ulimit -l 1088`"), "{refused}");
    let done = Command::new("setcap")
        .arg(grant)
        .arg(copy.program())
        .status();
    assert!(done.unwrap().success());
    assert_eq!(
        copy.reported(test, "few", &(1088 << 10).to_string()),
        "opened"
    );
}
