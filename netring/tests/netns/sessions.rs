//! The examples of sessions, with real clients and servers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use xtask::netns::{Netns, ip, veth};

use crate::program::{Program, argument_is_named, captures};

/// A second host, 10.8.0.2 on `w1`; this one is 10.8.0.1 on `w0`.
fn hosts() -> (Netns, Netns) {
    let (here, there) = (Netns::enter().unwrap(), Netns::new().unwrap());
    veth("w0", "w1").unwrap();
    there.take("w1").unwrap();
    let up = |name: &str, address: u8| {
        ip(&format!("address add 10.8.0.{address}/24 dev {name}"))?;
        ip(&format!("link set dev {name} up"))
    };
    up("w0", 1).unwrap();
    there.run(|| up("w1", 2)).unwrap();
    (here, there)
}

/// An example that captures on `w0`.
fn capturing(name: &'static str, args: &[&str]) -> Program {
    let mut program = Program::start(name, &[&["w0"], args].concat());
    program.until("capture", |pid| captures(pid, "w0"));
    program
}

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Answers one request on each of this many connections.
fn serve_http(listener: &TcpListener, connections: u32) -> io::Result<()> {
    for _ in 0..connections {
        let mut stream = listener.accept()?.0;
        let mut request = Vec::new();
        let mut piece = [0; 1000];
        while !request.windows(4).any(|four| four == b"\r\n\r\n") {
            let len = stream.read(&mut piece)?;
            request.extend_from_slice(&piece[..len]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn http_requests_prints_what_curl_asks_for() {
    let (_here, there) = hosts();
    let listener = there.run(|| TcpListener::bind("10.8.0.2:8080")).unwrap();
    let program = capturing("http_requests", &["8080", "3"]);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve_http(&listener, 3));
        let url = |path: &str| format!("http://10.8.0.2:8080{path}");
        for args in [
            &["-sS", &url("/a/b?c=d")][..],
            &["-sS", "-H", "Host: example.net", &url("/")],
            &["-sS", "-X", "DELETE", &url("/it")],
        ] {
            let output = run("curl", args);
            assert_eq!(output.stdout, b"ok", "{output:?}");
        }
        server.join().unwrap().unwrap();
    });
    let said = program.end();
    said.went_well();
    assert_eq!(
        said.out,
        [
            "GET 10.8.0.2:8080 /a/b?c=d",
            "GET example.net /",
            "DELETE 10.8.0.2:8080 /it"
        ]
    );
}

/// A server of `openssl`, with a key of its own.
struct TlsServer {
    child: Child,
    folder: PathBuf,
}

impl TlsServer {
    fn start(there: &Netns) -> Self {
        let name = format!("netring-tls-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let [key, certificate] = ["key", "certificate"].map(|name| folder.join(name));
        let [key, certificate] = [&key, &certificate].map(|path| path.to_str().unwrap());
        let made = run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-subj",
                "/CN=example.net",
                "-keyout",
                key,
                "-out",
                certificate,
            ],
        );
        assert!(made.status.success(), "{made:?}");
        let mut server = Command::new("openssl");
        server.args(["s_server", "-accept", "10.8.0.2:8443", "-www", "-quiet"]);
        server.args(["-key", key, "-cert", certificate]);
        server.stdin(Stdio::null()).stdout(Stdio::null());
        let child = there.run(|| server.stderr(Stdio::null()).spawn()).unwrap();
        let server = Self { child, folder };
        // It accepts connections once it is ready.
        let end = Instant::now() + Duration::from_secs(20);
        while there.run(|| TcpStream::connect("10.8.0.2:8443")).is_err() {
            assert!(Instant::now() < end, "the server does not start");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn tls_names_prints_the_names_that_curl_and_openssl_ask_for() {
    let (_here, there) = hosts();
    let _server = TlsServer::start(&there);
    let program = capturing("tls_names", &["8443", "3"]);
    let resolve = "secret.example.net:8443:10.8.0.2";
    let url = "https://secret.example.net:8443/";
    let output = run("curl", &["-sSk", "--resolve", resolve, url]);
    assert!(output.status.success(), "{output:?}");
    let s_client = ["s_client", "-connect", "10.8.0.2:8443"];
    for name in [
        &["-servername", "other.example.net"][..],
        &["-noservername"],
    ] {
        let output = run("openssl", &[&s_client[..], name].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("CN = example.net") || said.contains("CN=example.net"),
            "{said}"
        );
    }
    let said = program.end();
    said.went_well();
    let names = said.out.iter().map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[0], "tcp", "{line}");
        assert!(
            words[1].starts_with("10.8.0.1:") && words[2] == "10.8.0.2:8443",
            "{line}"
        );
        words[3]
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["secret.example.net", "other.example.net", "-"]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn dns_names_prints_what_dig_asks_for_and_how_many_answers_there_are() {
    let (_here, there) = hosts();
    let socket = there.run(|| UdpSocket::bind("10.8.0.2:53")).unwrap();
    let program = capturing("dns_names", &["53", "2"]);
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            for _ in 0..2 {
                let mut message = [0; 512];
                let (_, client) = socket.recv_from(&mut message)?;
                // Only the question; and, for a name of one letter, an answer that points to it.
                let zero = 12 + message[12..].iter().position(|byte| *byte == 0).unwrap();
                let mut reply = message[..zero + 5].to_vec();
                let answers = u8::from(message[12] == 1);
                reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]);
                if answers == 1 {
                    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
                }
                socket.send_to(&reply, client)?;
            }
            io::Result::Ok(())
        });
        let dig = ["@10.8.0.2", "+tries=1", "+time=20", "+noedns", "+short"];
        let output = run("dig", &[&dig[..], &["a.example.net", "A"]].concat());
        assert_eq!(output.stdout, b"192.0.2.1\n", "{output:?}");
        let output = run("dig", &[&dig[..], &["example.net", "MX"]].concat());
        assert_eq!(output.stdout, b"", "{output:?}");
        server.join().unwrap().unwrap();
    });
    let said = program.end();
    said.went_well();
    assert_eq!(
        said.out,
        [
            "a.example.net 1 None",
            "a.example.net 1 Some(1)",
            "example.net 15 None",
            "example.net 15 Some(0)",
        ]
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn arguments_of_the_examples_of_sessions_are_named() {
    let _ns = Netns::enter().unwrap();
    for (name, count) in [
        ("http_requests", "REQUESTS"),
        ("tls_names", "CLIENTS"),
        ("dns_names", "ANSWERS"),
    ] {
        argument_is_named(name, &["lo"], "PORT");
        argument_is_named(name, &["lo", "53"], count);
    }
}
