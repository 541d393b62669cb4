//! What strangers send to the ports: noise, half a frame, lengths that lie. The broker closes the connection, goes on
//! serving everybody else, and uses no memory that the lie asked for.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of a real process runs on the real clock"
)]

mod harness;

use harness::Broker;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A connection that is still open after this was not closed by the broker (its own limit for an opening is 10 s).
const CLOSED_WITHIN: Duration = Duration::from_secs(15);

#[test]
fn strangers_are_shown_the_door_and_nobody_else_notices() {
    let folder = harness::folder("garbage");
    let mut broker = Broker::start(&folder);
    let addresses = broker.addresses();
    let before = resident_kib(broker.pid());
    std::thread::scope(|strangers| {
        for port in [addresses.grpc, addresses.nameserver, addresses.broker, addresses.http] {
            for (name, bytes) in garbage() {
                strangers.spawn(move || talk(port, name, &bytes));
            }
        }
        for port in [addresses.nameserver, addresses.broker] {
            for (name, bytes) in broken_remoting_frames() {
                strangers.spawn(move || talk(port, name, &bytes));
            }
        }
    });
    assert!(broker.is_running(), "the broker ended; see its log in {}", folder.display());
    assert!(is_well(addresses.http), "the broker no longer says that it is well");
    let grown = resident_kib(broker.pid()).saturating_sub(before);
    assert!(grown < 64 << 10, "strangers made the broker grow by {grown} KiB");
}

/// What makes no sense to any of the protocols.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        (0..length)
            .map(|_| {
                // xorshift64*: the same noise in every run.
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                state.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]
            })
            .collect()
    };
    vec![
        ("nothing", Vec::new()),
        ("a byte", vec![0x7f]),
        ("noise", noise(64 << 10)),
        ("zeros", vec![0; 4096]),
        ("ones", vec![0xff; 4096]),
        ("a TLS record that is none", [&[0x16, 3, 1, 0xff, 0xff][..], &noise(2048)].concat()),
        ("a cut TLS hello", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("a PROXY line without end", b"PROXY TCP4 ".repeat(40)),
        ("half a PROXY line", b"PROXY TCP4 1.2.3.4".to_vec()),
        ("a second PROXY line", b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n".to_vec()),
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        (
            "an HTTP/2 preface and noise",
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &noise(512)].concat(),
        ),
        (
            "an HTTP/2 frame of 16 MiB",
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]]
                .concat(),
        ),
    ]
}

/// Frames whose lengths lie, in both header encodings.
fn broken_remoting_frames() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |total: u32, header_word: u32, rest: &[u8]| {
        [&total.to_be_bytes()[..], &header_word.to_be_bytes(), rest].concat()
    };
    let json = br#"{"code":105,"language":"JAVA","version":1,"opaque":1,"flag":0}"#;
    let length = u32::try_from(json.len()).unwrap();
    vec![
        ("a frame of 4 GiB", frame(u32::MAX, 0, b"")),
        ("a frame of 1 GiB", frame(1 << 30, 8, b"{}")),
        ("a frame shorter than its header", frame(4, 200, b"")),
        ("a frame of length 0", frame(0, 0, b"")),
        ("a header longer than its frame", frame(20, 0x00ff_ffff, b"0123456789012345")),
        ("a header that is no JSON", frame(4 + 8, 8, b"{{{{{{{{")),
        ("an unknown header encoding", frame(4 + 8, (9 << 24) | 8, b"01234567")),
        ("a binary header cut short", frame(4 + 5, (1 << 24) | 5, b"\0\x69\0\0\0")),
        ("a binary header with a long remark", frame(4 + 21, (1 << 24) | 21, &[0x7f; 21])),
        ("half a good frame", frame(length + 4, length, &json[..20])),
        ("a reply that nobody asked for", {
            let reply = br#"{"code":0,"language":"JAVA","version":1,"opaque":9,"flag":1}"#;
            let length = u32::try_from(reply.len()).unwrap();
            frame(length + 4, length, reply)
        }),
    ]
}

/// Says `bytes`, hangs up, and waits until the other side has done so too.
fn talk(port: SocketAddr, name: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(port).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    // The broker may hang up in the middle, which is its right.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let began = Instant::now();
    let mut sink = [0; 4096];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(_) => return,
        }
        assert!(began.elapsed() < CLOSED_WITHIN, "{name}: {port} does not hang up");
    }
}

fn is_well(http: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.1 200")
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
