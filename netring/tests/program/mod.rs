//! Examples, run as programs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use netring::Interface;
use xtask::wire::Sender;

/// A running example. It is killed if it is dropped before its end.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Option<Child>,
    /// Its output lines as they arrive.
    out: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// The output of a program, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: Vec<String>,
    pub(crate) err: String,
}

/// How the program of an example is started.
pub(crate) fn command(name: &'static str) -> Command {
    Command::new(built(name))
}

impl Program {
    /// Starts it in this thread's namespace.
    pub(crate) fn start(name: &'static str, args: &[&str]) -> Self {
        Self::spawn(name, command(name).args(args))
    }

    pub(crate) fn spawn(name: &'static str, command: &mut Command) -> Self {
        let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = pipes.stdin(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (out, pipe) = (
            Arc::<Mutex<Vec<_>>>::default(),
            child.stdout.take().unwrap(),
        );
        let lines = out.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                lines.lock().unwrap().push(line.unwrap());
            }
        });
        Self {
            name,
            child: Some(child),
            out,
            reader: Some(reader),
        }
    }

    /// Waits until it has printed this line.
    pub(crate) fn says(&mut self, line: &str) {
        let out = self.out.clone();
        self.until(&format!("say {line:?}"), |_| {
            out.lock().unwrap().iter().any(|said| said == line)
        });
    }

    /// Waits until the condition holds for the process with this number.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(u32) -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let child = self.child.as_mut().expect("it runs");
            if is_so(child.id()) {
                return;
            }
            if child.try_wait().unwrap().is_some() || Instant::now() > end {
                let said = self.kill();
                panic!("{} does not {what}: {said:?}", self.name);
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Sends it a Ctrl-C.
    pub(crate) fn interrupt(&mut self) {
        self.signal("INT");
    }

    /// Sends it the signal of this name.
    pub(crate) fn signal(&mut self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id();
        let mut kill = Command::new("sh");
        let sent = kill.args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for it to end.
    pub(crate) fn end(mut self) -> Said {
        let child = self.child.as_mut().expect("it runs");
        let end = Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let said = self.kill();
                panic!("{} does not end: {said:?}", self.name);
            }
            sleep(Duration::from_millis(5));
        }
        self.said().expect("it ran")
    }

    fn kill(&mut self) -> Option<Said> {
        // It may have ended by itself.
        let _ = self.child.as_mut()?.kill();
        self.said()
    }

    fn said(&mut self) -> Option<Said> {
        let output = self.child.take()?.wait_with_output();
        self.reader.take()?.join().unwrap();
        Some(said(output, std::mem::take(&mut *self.out.lock().unwrap())))
    }
}

/// An example names an invalid argument and the reason, and rejects surplus arguments.
#[track_caller]
pub(crate) fn argument_is_named(name: &'static str, before: &[&str], argument: &str) {
    let largest = u32::MAX.to_string();
    for bad in ["ten", "", "-1", "1.5", "4294967296", "99999999999999999999"] {
        let said = Program::start(name, &[before, &[bad]].concat()).end();
        assert!(!said.ok && said.out.is_empty(), "{said:?}");
        let expected = format!("{argument}: {bad:?} is not a whole number from 0 to {largest}\n");
        assert_eq!(said.err, expected, "{name}");
    }
    // No argument is there for what is behind the last.
    let many = [before, &["1", "1", "1", "more"]].concat();
    let said = Program::start(name, &many).end();
    assert!(
        !said.ok && said.err.contains(&format!("usage: {name} ")),
        "{said:?}"
    );
    // An argument that is not UTF-8 must not cause a panic.
    let mut odd = command(name);
    let said = Program::spawn(name, odd.args(before).arg(OsStr::from_bytes(b"\xff\xfe")));
    let said = said.end();
    assert!(
        !said.ok && said.err.starts_with(&format!("{argument}: ")),
        "{said:?}"
    );
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Said {
    /// The program reported success, and nothing on stderr.
    #[track_caller]
    pub(crate) fn went_well(&self) {
        assert!(self.ok && self.err.is_empty(), "{self:?}");
    }

    /// The run succeeded, and one of two subscribers printed the start of a flow from 10.0.0.1:5000
    /// to 10.0.0.2:53.
    #[track_caller]
    pub(crate) fn is_the_first_event_of_a_subscriber(&self) {
        self.went_well();
        let [line] = &self.out[..] else {
            panic!("{self:?}");
        };
        let (subscriber, event) = line.split_once(": ").unwrap();
        assert!(["a", "b"].contains(&subscriber), "{line}");
        assert!(event.starts_with("Some(Ok(Started {"), "{line}");
        assert!(event.contains("10.0.0.1:5000"), "{line}");
        assert!(event.contains("10.0.0.2:53"), "{line}");
    }
}

/// Whether the kernel lists a running socket for all protocols on the interface, in the namespace
/// of this process.
pub(crate) fn captures(pid: u32, interface: &str) -> bool {
    captures_index(pid, Interface::by_name(interface).unwrap().index)
}

/// The same for the index of an interface; 0 stands for a socket of all interfaces.
pub(crate) fn captures_index(pid: u32, index: u32) -> bool {
    let index = index.to_string();
    let sockets = fs::read_to_string(format!("/proc/{pid}/net/packet")).unwrap_or_default();
    sockets.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.len() > 5 && words[3..6] == ["0003", &index, "1"]
    })
}

/// Sends these frames, in this order.
pub(crate) fn send(sender: &Sender, frames: &[Vec<u8>]) {
    for frame in frames {
        sender.send(frame).unwrap();
    }
}

fn said(output: io::Result<Output>, out: Vec<String>) -> Said {
    let output = output.unwrap();
    let ok = output.status.success();
    let err = String::from_utf8(output.stderr).unwrap();
    // As the standard library prints the error that `main` returns.
    let error = err.strip_prefix("Error: ").filter(|_| !ok);
    let err = error.map_or_else(|| err.clone(), str::to_owned);
    Said { ok, out, err }
}

/// The path of a built example, beside the folder of the tests. It must exist and be newer than its
/// sources.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("examples");
    let program = folder.join(name);
    let cure = "build it first: `cargo build --package netring --all-features --examples`";
    let made = fs::metadata(&program).and_then(|file| file.modified());
    let made = made.unwrap_or_else(|error| panic!("{}: {error}; {cure}", program.display()));
    let parts = fs::read_to_string(folder.join(format!("{name}.d"))).unwrap();
    let (_, parts) = parts.split_once(": ").unwrap();
    for part in parts.split_whitespace() {
        let changed = fs::metadata(part).and_then(|file| file.modified());
        assert!(
            changed.is_ok_and(|changed| changed <= made),
            "{part} changed since {name} was built; {cure}"
        );
    }
    program
}
