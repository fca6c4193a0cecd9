//! Segments of one connection after another, of which 10.0.0.1 is the client.

use xtask::wire::tcp4;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// A segment of the client with this port; both ends begin with sequence number 0.
pub(crate) fn client(port: u16, flags: u8, sequence: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = tcp4(port, 80, sequence, flags, payload);
    if flags & ACK != 0 {
        frame[42..46].copy_from_slice(&ack.to_be_bytes());
    }
    frame
}

/// A segment of the server.
pub(crate) fn server(port: u16, flags: u8, sequence: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = client(port, flags, sequence, ack, payload);
    for range in [26, 30] {
        frame[range + 3] = if range == 26 { 2 } else { 1 };
    }
    let ports = [frame[34], frame[35], frame[36], frame[37]];
    frame[34..38].copy_from_slice(&[ports[2], ports[3], ports[0], ports[1]]);
    frame
}

pub(crate) fn handshake(port: u16) -> [Vec<u8>; 3] {
    [
        client(port, SYN, 0, 0, b""),
        server(port, SYN | ACK, 0, 1, b""),
        client(port, ACK, 1, 1, b""),
    ]
}

/// Both ends finish, having sent this many bytes.
pub(crate) fn close(port: u16, by_client: u32, by_server: u32) -> [Vec<u8>; 3] {
    let (client_end, server_end) = (by_client + 1, by_server + 1);
    [
        client(port, FIN | ACK, client_end, server_end, b""),
        server(port, FIN | ACK, server_end, client_end + 1, b""),
        client(port, ACK, client_end + 1, server_end + 1, b""),
    ]
}
