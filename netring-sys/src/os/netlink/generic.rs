//! Generic netlink: families, and one request with one answer.

use std::os::fd::AsFd;

use super::exchange::exchange;
use super::is_forbidden;
use super::wire::{
    HEADER, NLM_F_REQUEST, NLMSG_ERROR, attribute, error_in, finished, split, u16_at, u32_at,
    value_of,
};
use crate::SyscallError;
use crate::syscall::generic_netlink_socket;

/// The message type of the controller, which resolves family names.
// [`GENL_ID_CTRL`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/genetlink.h#L30
const GENL_ID_CTRL: u16 = 0x10;
// [`CTRL_CMD_GETFAMILY`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/genetlink.h#L44
const CTRL_CMD_GETFAMILY: u8 = 3;
// [`CTRL_ATTR_FAMILY_ID`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/genetlink.h#L59
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// Bytes of `genlmsghdr`: command, version, and two reserved bytes.
// [`genlmsghdr`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/genetlink.h#L13
const COMMAND: usize = 4;

/// The ID of the family with this name (with a terminating zero byte), which is assigned at boot.
/// `None` if the kernel does not have it or a sandbox forbids netlink.
pub(super) fn family(name: &[u8]) -> Result<Option<u16>, SyscallError> {
    let mut by_name = Vec::new();
    attribute(&mut by_name, CTRL_ATTR_FAMILY_NAME, name);
    match ask(
        &request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &by_name),
        family_id,
    ) {
        Err(error) if error.is(libc::ENOENT) || is_forbidden(&error) => Ok(None),
        other => other.map(Some),
    }
}

fn family_id(answer: &[u8]) -> Option<u16> {
    u16_at(value_of(answer, CTRL_ATTR_FAMILY_ID)?, 0)
}

pub(super) fn u32_of(answer: &[u8], kind: u16) -> Option<u32> {
    u32_at(value_of(answer, kind)?, 0)
}

pub(super) fn request(family: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let mut message = vec![0; HEADER + COMMAND];
    message[4..6].copy_from_slice(&family.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message[HEADER..HEADER + 2].copy_from_slice(&[command, 1]);
    message.extend_from_slice(attributes);
    finished(message)
}

/// Sends a request on a new socket and waits until `answer` returns something for the attributes of
/// a reply.
pub(super) fn ask<T>(
    request: &[u8],
    mut answer: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, SyscallError> {
    let socket = generic_netlink_socket()?;
    exchange(socket.as_fd(), request, |bytes| {
        messages(bytes).find_map(|message| match message {
            Ok(attributes) => answer(attributes).map(Ok),
            Err(errno) => Some(Err(SyscallError {
                call: "send(NETLINK_GENERIC)",
                source: std::io::Error::from_raw_os_error(errno),
            })),
        })
    })?
}

/// The attributes of each received message, or the error number of a refusal.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], i32>> {
    split(bytes).map_while(|(kind, _, message)| match kind {
        NLMSG_ERROR => Some(Err(error_in(message))),
        _ => message.get(COMMAND..).map(Ok),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_read_from_the_answer_and_from_no_damaged_one() {
        let mut reported = Vec::new();
        attribute(&mut reported, CTRL_ATTR_FAMILY_NAME, b"netdev\0");
        attribute(&mut reported, CTRL_ATTR_FAMILY_ID, &30_u16.to_ne_bytes());
        let bytes = request(GENL_ID_CTRL, 1, &reported);
        let read = |bytes: &[u8]| messages(bytes).flatten().find_map(family_id);
        assert_eq!(read(&bytes), Some(30));
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), None, "{cut}");
        }
    }
}
