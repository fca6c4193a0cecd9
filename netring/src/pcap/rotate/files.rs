//! Creating, completing and deleting files.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Settings;
use super::builder::Fsync;
use crate::Error;
use crate::pcap::error::FileError;

/// How many names are tried.
const ATTEMPTS: u32 = 100_000;

/// Creates the file of this number.
pub(super) fn create(settings: &Settings, number: u64) -> Result<(File, PathBuf), Error> {
    let mut options = OpenOptions::new();
    options.write(true);
    if settings.overwrite {
        let path = settings.pattern.name(number, 0);
        let file = options.create(true).truncate(true).open(&path);
        return named(file, path);
    }
    options.create_new(true);
    let mut attempt = 0;
    loop {
        let path = settings.pattern.name(number, attempt);
        attempt += 1;
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => {}
            file => return named(file, path),
        }
    }
}

fn named(file: io::Result<File>, path: PathBuf) -> Result<(File, PathBuf), Error> {
    match file {
        Ok(file) => Ok((file, path)),
        Err(error) => Err(FileError::Open(Arc::new(error)).of(&path.display().to_string())),
    }
}

/// Checks that the file of this number can be created.
pub(super) fn check(settings: &Settings, number: u64) -> Result<(), Error> {
    if settings.overwrite {
        let path = settings.pattern.name(number, 0);
        // One that exists is opened, and left as it is.
        match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            file => return named(file, path).map(drop),
        }
    }
    let (_, path) = create(settings, number)?;
    remove(&path)
}

/// Deletes a file. A missing file counts as deleted.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Delete(Arc::new(error)).of(&path.display().to_string()))
        }
        _ => Ok(()),
    }
}

/// Finishes a file that has all its bytes; returns their number.
pub(super) fn complete(file: &File, path: &Path, fsync: Fsync, name: &str) -> Result<u64, Error> {
    check_name(file, name)?;
    if fsync != Fsync::Never {
        sync(file, name)?;
        // Its name is on the medium once its directory is.
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| failed(error, name))?;
    }
    let metadata = file.metadata().map_err(|error| failed(error, name))?;
    Ok(metadata.len())
}

/// An error if the file has no name any more: its bytes will be gone when it is closed.
pub(super) fn check_name(file: &File, name: &str) -> Result<(), Error> {
    let metadata = file.metadata().map_err(|error| failed(error, name))?;
    if metadata.nlink() == 0 {
        return Err(FileError::Removed.of(name));
    }
    Ok(())
}

pub(super) fn is_removal(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(FileError::Removed))
}

pub(super) fn sync(file: &File, name: &str) -> Result<(), Error> {
    file.sync_all().map_err(|error| failed(error, name))
}

fn failed(error: io::Error, name: &str) -> Error {
    FileError::Write(Arc::new(error)).of(name)
}
