//! Netlink messages and their attributes, as bytes.
//!
//! Answers come from the kernel, yet every length in them is checked: a short read ends the
//! iteration.

// [`NLMSG_ERROR`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netlink.h#L113
pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
// [`NLM_F_REQUEST`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netlink.h#L62
pub(super) const NLM_F_REQUEST: u16 = 1;
pub(super) const NLM_F_ACK: u16 = 4;
// [`NLM_F_DUMP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netlink.h#L73
pub(super) const NLM_F_DUMP: u16 = 0x300;
/// In an answer: the list changed during the dump.
// [`NLM_F_DUMP_INTR`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netlink.h#L66
pub(super) const NLM_F_DUMP_INTR: u16 = 0x10;

/// The flag of a nested attribute; older kernels omit it.
// [`NLA_F_NESTED`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netlink.h#L244
pub(super) const NLA_F_NESTED: u16 = 0x8000;

/// Bytes of `nlmsghdr`, and of the `ifinfomsg` that follows it.
// [`nlmsghdr`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netlink.h#L52
pub(super) const HEADER: usize = 16;
// [`ifinfomsg`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h#L561
pub(super) const INFO: usize = 16;

pub(super) fn request(kind: u16, flags: u16, index: u32) -> Vec<u8> {
    let mut message = vec![0; HEADER + INFO];
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&flags.to_ne_bytes());
    message[HEADER + 4..HEADER + 8].copy_from_slice(&index.to_ne_bytes());
    message
}

pub(super) fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

pub(super) fn finished(mut message: Vec<u8>) -> Vec<u8> {
    let len = message.len() as u32;
    message[..4].copy_from_slice(&len.to_ne_bytes());
    message
}

/// Each received message: its type, whether it belongs to a list that changed meanwhile, and its
/// payload.
pub(super) fn split(mut bytes: &[u8]) -> impl Iterator<Item = (u16, bool, &[u8])> {
    std::iter::from_fn(move || {
        let len = u32_at(bytes, 0)? as usize;
        if len < HEADER || len > bytes.len() {
            return None;
        }
        let (message, kind) = (&bytes[HEADER..len], u16_at(bytes, 4)?);
        let interrupted = u16_at(bytes, 6)? & NLM_F_DUMP_INTR != 0;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, interrupted, message))
    })
}

/// The error number in a refusal or at the end of a list; 0 for none.
pub(super) fn error_in(message: &[u8]) -> i32 {
    message
        .first_chunk()
        .map_or(0, |errno| i32::from_ne_bytes(*errno).wrapping_neg())
}

/// The attributes in `bytes`: type and value.
// [`nlattr`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netlink.h#L229
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (len, kind) = (usize::from(u16_at(bytes, 0)?), u16_at(bytes, 2)?);
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !NLA_F_NESTED, value))
    })
}

/// The value of the first attribute of type `wanted`, if there is one.
pub(super) fn value_of(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::super::RTM_NEWLINK;
    use super::*;

    #[test]
    fn the_end_of_a_list_says_whether_it_changed_or_failed() {
        let done = |flags: u16, errno: i32| {
            let mut done = request(NLMSG_DONE, flags, 0);
            done.truncate(HEADER);
            done.extend_from_slice(&errno.to_ne_bytes());
            let bytes = [finished(request(RTM_NEWLINK, flags, 3)), finished(done)].concat();
            let read = split(&bytes).map(|(kind, interrupted, message)| {
                let errno = if kind == NLMSG_DONE {
                    error_in(message)
                } else {
                    0
                };
                (kind, interrupted, errno)
            });
            read.collect::<Vec<_>>()
        };
        for interrupted in [false, true] {
            let flags = 2 | if interrupted { NLM_F_DUMP_INTR } else { 0 };
            for errno in [0, 105] {
                assert_eq!(
                    done(flags, -errno),
                    [
                        (RTM_NEWLINK, interrupted, 0),
                        (NLMSG_DONE, interrupted, errno)
                    ]
                );
            }
        }
    }
}
