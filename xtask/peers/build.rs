//! Builds the program in C on libxdp (`c/xsk.c`).
#![forbid(unsafe_code)]

use std::env::var_os;
use std::path::Path;
use std::process::ExitCode;

const SOURCE: &str = "c/xsk.c";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={SOURCE}");
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("cargo::error={why}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let folder = var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let program = Path::new(&folder).join("xsk");
    let compiler = cc::Build::new()
        .opt_level(3)
        .try_get_compiler()
        .map_err(|why| format!("no C compiler ({why}): `apt-get install gcc`"))?;
    let output = compiler
        .to_command()
        .args(["-Wall", "-Wextra", SOURCE, "-o"])
        .arg(&program)
        .args(["-lxdp", "-lbpf"])
        .output()
        .map_err(|why| format!("the C compiler did not start ({why}): `apt-get install gcc`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said
            .lines()
            .find(|line| line.contains("error"))
            .unwrap_or(&said);
        return Err(format!(
            "{SOURCE} does not build: {first}. It needs libxdp and libbpf with their headers: `apt-get install libxdp-dev`"
        ));
    }
    println!("cargo::rustc-env=XSK={}", program.display());
    Ok(())
}
