//! Requests of a message's size over plain sockets, each answered by a few bytes.

use serde::Serialize;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const REQUEST_BYTES: usize = 1024;
const ANSWER_BYTES: usize = 64;

/// An echo over loopback.
#[derive(Debug, Serialize)]
pub(crate) struct TcpFloor {
    /// Connections, each with a thread at either end.
    pub(crate) connections: usize,
    /// Requests sent ahead of their answers, on each.
    pub(crate) ahead: usize,
    /// Requests that were answered.
    pub(crate) requests_per_second: f64,
}

/// Measures for about `each`.
pub(crate) fn measure(connections: usize, ahead: usize, each: Duration) -> io::Result<TcpFloor> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serving = std::thread::spawn(move || -> io::Result<()> {
        let sockets: Vec<TcpStream> =
            (0..connections).map(|_| Ok(listener.accept()?.0)).collect::<io::Result<_>>()?;
        std::thread::scope(|scope| {
            for socket in sockets {
                scope.spawn(move || answer(socket));
            }
        });
        Ok(())
    });
    let began = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| std::thread::spawn(move || ask(TcpStream::connect(address)?, ahead, each)))
        .collect();
    let mut answered = 0;
    for client in clients {
        answered += client.join().map_err(|_| io::Error::other("a client panicked"))??;
    }
    let seconds = began.elapsed().as_secs_f64();
    serving.join().map_err(|_| io::Error::other("the server panicked"))??;
    Ok(TcpFloor { connections, ahead, requests_per_second: f64::from(answered) / seconds })
}

fn answer(mut socket: TcpStream) {
    let mut request = [0; REQUEST_BYTES];
    let ready = socket.set_nodelay(true).is_ok();
    while ready && socket.read_exact(&mut request).is_ok() {
        if socket.write_all(&[1; ANSWER_BYTES]).is_err() {
            return;
        }
    }
}

fn ask(mut socket: TcpStream, ahead: usize, each: Duration) -> io::Result<u32> {
    socket.set_nodelay(true)?;
    let mut answer = [0; ANSWER_BYTES];
    for _ in 0..ahead {
        socket.write_all(&[1; REQUEST_BYTES])?;
    }
    let began = Instant::now();
    let mut answered = 0;
    while began.elapsed() < each {
        socket.read_exact(&mut answer)?;
        socket.write_all(&[1; REQUEST_BYTES])?;
        answered += 1;
    }
    Ok(answered)
}
