//! Bodies of answers: whole, slow, cut short or with a bit wrong.

use super::objects::Body as Stored;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes that are read at a time.
const PIECE_BYTES: u64 = 1 << 20;
/// And where the body is slow.
const SLOW_PIECE_BYTES: u64 = 4 << 10;

/// How a body is spoilt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spoilt {
    pub(super) bytes_per_second: Option<u64>,
    pub(super) is_truncated: bool,
    pub(super) has_flipped_bit: bool,
}

/// A part of an object on its way.
pub(super) struct Sending {
    body: Stored,
    at: u64,
    end: u64,
    spoilt: Spoilt,
    /// Where the body ends early.
    cut: Option<u64>,
    /// The byte with a wrong bit.
    wrong: Option<u64>,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Sending {
    pub(super) fn new(body: Stored, from: u64, to: u64, spoilt: Spoilt) -> Sending {
        let middle = from + (to - from) / 2;
        Sending {
            body,
            at: from,
            end: to,
            spoilt,
            cut: spoilt.is_truncated.then_some(middle),
            wrong: (spoilt.has_flipped_bit && from < to).then_some(middle),
            pause: None,
        }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Sending {
        let bytes = text.into();
        let len = bytes.len() as u64;
        Sending::new(Stored::Memory(bytes), 0, len, Spoilt::default())
    }

    fn piece(&mut self) -> Bytes {
        let most = match (self.spoilt.bytes_per_second, &self.body) {
            (Some(_), _) => SLOW_PIECE_BYTES,
            (None, Stored::File(_)) => PIECE_BYTES,
            (None, Stored::Memory(_)) => u64::MAX,
        };
        let to = self.end.min(self.at.saturating_add(most)).min(self.cut.unwrap_or(u64::MAX));
        let bytes = self.body.read(self.at, to - self.at);
        let wrong = self.wrong.filter(|at| (self.at..to).contains(at));
        let begin = std::mem::replace(&mut self.at, to);
        match wrong {
            Some(at) => {
                let mut changed = bytes.to_vec();
                changed[usize::try_from(at - begin).unwrap()] ^= 0x10;
                changed.into()
            }
            None => bytes,
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.cut == Some(self.at) {
            return Poll::Ready(Some(Err(io::Error::other("cut short, as the test wants it"))));
        }
        if self.at == self.end {
            return Poll::Ready(None);
        }
        let piece = self.piece();
        if let Some(rate) = self.spoilt.bytes_per_second {
            self.pause = Some(Box::pin(pause(piece.len(), rate)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end && self.cut.is_none() && self.pause.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

/// The time that so many bytes take at a rate.
#[expect(clippy::disallowed_methods, reason = "a slow server is slow by the real clock")]
pub(super) async fn pause(bytes: usize, per_second: u64) {
    let millis = bytes as u64 * 1_000 / per_second.max(1);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
