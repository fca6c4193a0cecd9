//! Which bytes win if segments overlap.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use netring_sys::ParseError;

/// Which bytes a stream gets if two segments have bytes for the same place, named after the
/// operating system that behaves this way. The names are those of Suricata's host policies, and the
/// rules those of its stream engine.
///
/// A policy applies to bytes held because earlier ones are missing. Delivered bytes stay as they
/// are: the first ones win.
///
/// For fragments of IPv4 packets
/// ([`TrackerConfig::fragment_overlap`](crate::TrackerConfig::fragment_overlap)) a later fragment
/// wins with `Bsd` if it starts before an earlier one, with both kinds of Linux also if it starts
/// at the same place, with `Windows` if it starts before it and ends behind it, with `Solaris` also
/// if it ends with it; with `Last` always, and with `First` and `Vista` never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OverlapPolicy {
    /// The bytes that arrived first. The default.
    #[default]
    First,
    /// The bytes that arrived last.
    Last,
    /// BSD, also HP-UX 10, IRIX and macOS: a later segment wins if it starts before an earlier one.
    Bsd,
    /// Windows up to Windows 2003: as [`Bsd`](Self::Bsd).
    Windows,
    /// Windows from Vista on: as [`First`](Self::First).
    Vista,
    /// Linux from 2.4 on: as [`Bsd`](Self::Bsd), and also if the later segment starts at the same
    /// place and is longer.
    Linux,
    /// Linux before 2.4: as [`Linux`](Self::Linux), and also if both segments have the same range.
    OldLinux,
    /// Solaris, also HP-UX 11: a later segment wins if it covers the earlier one, or reaches beyond
    /// its end.
    Solaris,
}

impl OverlapPolicy {
    const ALL: [Self; 8] = [
        Self::First,
        Self::Last,
        Self::Bsd,
        Self::Windows,
        Self::Vista,
        Self::Linux,
        Self::OldLinux,
        Self::Solaris,
    ];

    /// The name, as in Suricata's configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Bsd => "bsd",
            Self::Windows => "windows",
            Self::Vista => "vista",
            Self::Linux => "linux",
            Self::OldLinux => "old-linux",
            Self::Solaris => "solaris",
        }
    }

    /// Whether the bytes of a new segment replace those of an old one that it overlaps.
    pub(super) const fn replaces(self, new: &Range<u64>, old: &Range<u64>) -> bool {
        let covers = new.start <= old.start && new.end >= old.end;
        match self {
            Self::First | Self::Vista => false,
            Self::Last => true,
            Self::Bsd | Self::Windows => new.start < old.start,
            Self::Linux => new.start < old.start || new.start == old.start && new.end > old.end,
            Self::OldLinux => new.start < old.start || covers,
            Self::Solaris => covers || new.start > old.start && new.end > old.end,
        }
    }
}

impl OverlapPolicy {
    /// Whether the bytes of a new fragment of an IP packet replace those of an old one that it
    /// overlaps. Systems treat fragments differently from segments of a stream.
    pub(crate) const fn replaces_fragment(self, new: &Range<u32>, old: &Range<u32>) -> bool {
        let is_before = new.start < old.start;
        match self {
            Self::First | Self::Vista => false,
            Self::Last => true,
            Self::Bsd => is_before,
            Self::Linux | Self::OldLinux => new.start <= old.start,
            Self::Windows => is_before && new.end > old.end,
            Self::Solaris => is_before && new.end >= old.end,
        }
    }
}

impl fmt::Display for OverlapPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a name of Suricata's configuration: those of [`OverlapPolicy::as_str`], and `bsd-right`,
/// `old-solaris`, `hpux10`, `hpux11`, `irix`, `macos` and `windows2k3` for systems that behave like
/// others.
impl FromStr for OverlapPolicy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        known.map_or_else(
            || match text {
                "bsd-right" | "old-solaris" => Ok(Self::First),
                "hpux10" | "irix" | "macos" => Ok(Self::Bsd),
                "windows2k3" => Ok(Self::Windows),
                "hpux11" => Ok(Self::Solaris),
                _ => Err(ParseError::new(text, "overlap policy", "linux")),
            },
            Ok,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_displayed() {
        for policy in OverlapPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!("hpux11".parse(), Ok(OverlapPolicy::Solaris));
        assert!("plan9".parse::<OverlapPolicy>().is_err());
    }

    /// The table of Suricata's stream engine: where the new segment wins. The columns are: starts
    /// before and ends inside; starts before and covers; same start and shorter; same range; same
    /// start and longer; inside; starts after with the same end; starts after and ends beyond.
    #[test]
    fn new_segments_win_where_the_table_says() {
        let old = 10..20;
        let new = [5..15, 5..20, 10..15, 10..20, 10..25, 12..15, 12..20, 12..25];
        let table = [
            (OverlapPolicy::First, "oooooooo"),
            (OverlapPolicy::Vista, "oooooooo"),
            (OverlapPolicy::Bsd, "nnoooooo"),
            (OverlapPolicy::Windows, "nnoooooo"),
            (OverlapPolicy::Linux, "nnoonooo"),
            (OverlapPolicy::OldLinux, "nnonnooo"),
            (OverlapPolicy::Solaris, "ononnoon"),
            (OverlapPolicy::Last, "nnnnnnnn"),
        ];
        for (policy, expected) in table {
            let found: String = new
                .iter()
                .map(|new| if policy.replaces(new, &old) { 'n' } else { 'o' })
                .collect();
            assert_eq!(found, expected, "{policy}");
            assert_eq!(
                policy.replaces(&(5..25), &old),
                expected.as_bytes()[1] == b'n'
            );
        }
    }
}
