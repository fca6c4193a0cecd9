//! `test-netns`: the tests that need a network, each in a namespace of its own.

use std::collections::BTreeSet;
use std::process::Command;

use super::test::{Totals, run_tests};
use super::{Result, cargo, output, root, root_is_required, run as run_cargo};

/// What gives a program a network of its own.
pub(crate) enum Runner {
    /// Root: only the network is unshared, so XDP programs can be loaded too.
    Root,
    /// Anybody, where the kernel gives user namespaces: packet sockets work there.
    User,
    /// Neither: nothing that needs a network can run. The reason is the kernel's.
    None(String),
}

impl Runner {
    /// The best there is for who runs this.
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

    /// The command that a program's own is put behind.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'static str> {
        let words = match self {
            Self::Root => "unshare --net --mount",
            Self::User | Self::None(_) => "unshare --user --map-root-user --net --mount",
        };
        words.split(' ')
    }

    /// Makes cargo run whatever it builds behind these words.
    pub(crate) fn apply(&self, command: &mut Command) -> Result<()> {
        let about = output(Command::new("rustc").arg("-vV"))?;
        let host = about
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .ok_or("rustc names no host")?;
        let name = format!(
            "CARGO_TARGET_{}_RUNNER",
            host.to_uppercase().replace('-', "_")
        );
        command.env(name, self.words().collect::<Vec<_>>().join(" "));
        Ok(())
    }
}

/// Runs them, and counts; `args` go to the test programs.
pub(crate) fn run(args: &[String]) -> Result<Totals> {
    let runner = Runner::find();
    let (mut names, mut left_out) = (test_files()?, BTreeSet::new());
    if !matches!(runner, Runner::Root) {
        left_out = names
            .iter()
            .filter(|name| name.starts_with("netns_root"))
            .cloned()
            .collect();
    }
    if let Runner::None(why) = &runner {
        println!("no namespace can be made here: {why}");
        left_out.clone_from(&names);
    }
    names.retain(|name| !left_out.contains(name));
    for name in &left_out {
        println!("NOT RUN for want of privilege: the tests in tests/{name}.rs");
    }
    if !left_out.is_empty() && root_is_required() {
        return Err("tests could not run, and NETRING_REQUIRE_ROOT=1 makes that a failure".into());
    }
    if names.is_empty() {
        return Ok(Totals::default());
    }
    // The tests of the examples run them as programs, which cargo does not build for a test by itself.
    run_cargo(cargo().args(["build", "--workspace", "--all-features", "--examples"]))?;
    let mut command = cargo();
    command.args(["test", "--workspace", "--all-features"]);
    for name in &names {
        command.args(["--test", name]);
    }
    command.args(["--", "--ignored"]).args(args);
    runner.apply(&mut command)?;
    run_tests(&mut command)
}

/// The names of the test programs that need a network: `tests/netns*.rs` of every member.
fn test_files() -> Result<BTreeSet<String>> {
    let folder = |path: &std::path::Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let members = folder(&root())
        .into_iter()
        .filter(|path| path.join("Cargo.toml").exists());
    let files = members.flat_map(|member| folder(&member.join("tests")));
    let names = files.filter_map(|file| {
        let name = file.file_name()?.to_str()?.strip_suffix(".rs")?;
        name.starts_with("netns").then(|| name.to_owned())
    });
    let names: BTreeSet<_> = names.collect();
    if names.is_empty() {
        Err("no member has a tests/netns*.rs".into())
    } else {
        Ok(names)
    }
}
