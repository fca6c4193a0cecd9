//! Wireshark's view of a written file, which is independent of our reader.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is deleted when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only a unique number is needed.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("netring-files-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The output of one of Wireshark's programs about a file, which must cause no warnings. `None` if
/// it is not installed, which is an error if everything is required.
fn run(program: &str, args: &[&str], file: &Path) -> Option<String> {
    let output = match Command::new(program).args(args).arg(file).output() {
        Ok(output) => output,
        Err(why) => {
            let required = std::env::var_os("NETRING_REQUIRE_ROOT").is_some();
            assert!(
                !required,
                "{program}: {why} (Debian: apt-get install tshark)"
            );
            return None;
        }
    };
    let errors: Vec<_> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| !line.starts_with("Running as user \"root\"") && !line.is_empty())
        .map(str::to_owned)
        .collect();
    assert!(output.status.success(), "{program}: {errors:?}");
    assert_eq!(errors, [""; 0], "{program} of {}", file.display());
    Some(String::from_utf8(output.stdout).unwrap())
}

/// These fields of each packet, separated by `|`, of a valid file. `None` if tshark is not
/// installed.
pub(crate) fn fields(file: &Path, names: &[&str]) -> Option<Vec<String>> {
    let text = run("tshark", &field_args(names), file)?;
    Some(field_lines(&text))
}

/// The same of a file that may be damaged: what tshark shows before the damage.
pub(crate) fn fields_of_damaged(file: &Path, names: &[&str]) -> Vec<String> {
    let output = Command::new("tshark")
        .args(field_args(names))
        .arg(file)
        .output();
    field_lines(&String::from_utf8_lossy(&output.unwrap().stdout))
}

fn field_args<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let fields = names.iter().flat_map(|name| ["-e", *name]);
    let args = ["-n", "-T", "fields", "-E", "separator=|"];
    args.into_iter().chain(fields).chain(["-r"]).collect()
}

fn field_lines(text: &str) -> Vec<String> {
    // Versions differ in whether they print flags as hexadecimal words.
    let lines = text.lines().map(|line| line.replace("0x0000000", ""));
    lines.collect()
}

/// The lines that capinfos prints, without indentation.
pub(crate) fn infos(file: &Path) -> Option<Vec<String>> {
    let text = run("capinfos", &["-M"], file)?;
    Some(text.lines().map(|line| line.trim().to_owned()).collect())
}
