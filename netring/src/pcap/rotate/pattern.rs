//! The names of files.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::Error;

/// A path with conversions of strftime, and with `{}` for the number of the file.
pub(super) struct Pattern {
    text: String,
    zone: TimeZone,
}

impl Pattern {
    pub(super) const EMPTY: Self = Self {
        text: String::new(),
        zone: TimeZone::UTC,
    };

    pub(super) fn new(text: String, utc: bool) -> Result<Self, Error> {
        let zone = if utc {
            TimeZone::UTC
        } else {
            TimeZone::system()
        };
        let pattern = Self { text, zone };
        pattern.check().map_err(|why| Error::Config {
            setting: "pattern",
            why,
        })?;
        Ok(pattern)
    }

    fn check(&self) -> Result<(), String> {
        let path = Path::new(&self.text);
        if path.file_name().is_none() || self.text.ends_with('/') {
            return Err(format!("{:?} has no file name", self.text));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(format!(
                "{:?} contains `..`; give the directory itself",
                self.text
            ));
        }
        let name = self.format(1)?;
        if name.contains('\0') {
            return Err("a name contains no zero bytes".into());
        }
        let parts = |text| Path::new(text).components().count();
        if parts(&*name) != parts(&*self.text) {
            return Err(format!(
                "{:?} has a conversion that stands for a slash: {name}",
                self.text
            ));
        }
        Ok(())
    }

    /// The name of a file created now; if it is taken, the next `attempt`.
    pub(super) fn name(&self, number: u64, attempt: u32) -> PathBuf {
        // It was formatted before, and depends on nothing but the time.
        let name = self.format(number).unwrap_or_else(|_| self.text.clone());
        if attempt == 0 {
            return name.into();
        }
        let (packed, gz) = match name.strip_suffix(".gz") {
            Some(packed) => (packed, ".gz"),
            None => (&*name, ""),
        };
        let path = Path::new(packed);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = path.extension().map(|it| it.to_string_lossy());
        let extension = extension.map_or_else(String::new, |it| format!(".{it}"));
        path.with_file_name(format!("{stem}-{}{extension}{gz}", attempt + 1))
    }

    /// When the clock that names files shows the next multiple of this time.
    pub(super) fn next_multiple(&self, interval: Duration) -> Option<Timestamp> {
        super::interval::next(Timestamp::now(), &self.zone, interval)
    }

    fn format(&self, number: u64) -> Result<String, String> {
        let now = Timestamp::now().to_zoned(self.zone.clone());
        let name = strtime::format(&self.text, &now).map_err(|why| why.to_string())?;
        Ok(name.replace("{}", &format!("{number:05}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match Pattern::new(text.into(), true) {
            Err(Error::Config { setting, why }) => {
                assert_eq!(setting, "pattern");
                why
            }
            other => panic!("{text}: {:?}", other.map(|_| ())),
        }
    }

    #[test]
    fn a_name_has_the_time_and_the_number() {
        let pattern = Pattern::new("/a/%Y-{}.%%.pcapng".into(), true).unwrap();
        let year = Timestamp::now().to_zoned(TimeZone::UTC).year();
        let name = pattern.name(7, 0);
        assert_eq!(name, PathBuf::from(format!("/a/{year}-00007.%.pcapng")));
    }

    #[test]
    fn a_name_that_is_taken_is_numbered_before_its_extension() {
        for (text, expected) in [
            ("a.pcapng", "a-3.pcapng"),
            ("b/a.1.pcap.gz", "b/a.1-3.pcap.gz"),
            ("a", "a-3"),
            ("/x.y/a", "/x.y/a-3"),
            (".a", ".a-3"),
        ] {
            let pattern = Pattern::new(text.into(), true).unwrap();
            assert_eq!(pattern.name(1, 2), PathBuf::from(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert!(refused("").contains("no file name"));
        assert!(refused("/tmp/").contains("no file name"));
        assert!(refused("..").contains("no file name"));
        assert!(refused("a/../b.pcap").contains("`..`"));
        assert!(refused("a-%D.pcap").contains("stands for a slash"));
        assert!(refused("a-%!.pcap").contains('!'));
        assert!(refused("a\0b").contains("zero bytes"));
    }
}
