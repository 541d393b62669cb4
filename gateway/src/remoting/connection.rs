//! One connection: bytes to frames, frames to whoever answers them, replies to bytes.

use super::reply;
use super::session::Role;
use bytes::BytesMut;
use protocol::remoting::{self, Frame, FrameError};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// How long a connection may be silent, in the middle of a frame too (Apache's
/// `serverChannelMaxIdleTimeSeconds`). Clients beat every 30 s.
pub const IDLE_MAX: Duration = Duration::from_secs(120);
/// How long a client may leave its replies unread.
pub const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long saying goodbye may take.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);
/// Room for bytes that a read asks for; most requests fit several times.
const READ_BYTES: usize = 8 * 1024;
/// Replies gathered before they are written although more requests are at hand.
const REPLIES_BYTES_MAX: usize = 64 * 1024;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The client closed it.
    #[error("the client closed the connection")]
    Closed,
    /// Silent for [`IDLE_MAX`].
    #[error("the client said nothing for {IDLE_MAX:?}")]
    Idle,
    /// Replies lay unread for [`WRITE_TIME_MAX`].
    #[error("the client did not read its replies for {WRITE_TIME_MAX:?}")]
    Unread,
    /// This gateway is stopping, and no request is being answered.
    #[error("this gateway is stopping")]
    Stopping,
    /// What came was no frame.
    #[error("malformed frame")]
    Malformed(#[source] FrameError),
    /// A reply that no frame can hold.
    #[error("a reply cannot be sent")]
    Unsendable(#[source] FrameError),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] io::Error),
}

/// Who answers a connection's requests: its session, or a test.
pub(super) trait Answers {
    /// Carries out a request; `None` when no reply is due.
    fn answer(&mut self, request: Frame) -> impl Future<Output = Option<Frame>> + Send;
}

/// Lets `answers` answer requests, one after another, until the connection ends, and closes it.
pub(super) async fn run<C, A>(mut connection: C, stop: &CancellationToken, answers: &mut A) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    A: Answers,
{
    let end = converse(&mut connection, stop, answers).await;
    // TLS has a goodbye of its own. Nobody waits for it to arrive.
    drop(tokio::time::timeout(CLOSE_TIME_MAX, connection.shutdown()).await);
    end
}

async fn converse<C, A>(connection: &mut C, stop: &CancellationToken, answers: &mut A) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    A: Answers,
{
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        if let Err(end) = answer_all(connection, answers, &mut input, &mut output).await {
            return end;
        }
        input.reserve(READ_BYTES);
        let read = tokio::select! {
            // Both branches are cancel safe: a read that is given up has read nothing.
            read = tokio::time::timeout(IDLE_MAX, connection.read_buf(&mut input)) => read,
            () = stop.cancelled() => return End::Stopping,
        };
        match read {
            Ok(Ok(0)) if input.is_empty() => return End::Closed,
            Ok(Ok(0)) => return End::Broken(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return End::Broken(error),
            Err(_) => return End::Idle,
        }
    }
}

/// Answers every whole frame of `input` and writes the replies.
async fn answer_all<C, A>(
    connection: &mut C,
    answers: &mut A,
    input: &mut BytesMut,
    output: &mut BytesMut,
) -> Result<(), End>
where
    C: AsyncWrite + Unpin,
    A: Answers,
{
    loop {
        match remoting::decode(input) {
            Ok(Some(request)) => {
                if let Some(reply) = answers.answer(request).await {
                    output.extend_from_slice(&reply::encode(&reply).map_err(End::Unsendable)?);
                }
                if output.len() >= REPLIES_BYTES_MAX {
                    write(connection, output).await?;
                }
            }
            Ok(None) => return write(connection, output).await,
            Err(error) => {
                // Requests before the malformed one have been carried out; their replies are due.
                write(connection, output).await?;
                return Err(End::Malformed(error));
            }
        }
    }
}

async fn write<C>(connection: &mut C, output: &mut BytesMut) -> Result<(), End>
where
    C: AsyncWrite + Unpin,
{
    if output.is_empty() {
        return Ok(());
    }
    let written = tokio::time::timeout(WRITE_TIME_MAX, async {
        connection.write_all_buf(output).await?;
        connection.flush().await
    });
    match written.await {
        Ok(result) => Ok(result?),
        Err(_) => Err(End::Unread),
    }
}

/// Says how a connection ended, as loudly as it deserves.
pub(super) fn log(end: &End, peer: std::net::SocketAddr, role: Role) {
    match end {
        End::Malformed(error) => {
            tracing::warn!(%peer, ?role, %error, "connection closed: malformed frame");
        }
        End::Unsendable(error) => {
            tracing::warn!(%peer, ?role, %error, "connection closed: {end}");
        }
        End::Unread => tracing::warn!(%peer, ?role, "connection closed: {end}"),
        End::Closed | End::Idle | End::Stopping => {
            tracing::debug!(%peer, ?role, "connection closed: {end}");
        }
        End::Broken(error) => tracing::debug!(%peer, ?role, %error, "connection closed: {end}"),
    }
}

#[cfg(test)]
mod tests;
