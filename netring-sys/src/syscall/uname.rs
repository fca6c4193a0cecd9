//! The version of the running kernel: `uname(2)`.
//!
//! # Safety
//! The invariant of this file: the one pointer that is passed to the kernel is to a value on the
//! function's own stack.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

/// The version of the running kernel, such as `(6, 12)`; `None` if it does not say. Kernels of
/// distributions may have features of later versions, so ask only if nothing else answers.
// [`newuname`]: https://elixir.bootlin.com/linux/v6.12.117/source/kernel/sys.c#L1318
#[doc(alias = "uname")]
pub fn kernel_version() -> Option<(u32, u32)> {
    // SAFETY: the struct is arrays of characters, for which zeros are valid; it is on this stack;
    // nobody else uses it.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `names` is on this stack; nobody else uses it; the kernel writes as many bytes as its
    // type has.
    if unsafe { libc::uname(&raw mut names) } != 0 {
        return None;
    }
    let release = names.release.iter().map(|&byte| byte as u8);
    parse(&release.take_while(|&byte| byte != 0).collect::<Vec<_>>())
}

/// The first two numbers of a release, such as `6.12.117-amd64`.
fn parse(release: &[u8]) -> Option<(u32, u32)> {
    let release = std::str::from_utf8(release).ok()?;
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_begins_with_its_version() {
        assert_eq!(parse(b"6.12.117-amd64"), Some((6, 12)));
        assert_eq!(parse(b"5.4"), Some((5, 4)));
        assert_eq!(parse(b"6.18-rc3+"), Some((6, 18)));
        for odd in [b"" as &[u8], b"6", b"x.y", b"-1.2", b"\xff.1"] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
        assert!(kernel_version() >= Some((3, 0)));
    }
}
