//! Opening namespaces: by name, by path, of a process, of a descriptor.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Namespace, OF_THIS_THREAD};
use crate::syscall::is_network_namespace;
use crate::{Error, SyscallError};

/// Where `ip netns` keeps the namespaces that have a name. The second is the path that it uses, and
/// on most systems a link to the first.
const FOLDERS: [&str; 2] = ["/run/netns", "/var/run/netns"];

const SETTING: &str = "namespace";

impl Namespace {
    /// The namespace of this name, as `ip netns add NAME` makes it: `/run/netns/NAME`.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`], which lists the names that exist; [`Error::Config`] if the name
    /// is not that of a network namespace.
    #[doc(alias = "ip netns")]
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let missing = || Error::NoSuchNamespace {
            name: name.to_owned(),
            advice: about_names(&names().unwrap_or_default()),
        };
        if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
            return Err(missing());
        }
        let paths = FOLDERS.map(|folder| Path::new(folder).join(name));
        match paths
            .iter()
            .map(|path| open(path))
            .find(|opened| match opened {
                Err(error) => error.kind() != ErrorKind::NotFound,
                Ok(_) => true,
            }) {
            None => Err(missing()),
            Some(file) => check(
                file.map_err(failed)?,
                name,
                || "its mount is gone; remove it with `ip netns delete` and add it again",
            ),
        }
    }

    /// The namespace whose file is at this path: `/proc/PID/ns/net`, or where a container runtime
    /// mounted it.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`] if there is no such file, [`Error::Config`] if it is not that of
    /// a network namespace, [`Error::NotPermitted`] if it belongs to a process of another user.
    pub fn by_path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let name = path.to_string_lossy().into_owned();
        let file = open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NoSuchNamespace {
                name: name.clone(),
                advice: "there is no such file".into(),
            },
            _ => failed(error),
        })?;
        check(
            file,
            &name,
            || "give the path of one, such as /proc/PID/ns/net",
        )
    }

    /// The namespace that a process is in: that of its first thread.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`] if there is no such process; [`Error::NotPermitted`] without
    /// CAP_SYS_PTRACE, if it is the process of another user or has more capabilities.
    pub fn of_process(process: u32) -> Result<Self, Error> {
        Self::by_path(format!("/proc/{process}/ns/net")).map_err(|error| match error {
            Error::NoSuchNamespace { .. } => Error::NoSuchNamespace {
                name: process.to_string(),
                advice: "there is no process of this number".into(),
            },
            error => error,
        })
    }

    /// The namespace that the calling thread is in.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn current() -> Result<Self, Error> {
        let file = open(Path::new(OF_THIS_THREAD)).map_err(failed)?;
        Self::from_fd(file.into())
    }

    /// The namespace of an open descriptor, as a container runtime or a parent process passes it
    /// on.
    ///
    /// # Errors
    /// [`Error::Config`] if it is not that of a network namespace.
    pub fn from_fd(descriptor: OwnedFd) -> Result<Self, Error> {
        let file = File::from(descriptor);
        let inode = std::os::linux::fs::MetadataExt::st_ino(&file.metadata().map_err(failed)?);
        check(
            file,
            &format!("net:[{inode}]"),
            || "pass the descriptor of one",
        )
    }
}

/// The names in the folders of `ip netns`.
pub(super) fn names() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in FOLDERS {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Opens a file without waiting, which the open of a named pipe would.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    options.open(path)
}

fn check(file: File, name: &str, otherwise: fn() -> &'static str) -> Result<Namespace, Error> {
    let what = match is_network_namespace(file.as_fd()) {
        Ok(true) => return Ok(Namespace::over(file.into(), name.into()).map_err(syscall)?),
        Ok(false) => "is a namespace, but not a network namespace",
        Err(_) => "is not a namespace",
    };
    let why = format!("{name} {what}; {}", otherwise());
    let setting = SETTING;
    Err(Error::Config { setting, why })
}

fn about_names(names: &[String]) -> String {
    match names {
        [] => "none has a name; `ip netns add NAME` makes one".into(),
        names => format!("those that exist: {}", names.join(", ")),
    }
}

fn syscall(source: io::Error) -> SyscallError {
    let call = "open(NAMESPACE)";
    SyscallError { call, source }
}

fn failed(source: io::Error) -> Error {
    syscall(source).needs_ptrace()
}
