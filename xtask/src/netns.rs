//! Network namespaces that belong to a test: nothing on the machine is touched, and nothing is left
//! behind.
//!
//! A namespace is entered by one thread and not by the process, so tests run side by side with the
//! same interface names. It is gone when the last thread in it and the last [`Netns`] are.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};
use std::thread;

use netring_sys::Namespace;
use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace.
#[derive(Debug)]
pub struct Netns {
    file: File,
}

impl Netns {
    /// Puts this thread into a fresh namespace, with `lo` up.
    ///
    /// # Errors The thread lacks the privilege; the message names a command that has it.
    pub fn enter() -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| {
            let why =
                "creating a network namespace requires root or a user namespace: run `cargo xtask test-netns`";
            io::Error::new(
                io::Error::from(errno).kind(),
                format!("unshare: {errno}; {why}"),
            )
        })?;
        ip("link set lo up")?;
        Ok(Self {
            file: File::open("/proc/thread-self/ns/net")?,
        })
    }

    /// Creates a namespace that this thread does not enter: a second host.
    ///
    /// # Errors The same as those of [`enter`](Self::enter).
    pub fn new() -> io::Result<Self> {
        join(thread::spawn(Self::enter))
    }

    /// Runs `work` in this namespace, on a separate thread, and waits for it. Threads that it
    /// starts stay in the namespace.
    ///
    /// # Errors `work` panicked or failed, or the thread could not enter the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET)?;
                work()
            });
            inside
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
        })
    }

    /// The namespace in the library's form.
    ///
    /// # Errors There are too many open files.
    pub fn handle(&self) -> io::Result<Namespace> {
        Ok(Namespace::from_fd(self.file.try_clone()?.into())?)
    }

    /// Moves an interface of this thread's namespace into this one. It arrives down and without
    /// addresses.
    ///
    /// # Errors This namespace has no such interface, or the other one has an interface of that
    /// name.
    pub fn take(&self, interface: &str) -> io::Result<()> {
        let (pid, fd) = (std::process::id(), self.file.as_raw_fd());
        ip(&format!(
            "link set dev {interface} netns /proc/{pid}/fd/{fd}"
        ))
    }
}

/// Gives this thread a private, empty `/run`, so that it can name namespaces with `ip netns`.
///
/// # Errors The thread lacks the privilege, or `mount` is not installed.
pub fn own_names() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    for words in [
        &["--make-rprivate", "/"][..],
        &["-t", "tmpfs", "run", "/run"],
    ] {
        let status = Command::new("mount").args(words).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("mount {words:?}: {status}")));
        }
    }
    Ok(())
}

/// Creates a veth pair in this thread's namespace. Both ends are up and silent: neither has an IPv6
/// address to announce.
///
/// # Errors One of the names is in use.
pub fn veth(a: &str, b: &str) -> io::Result<()> {
    veth_with_queues(a, b, 1)
}

/// Creates a [`veth`] pair with `queues` queues in both directions at both ends.
///
/// # Errors One of the names is in use.
pub fn veth_with_queues(a: &str, b: &str, queues: u32) -> io::Result<()> {
    let count = format!("numrxqueues {queues} numtxqueues {queues}");
    ip(&format!(
        "link add name {a} {count} type veth peer name {b} {count}"
    ))?;
    for end in [a, b] {
        ip(&format!("link set dev {end} addrgenmode none"))?;
        ip(&format!("link set dev {end} up"))?;
    }
    // The second `up` gives both a carrier, which the kernel announces later.
    for end in [a, b] {
        let up = || netring_sys::Interface::by_name(end).is_ok_and(|interface| interface.is_up());
        (0..2000).find(|_| {
            up() || {
                thread::sleep(std::time::Duration::from_millis(1));
                false
            }
        });
        if !up() {
            return Err(io::Error::other(format!("{end} got no carrier")));
        }
    }
    Ok(())
}

/// Creates a bridge with these ports in this thread's namespace, up and silent: a bridge with
/// multicast snooping would announce itself (RFC 4286) within a second.
///
/// # Errors The name is in use, or a port does not exist.
pub fn bridge(name: &str, ports: &[&str]) -> io::Result<()> {
    ip(&format!(
        "link add name {name} type bridge mcast_snooping 0"
    ))?;
    for port in ports {
        ip(&format!("link set dev {port} master {name}"))?;
    }
    ip(&format!("link set dev {name} addrgenmode none"))?;
    ip(&format!("link set dev {name} up"))
}

/// Runs `ip` with these arguments in this thread's namespace.
///
/// # Errors iproute2 is not installed, or `ip` failed; the error has what it printed.
pub fn ip(words: &str) -> io::Result<()> {
    ip_says(words).map(drop)
}

/// Runs `ip` with these arguments in this thread's namespace, and returns what it printed.
///
/// # Errors The same as those of [`ip`].
pub fn ip_says(words: &str) -> io::Result<String> {
    says("ip", words)
}

/// Runs many commands of `ip`, one a line, in one process in this thread's namespace.
///
/// # Errors The same as those of [`ip`].
pub fn ip_batch(commands: &str) -> io::Result<()> {
    let start = |error| does_not_start("ip", &error);
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let mut input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // It stops at the first command that fails, and says why.
    let written = input.write_all(commands.as_bytes());
    drop(input);
    let output = child.wait_with_output()?;
    says_how(output, "ip -batch")?;
    written
}

/// Runs `tc` with these arguments in this thread's namespace, and returns what it printed.
///
/// # Errors The same as those of [`ip`].
pub fn tc(words: &str) -> io::Result<String> {
    says("tc", words)
}

fn says(program: &str, words: &str) -> io::Result<String> {
    let output = Command::new(program)
        .args(words.split_whitespace())
        .output()
        .map_err(|error| does_not_start(program, &error))?;
    says_how(output, &format!("{program} {words}"))
}

fn does_not_start(program: &str, error: &io::Error) -> io::Error {
    let why = format!("`{program}` did not start ({error}): install iproute2");
    io::Error::new(error.kind(), why)
}

/// The output of a command, or its failure.
fn says_how(output: Output, command: &str) -> io::Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command}: {}", why.trim())))
}

fn join<T>(thread: thread::JoinHandle<io::Result<T>>) -> io::Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
}
