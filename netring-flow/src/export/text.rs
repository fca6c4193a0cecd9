//! Numbers, addresses and strings as text, without allocations.

use std::io::Write;
use std::net::IpAddr;

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    // The largest has 20 digits.
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number that may be negative.
pub(super) fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    number(out, value.unsigned_abs());
}

/// Appends microseconds as seconds with six decimals.
pub(super) fn seconds(out: &mut Vec<u8>, micros: i64) {
    if micros < 0 {
        out.push(b'-');
    }
    let micros = micros.unsigned_abs();
    number(out, micros / 1_000_000);
    out.push(b'.');
    padded(out, micros % 1_000_000, 6);
}

/// Appends a number with leading zeros.
pub(super) fn padded(out: &mut Vec<u8>, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        out.push(b'0' + (number / 10_u64.pow(place) % 10) as u8);
    }
}

/// Appends an address.
pub(super) fn addr(out: &mut Vec<u8>, addr: IpAddr) {
    match addr {
        IpAddr::V4(addr) => {
            for (place, part) in addr.octets().into_iter().enumerate() {
                if place != 0 {
                    out.push(b'.');
                }
                number(out, part.into());
            }
        }
        // Writing to a vector does not fail.
        IpAddr::V6(addr) => drop(write!(out, "{addr}")),
    }
}

/// Appends a JSON string with its quotes.
pub(super) fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            ..0x20 | 0x7f => {
                out.extend_from_slice(b"\\u00");
                hex(out, byte);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends a byte as two hexadecimal digits.
pub(super) fn hex(out: &mut Vec<u8>, byte: u8) {
    for digit in [byte >> 4, byte & 15] {
        out.push(b"0123456789abcdef"[usize::from(digit)]);
    }
}

/// The UTC year, month, day, hour, minute and second of a time in seconds since 1970.
pub(super) fn civil(seconds: i64) -> [i64; 6] {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March, so that leap days end them; eras of 400 years begin in 0000.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    [year, month, day, rest / 3600, rest / 60 % 60, rest % 60]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn seconds_keep_their_zeros() {
        for (micros, expected) in [
            (0, "0.000000"),
            (1, "0.000001"),
            (1_500_000, "1.500000"),
            (-1, "-0.000001"),
            (-2_000_010, "-2.000010"),
        ] {
            assert_eq!(text(|out| seconds(out, micros)), expected);
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, [1970, 1, 1, 0, 0, 0]),
            (951_827_696, [2000, 2, 29, 12, 34, 56]),
            (1_709_164_800, [2024, 2, 29, 0, 0, 0]),
            (1_709_251_199, [2024, 2, 29, 23, 59, 59]),
            (4_107_542_400, [2100, 3, 1, 0, 0, 0]),
            (-1, [1969, 12, 31, 23, 59, 59]),
        ] {
            assert_eq!(civil(seconds), date);
        }
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_are_those_of_the_standard_library(
            unsigned: u64, negative: i64, v4: [u8; 4], v6: [u16; 8],
        ) {
            prop_assert_eq!(text(|out| number(out, unsigned)), unsigned.to_string());
            prop_assert_eq!(text(|out| signed(out, negative)), negative.to_string());
            for ip in [IpAddr::from(v4), IpAddr::from(v6)] {
                prop_assert_eq!(text(|out| addr(out, ip)), ip.to_string());
            }
        }

        #[test]
        fn strings_are_read_back_from_json(string in ".*") {
            let written = text(|out| json_string(out, &string));
            prop_assert!(!written.contains(['\n', '\r', '\t', '\0']));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), string);
        }
    }
}
