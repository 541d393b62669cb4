//! Frames, whole: where one begins and ends, and which form its header has.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::{ExtFields, Language, binary, json};

/// Largest frame with its length field, in bytes: what Apache's decoder takes by default
/// (`com.rocketmq.remoting.frameMaxLength`).
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// `MQVersion` ordinal of 5.5.0. Clients gate features by the version in replies.
pub const VERSION: i32 = 513;

const LENGTH_BYTES: usize = 4;
const HEADER_WORD_BYTES: usize = 4;
/// The header word has 24 bits for the header's length.
const HEADER_BYTES_MAX: usize = 0x00ff_ffff;

/// How a header is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As a JSON object.
    #[default]
    Json,
    /// In RocketMQ's own form, which has 16 bits for code and version.
    Binary,
}

/// One request or reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// A [`super::RequestCode`] or [`super::ResponseCode`], or another number.
    pub code: i32,
    /// Of the sender.
    pub language: Language,
    /// Of the sender: an ordinal of Apache's `MQVersion`.
    pub version: i32,
    /// Chosen by the requester, repeated in the reply.
    pub opaque: i32,
    /// [`Frame::RESPONSE`], [`Frame::ONEWAY`].
    pub flag: i32,
    /// What a reply says to the user.
    pub remark: Option<String>,
    /// Fields of the request or reply.
    pub ext: ExtFields,
    /// What the code says it is.
    pub body: Bytes,
    /// How the header is, or was, written.
    pub encoding: Encoding,
}

/// Why bytes are no frame, or a frame cannot become bytes. After an error in decoding the place where the
/// next frame begins is unknown: close the connection.
#[derive(Debug, Error)]
pub enum FrameError {
    /// More than [`FRAME_BYTES_MAX`].
    #[error("a frame of {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes it may have.
        limit: usize,
    },
    /// A length that leaves no room for the header word, or is negative.
    #[error("a frame cannot be {0} bytes long")]
    Length(i32),
    /// A header longer than its frame, or than the header word can say.
    #[error("a header of {header} bytes in room for {room}")]
    HeaderLength {
        /// Bytes of the header.
        header: usize,
        /// Bytes it may have.
        room: usize,
    },
    /// Neither JSON nor binary.
    #[error("no header encoding has the number {0}")]
    Encoding(u8),
    /// A JSON header that is none.
    #[error("the header cannot be read as JSON")]
    Json(#[source] serde_json::Error),
    /// A binary header that ends inside a field.
    #[error("the header ends in its {0}")]
    Truncated(&'static str),
    /// Text in a binary header that is not UTF-8.
    #[error("the header's {0} is not UTF-8")]
    Text(&'static str),
}

impl Frame {
    /// Bit of `flag`: this is a reply.
    pub const RESPONSE: i32 = 1;
    /// Bit of `flag`: no reply is wanted.
    pub const ONEWAY: i32 = 1 << 1;

    /// A request with a JSON header.
    pub fn request(code: i32, opaque: i32) -> Self {
        Self { code, opaque, version: VERSION, ..Self::default() }
    }

    /// The reply to `request`, in its encoding. It says that it comes from Java, as Apache's does: older
    /// clients do not know every language.
    pub fn reply_to(request: &Self, code: i32) -> Self {
        Self {
            code,
            version: VERSION,
            opaque: request.opaque,
            flag: Self::RESPONSE,
            encoding: request.encoding,
            ..Self::default()
        }
    }

    /// Whether this is a reply.
    pub fn is_response(&self) -> bool {
        self.flag & Self::RESPONSE != 0
    }

    /// Whether no reply is wanted.
    pub fn is_oneway(&self) -> bool {
        self.flag & Self::ONEWAY != 0
    }
}

/// Takes the next whole frame off the front of `input`; `None` when more bytes must come first. The body
/// shares the buffer. `input` grows by what the caller reads, never by what a length claims.
pub fn decode(input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(length) = input.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    let bytes = usize::try_from(length).map_err(|_| FrameError::Length(length))?;
    if bytes < HEADER_WORD_BYTES {
        return Err(FrameError::Length(length));
    }
    let whole = LENGTH_BYTES + bytes;
    if whole > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge { bytes: whole, limit: FRAME_BYTES_MAX });
    }
    if input.len() < whole {
        return Ok(None);
    }
    let mut rest = input.split_to(whole).freeze().split_off(LENGTH_BYTES);
    let word = rest.split_to(HEADER_WORD_BYTES);
    let (encoding, header_bytes) = header_word(&word);
    if header_bytes > rest.len() {
        return Err(FrameError::HeaderLength { header: header_bytes, room: rest.len() });
    }
    let header = rest.split_to(header_bytes);
    let frame = match encoding {
        0 => json::decode(&header)?,
        1 => binary::decode(header)?,
        other => return Err(FrameError::Encoding(other)),
    };
    Ok(Some(Frame { body: rest, ..frame }))
}

fn header_word(word: &[u8]) -> (u8, usize) {
    let mut bytes = word.iter().copied();
    let encoding = bytes.next().unwrap_or_default();
    (encoding, bytes.fold(0, |length, byte| length << 8 | usize::from(byte)))
}

/// Writes a frame. A header that does not fit the binary form is written as JSON, as Apache's clients do
/// with codes above 32767. Fails when the frame would be larger than a peer takes.
pub fn encode(frame: &Frame) -> Result<Bytes, FrameError> {
    let binary = match frame.encoding {
        Encoding::Binary => binary::encode(frame),
        Encoding::Json => None,
    };
    let (number, header) = match binary {
        Some(header) => (1, header),
        None => (0, json::encode(frame)),
    };
    if header.len() > HEADER_BYTES_MAX {
        return Err(FrameError::HeaderLength { header: header.len(), room: HEADER_BYTES_MAX });
    }
    let bytes = HEADER_WORD_BYTES + header.len() + frame.body.len();
    let whole = LENGTH_BYTES + bytes;
    let too_large = FrameError::TooLarge { bytes: whole, limit: FRAME_BYTES_MAX };
    let (Ok(length), true) = (u32::try_from(bytes), whole <= FRAME_BYTES_MAX) else {
        return Err(too_large);
    };
    let mut output = BytesMut::with_capacity(whole);
    output.put_u32(length);
    output.put_u8(number);
    output.put_uint(header.len().try_into().unwrap_or(u64::MAX), 3);
    output.put_slice(&header);
    output.put_slice(&frame.body);
    Ok(output.freeze())
}
