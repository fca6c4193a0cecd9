//! `test-netns`: the tests that need a network, each in a namespace of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::totals::{Totals, run_tests};
use super::{Result, cargo, output, root, root_is_required, run as run_cargo, set_runner};

/// Tests that run at the same time. They wait more than they compute, and each has a namespace of
/// its own.
const THREADS: &str = "6";
const THREADS_OF_TESTS: &str = "RUST_TEST_THREADS";

/// How a program gets a network of its own.
pub(crate) enum Runner {
    /// Root: only the network is unshared, so loading XDP programs is possible.
    Root,
    /// A user namespace, if the kernel permits one: packet sockets work in it.
    User,
    /// Neither, for the reason that the kernel gave: no test that needs a network can run.
    None(String),
}

impl Runner {
    /// The best runner that the privileges of this process allow.
    pub(crate) fn find() -> Self {
        if nix::unistd::geteuid().is_root() {
            return Self::Root;
        }
        let words: Vec<_> = Self::User.words().collect();
        match output(Command::new(words[0]).args(&words[1..]).arg("true")) {
            Ok(_) => Self::User,
            Err(why) => Self::None(why),
        }
    }

    /// The command through which a program runs.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'static str> {
        let words = match self {
            Self::Root => "unshare --net --mount",
            Self::User | Self::None(_) => "unshare --user --map-root-user --net --mount",
        };
        words.split(' ')
    }

    /// Makes cargo run the programs it builds through this command.
    pub(crate) fn apply(&self, command: &mut Command) -> Result<()> {
        let words: Vec<_> = self.words().collect();
        set_runner(command, &words.join(" "))
    }
}

/// Runs the tests, and counts; `args` go to the test programs.
pub(crate) fn run(args: &[String]) -> Result<Totals> {
    let runner = Runner::find();
    if let Runner::None(why) = &runner {
        println!("cannot create a network namespace: {why}");
    }
    let names = runnable(&runner, test_files()?, root_is_required())?;
    if names.is_empty() {
        return Ok(Totals::default());
    }
    // Some tests run the examples as programs, which cargo does not build for them.
    run_cargo(cargo().args(["build", "--workspace", "--all-features", "--examples"]))?;
    let mut command = cargo();
    command.args(["test", "--workspace", "--all-features"]);
    for name in &names {
        command.args(["--test", name]);
    }
    command.args(["--", "--ignored"]).args(args);
    if std::env::var_os(THREADS_OF_TESTS).is_none() {
        command.env(THREADS_OF_TESTS, THREADS);
    }
    runner.apply(&mut command)?;
    run_tests(&mut command)
}

/// Returns the tests that this runner can run. It lists the others, which are a failure if root is
/// required.
fn runnable(
    runner: &Runner,
    names: BTreeSet<String>,
    root_is_required: bool,
) -> Result<BTreeSet<String>> {
    let (names, left_out): (BTreeSet<_>, BTreeSet<_>) =
        names.into_iter().partition(|name| match runner {
            Runner::Root => true,
            Runner::User => !name.starts_with("netns_root"),
            Runner::None(_) => false,
        });
    for name in &left_out {
        println!("NOT RUN for lack of privilege: the test program {name}");
    }
    if !left_out.is_empty() && root_is_required {
        return Err("tests could not run, and NETRING_REQUIRE_ROOT=1 makes that a failure".into());
    }
    Ok(names)
}

/// The names of the test programs that need a network: `tests/netns*.rs` and `tests/netns*/main.rs`
/// of every member.
fn test_files() -> Result<BTreeSet<String>> {
    let folder = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let members = folder(&root())
        .into_iter()
        .filter(|path| path.join("Cargo.toml").exists());
    let found = members.flat_map(|member| folder(&member.join("tests")));
    let names: BTreeSet<_> = found.filter_map(|path| test_program(&path)).collect();
    if names.is_empty() {
        Err("no member has a test program whose name starts with \"netns\"".into())
    } else {
        Ok(names)
    }
}

/// The name of the test program at this path, if it needs a network.
fn test_program(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = if path.join("main.rs").is_file() {
        name
    } else {
        name.strip_suffix(".rs")?
    };
    name.starts_with("netns").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Privileged tests that cannot run fail the run if root is required, and are listed otherwise.
    #[test]
    fn x22_what_cannot_run_is_a_failure_where_root_is_required() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let all: BTreeSet<String> =
            names(&["netns", "netns_ring", "netns_root", "netns_root_auto"]);
        let none = || Runner::None("no user namespaces".into());
        for required in [false, true] {
            let ran = |runner| runnable(&runner, all.clone(), required).ok();
            assert_eq!(ran(Runner::Root), Some(all.clone()));
            let without = |rest| (!required).then_some(rest);
            assert_eq!(ran(Runner::User), without(names(&["netns", "netns_ring"])));
            assert_eq!(ran(none()), without(names(&[])));
        }
        // A run without tests is not a success.
        assert!(Totals::default().close().is_err());
    }
    /// A folder with a `main.rs` is a program; a folder of shared code is not.
    #[test]
    fn programs_of_one_file_and_of_several_are_found() {
        let tests = root().join("netring-xdp/tests");
        let found = |name: &str| test_program(&tests.join(name));
        assert_eq!(found("netns"), Some("netns".into()));
        assert_eq!(found("netns_root"), Some("netns_root".into()));
        assert_eq!(
            found("netns_of_one_file.rs"),
            Some("netns_of_one_file".into())
        );
        assert_eq!(found("common"), None);
        assert_eq!(found("CONFORMANCE.md"), None);
        let programs = test_files().unwrap();
        assert!(programs.contains("netns_root"), "{programs:?}");
    }
}
