//! Real traffic between two kernel stacks: a world with two hosts on one wire, and their
//! conversations.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

pub(super) const CLIENT4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(super) const SERVER4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Routed to the server's host, which drops it silently.
pub(super) const SILENT4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 99);
pub(super) const CLIENT6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
pub(super) const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

const HTTP: u16 = 80;
const ECHO: u16 = 7;
/// Nobody listens there.
const REFUSED: u16 = 81;

const TCP4: usize = 200;
const TCP6: usize = 100;
const UDP4: usize = 60;
const UDP6: usize = 40;
/// Clients that run at the same time.
const CLIENTS: usize = 4;
/// Pause between two conversations of one client: the whole demo takes some seconds, so that a live
/// line has something to show.
const PAUSE: Duration = Duration::from_millis(40);
/// Bytes of a download that lasts as long as the rest, and of each piece in which it is read.
const STEADY: usize = 6_000_000;
const BITE: usize = 64 << 10;

/// The traffic, counted by the programs that made it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Made {
    /// TCP connections that were opened, including those that failed.
    pub(super) tcp: usize,
    /// UDP conversations: a request and its answer.
    pub(super) udp: usize,
    /// Bytes of answers that the clients read.
    pub(super) bytes: usize,
}

/// The two servers, on the host that calls this; they serve until the process ends.
pub(super) fn serve() -> io::Result<()> {
    for address in [IpAddr::from(SERVER4), IpAddr::from(SERVER6)] {
        let listener = TcpListener::bind((address, HTTP))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that disappears harms only itself.
                let _ = answer(stream);
            }
        });
        let socket = UdpSocket::bind((address, ECHO))?;
        thread::spawn(move || {
            let mut question = [0; 1500];
            while let Ok((len, from)) = socket.recv_from(&mut question) {
                let _ = socket.send_to(&question[..len], from);
            }
        });
    }
    Ok(())
}

/// Reads a request, and answers with as many bytes as its path asks for.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..len]);
    }
    let path = String::from_utf8_lossy(&request);
    let size = path
        .split(['/', ' '])
        .nth(2)
        .and_then(|size| size.parse().ok())
        .unwrap_or(0);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&vec![b'.'; size])
}

/// All conversations, from the host that calls this. Returns when the last one is over.
pub(super) fn talk() -> io::Result<Made> {
    let clients = (0..CLIENTS).map(|worker| thread::spawn(move || talk_as(worker)));
    let steady = [IpAddr::from(SERVER4), IpAddr::from(SERVER6)];
    let steady = steady.map(|server| thread::spawn(move || download(server)));
    let workers: Vec<_> = clients.chain(steady).collect();
    let mut made = Made::default();
    for worker in workers {
        let part = worker
            .join()
            .map_err(|_| io::Error::other("a client panicked"))??;
        made.tcp += part.tcp;
        made.udp += part.udp;
        made.bytes += part.bytes;
    }
    refused()?;
    half_open()?;
    made.tcp += 2;
    Ok(made)
}

/// The part of one client.
fn talk_as(worker: usize) -> io::Result<Made> {
    let mut made = Made::default();
    let conversations = [
        (IpAddr::from(SERVER4), true, TCP4),
        (IpAddr::from(SERVER6), true, TCP6),
        (IpAddr::from(SERVER4), false, UDP4),
        (IpAddr::from(SERVER6), false, UDP6),
    ];
    for (server, tcp, total) in conversations {
        for n in (worker..total).step_by(CLIENTS) {
            if tcp {
                made.bytes += get(server, 500 + n * 173 % 40_000)?;
                made.tcp += 1;
            } else {
                made.bytes += ask(server, 16 + n)?;
                made.udp += 1;
            }
            thread::sleep(PAUSE);
        }
    }
    Ok(made)
}

/// An exchange in the style of HTTP; returns the bytes of the answer.
fn get(server: IpAddr, size: usize) -> io::Result<usize> {
    let mut stream = TcpStream::connect(SocketAddr::new(server, HTTP))?;
    write!(stream, "GET /{size} HTTP/1.1\r\nHost: demo\r\n\r\n")?;
    let mut answer = Vec::with_capacity(size + 100);
    stream.read_to_end(&mut answer)
}

/// A connection whose answer is read in small pieces.
fn download(server: IpAddr) -> io::Result<Made> {
    let mut stream = TcpStream::connect(SocketAddr::new(server, HTTP))?;
    write!(stream, "GET /{STEADY} HTTP/1.1\r\nHost: demo\r\n\r\n")?;
    let mut made = Made {
        tcp: 1,
        ..Made::default()
    };
    let mut bite = vec![0; BITE];
    loop {
        match stream.read(&mut bite)? {
            0 => return Ok(made),
            len => made.bytes += len,
        }
        thread::sleep(PAUSE);
    }
}

/// A request and its answer over UDP; returns the bytes of the answer.
fn ask(server: IpAddr, size: usize) -> io::Result<usize> {
    let local = if server.is_ipv4() {
        IpAddr::from(CLIENT4)
    } else {
        IpAddr::from(CLIENT6)
    };
    let socket = UdpSocket::bind((local, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send_to(&vec![b'?'; size], (server, ECHO))?;
    socket.recv(&mut [0; 1500])
}

/// A connection to a port on which nobody listens: the answer is a reset.
fn refused() -> io::Result<()> {
    match TcpStream::connect((SERVER4, REFUSED)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other(
            "port 81 of the demo's server took a connection",
        )),
    }
}

/// A connection that is never answered: only a SYN.
fn half_open() -> io::Result<()> {
    let silent = SocketAddr::from((SILENT4, HTTP));
    match TcpStream::connect_timeout(&silent, Duration::from_millis(300)) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other(
            "the demo's silent address took a connection",
        )),
    }
}
