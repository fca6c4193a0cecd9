//! Network namespaces, and work inside them.

mod open;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::{fs, io, thread};

use crate::syscall::enter_network_namespace;
use crate::{Error, SyscallError};

/// The network namespace of the calling thread.
const OF_THIS_THREAD: &str = "/proc/thread-self/ns/net";

/// A network namespace, for a capture or any other work in it.
///
/// ```no_run
/// use netring_sys::{Interface, Namespace};
///
/// let blue = Namespace::by_name("blue")?;
/// for interface in Interface::all_in(&blue)? {
///     println!("{}", interface.name);
/// }
/// # Ok::<(), netring_sys::Error>(())
/// ```
///
/// It holds an open descriptor, so the namespace and its interfaces exist at least as long as the
/// value and its clones, even if its name is deleted. Two values are equal if they are the same
/// namespace, however it was named.
///
/// Entering a namespace other than that of the thread needs CAP_SYS_ADMIN, both in the user
/// namespace of the process and in the one that the network namespace belongs to. `{}` prints the
/// name by which it was opened.
#[derive(Clone)]
pub struct Namespace {
    file: Arc<OwnedFd>,
    id: Id,
    name: Arc<str>,
}

/// What identifies a namespace: the device and the inode of its file.
type Id = (u64, u64);

impl Namespace {
    /// Runs `work` in the namespace and returns its result. The calling thread never changes its
    /// own namespace: unless it is already in this one, a new thread enters it, does the work and
    /// ends. A panic of `work` continues on the calling thread.
    ///
    /// Sockets that `work` opens, and threads that it starts, stay in the namespace. Files do not
    /// change: `/sys` still shows the namespace in which it was mounted.
    ///
    /// ```
    /// use netring_sys::Namespace;
    ///
    /// let here = Namespace::current()?;
    /// assert_eq!(here.run(|| 6 * 7)?, 42);
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without CAP_SYS_ADMIN, unless the thread is in it already; or no
    /// thread could be started.
    #[doc(alias = "setns")]
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        if self.is_current() {
            return Ok(work());
        }
        thread::scope(|scope| {
            let inside = thread::Builder::new().name("netring-netns".into());
            let inside = inside.spawn_scoped(scope, || {
                enter_network_namespace(self.as_fd()).map_err(SyscallError::needs_sys_admin)?;
                Ok(work())
            });
            let inside = inside.map_err(|source| SyscallError {
                call: "clone",
                source,
            })?;
            inside.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Whether the calling thread is in this namespace; false if `/proc` cannot be read.
    pub fn is_current(&self) -> bool {
        fs::metadata(OF_THIS_THREAD).is_ok_and(|file| id(&file) == self.id)
    }

    /// The names of the namespaces that have one, sorted, as `ip netns list` has them.
    ///
    /// # Errors
    /// The folder cannot be read; one that does not exist is empty.
    #[doc(alias = "ip netns list")]
    pub fn names() -> Result<Vec<String>, Error> {
        Ok(open::names().map_err(|source| SyscallError {
            call: "open(/run/netns)",
            source,
        })?)
    }

    fn over(file: OwnedFd, name: String) -> io::Result<Self> {
        let file = fs::File::from(file);
        Ok(Self {
            id: id(&file.metadata()?),
            file: Arc::new(file.into()),
            name: name.into(),
        })
    }
}

fn id(file: &fs::Metadata) -> Id {
    (file.st_dev(), file.st_ino())
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Namespace {}

/// How it was named: its name, its path, or `net:[INODE]` for a descriptor.
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({}, net:[{}])", self.name, self.id.1)
    }
}

/// The descriptor of the namespace's file, as `setns` takes it.
impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
