//! The first bytes of a file, which identify its format.

use std::io::Read;

use super::super::error::FileError;
use super::buffer::Buffer;
use super::input::Input;

/// Reads the first bytes of a file, which show what it is.
pub(super) fn read_magic<R: Read>(
    buffer: &mut Buffer,
    reader: &mut Input<R>,
) -> Result<[u8; 4], FileError> {
    read_header(buffer, reader, 4)?;
    Ok(*buffer.unread().first_chunk().expect("that many were read"))
}

/// Reads the first `len` bytes of a file.
pub(super) fn read_header<R: Read>(
    buffer: &mut Buffer,
    reader: &mut Input<R>,
    len: usize,
) -> Result<(), FileError> {
    while buffer.unread().len() < len {
        let have = buffer.unread().len() as u64;
        match buffer.fill(reader) {
            Ok(0) if have == 0 => {
                let why = "it is empty".into();
                return Err(FileError::Unrecognized { why });
            }
            Ok(0) => {
                return Err(FileError::CutShort {
                    what: "the header of the file",
                    offset: 0,
                    missing: len as u64 - have,
                });
            }
            Ok(_) => {}
            Err(error) => return Err(reader.failed(error, have)),
        }
    }
    Ok(())
}

/// The error for a file that begins with these bytes.
pub(super) fn unrecognized(magic: [u8; 4]) -> FileError {
    let compressed = match magic {
        [0x1f, 0x8b, ..] => Some(("gzip", "gunzip")),
        [0x28, 0xb5, 0x2f, 0xfd] => Some(("zstd", "unzstd")),
        [0xfd, b'7', b'z', b'X'] => Some(("xz", "unxz")),
        [0x04, 0x22, 0x4d, 0x18] => Some(("lz4", "unlz4")),
        [b'B', b'Z', b'h', _] => Some(("bzip2", "bunzip2")),
        _ => None,
    };
    let why = match compressed {
        #[cfg(not(feature = "compression"))]
        Some((by @ ("gzip" | "zstd"), tool)) => format!(
            "it is compressed by {by}; unpack it first, with `{tool}`, or enable the feature \
             `compression`"
        ),
        Some((by, tool)) => format!("it is compressed by {by}; unpack it first, with `{tool}`"),
        None => {
            let [a, b, c, d] = magic;
            format!(
                "it is neither pcap nor pcapng: it begins with the bytes {a:02x} {b:02x} {c:02x} {d:02x}"
            )
        }
    };
    FileError::Unrecognized { why }
}
