//! One stored message (`MessageDecoder`, `CommitLog`). Big-endian:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | total size, itself included |
//! | 4 | 4 | magic: [`MAGIC_V1`], or [`MAGIC_V2`] for a topic of more than 127 bytes |
//! | 8 | 4 | CRC-32 (IEEE) of the body, top bit cleared |
//! | 12 | 4 | queue id |
//! | 16 | 4 | flag (the user's) |
//! | 20 | 8 | queue offset |
//! | 28 | 8 | physical offset |
//! | 36 | 4 | [`SysFlag`] |
//! | 40 | 8 | born, ms since 1970 |
//! | 48 | 8 or 20 | born host: 4 or 16 bytes of address, 4 of port |
//! | +0 | 8 | stored, ms since 1970 |
//! | +8 | 8 or 20 | store host |
//! | +0 | 4 | how often tried again |
//! | +4 | 8 | offset of the half message |
//! | +12 | 4 + n | body |
//! | +0 | 1 + n, 2 + n in v2 | topic |
//! | +0 | 2 + n | properties |

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes};
use crc_fast::CrcAlgorithm;

use super::read::Reader;
use super::{PROPERTIES_BYTES_MAX, Properties, StoredError, SysFlag};

/// Topic length in one byte.
const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Topic length in two bytes.
const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Longest topic, in bytes, that the first layout has room for.
const V1_TOPIC_BYTES_MAX: usize = 127;

/// Bytes before the body but for the two hosts.
const HEAD_BYTES: usize = 72;
const QUEUE_OFFSET_AT: u32 = 20;
const PHYSICAL_OFFSET_AT: u32 = 28;

/// A message with everything that is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Index of the queue inside its broker.
    pub queue_id: i32,
    /// The user's own flag word. Remoting only.
    pub flag: i32,
    /// Position in the queue. Left 0 where the log fills it in.
    pub queue_offset: i64,
    /// Position in the broker's log. Left 0 where the log fills it in.
    pub physical_offset: i64,
    /// The bits for IPv6 hosts follow the addresses: the encoder sets them.
    pub sys_flag: SysFlag,
    /// When the client made it, milliseconds since 1970.
    pub born_at: i64,
    /// The client.
    pub born_host: SocketAddr,
    /// When it was stored, milliseconds since 1970. Left 0 where the log fills it in.
    pub stored_at: i64,
    /// The broker, as clients reach it.
    pub store_host: SocketAddr,
    /// How often it was tried again.
    pub reconsume_times: i32,
    /// Of a committed message: queue offset of its half message.
    pub prepared_transaction_offset: i64,
    /// As the client sent it, compressed or not.
    pub body: Bytes,
    /// Not checked here.
    pub topic: String,
    /// System and user properties together.
    pub properties: Properties,
}

/// A message as bytes, in three parts so that the body is not copied: `head`, `body`, `tail` follow
/// each other. The positions are those of big-endian `i64` fields in `head`, for whoever assigns them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Up to and with the body's length.
    pub head: Vec<u8>,
    /// The body.
    pub body: Bytes,
    /// Topic and properties.
    pub tail: Bytes,
    /// Where the queue offset stands.
    pub offset_at: u32,
    /// Where the physical offset stands.
    pub lsn_at: u32,
    /// Where the store time stands.
    pub time_at: u32,
}

impl Encoded {
    /// Bytes of the whole.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len() + self.tail.len()
    }

    /// Never: a message has at least its fixed fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All three parts in one buffer.
    pub fn to_bytes(&self) -> Bytes {
        [&self.head[..], &self.body, &self.tail].concat().into()
    }
}

impl StoredMessage {
    /// Lays the message out. Fails with [`StoredError::TooLong`] when topic, properties or the whole are
    /// longer than their length fields can say.
    pub fn encode(&self) -> Result<Encoded, StoredError> {
        let tail = self.encode_tail()?;
        let hosts = host_bytes(self.born_host) + host_bytes(self.store_host);
        let head_bytes = HEAD_BYTES + hosts;
        let bytes = head_bytes + self.body.len() + tail.len();
        let limit = usize::try_from(i32::MAX).unwrap_or(usize::MAX);
        let too_long = |_| StoredError::TooLong { field: "message", bytes, limit };
        let total = i32::try_from(bytes).map_err(too_long)?;
        let body_bytes = i32::try_from(self.body.len()).map_err(too_long)?;

        let mut head = Vec::with_capacity(head_bytes);
        head.put_i32(total);
        head.put_u32(if self.topic.len() > V1_TOPIC_BYTES_MAX { MAGIC_V2 } else { MAGIC_V1 });
        head.put_u32(body_crc(&self.body));
        head.put_i32(self.queue_id);
        head.put_i32(self.flag);
        head.put_i64(self.queue_offset);
        head.put_i64(self.physical_offset);
        head.put_i32(self.host_flags().0);
        head.put_i64(self.born_at);
        put_host(&mut head, self.born_host);
        let time_at = if self.born_host.is_ipv4() { 56 } else { 68 };
        head.put_i64(self.stored_at);
        put_host(&mut head, self.store_host);
        head.put_i32(self.reconsume_times);
        head.put_i64(self.prepared_transaction_offset);
        head.put_i32(body_bytes);
        Ok(Encoded {
            head,
            body: self.body.clone(),
            tail: tail.into(),
            offset_at: QUEUE_OFFSET_AT,
            lsn_at: PHYSICAL_OFFSET_AT,
            time_at,
        })
    }

    fn encode_tail(&self) -> Result<Vec<u8>, StoredError> {
        let topic = self.topic.as_bytes();
        let properties = self.properties.encode();
        let long =
            |field, bytes| StoredError::TooLong { field, bytes, limit: PROPERTIES_BYTES_MAX };
        let topic_bytes = i16::try_from(topic.len()).map_err(|_| long("topic", topic.len()))?;
        let properties_bytes =
            i16::try_from(properties.len()).map_err(|_| long("properties", properties.len()))?;

        let mut tail = Vec::with_capacity(4 + topic.len() + properties.len());
        match u8::try_from(topic_bytes) {
            Ok(short) if topic.len() <= V1_TOPIC_BYTES_MAX => tail.put_u8(short),
            _ => tail.put_i16(topic_bytes),
        }
        tail.put_slice(topic);
        tail.put_i16(properties_bytes);
        tail.put_slice(properties.as_bytes());
        Ok(tail)
    }

    fn host_flags(&self) -> SysFlag {
        let mut flags =
            self.sys_flag.without(SysFlag::BORN_HOST_V6).without(SysFlag::STORE_HOST_V6);
        if self.born_host.is_ipv6() {
            flags = flags.with(SysFlag::BORN_HOST_V6);
        }
        if self.store_host.is_ipv6() {
            flags = flags.with(SysFlag::STORE_HOST_V6);
        }
        flags
    }
}

/// Reads one message that fills `bytes`. The body shares them.
pub fn decode(bytes: Bytes) -> Result<StoredMessage, StoredError> {
    let said = bytes.len();
    let mut left = bytes;
    let message = decode_next(&mut left)?;
    match (message, left.len()) {
        (Some(message), 0) => Ok(message),
        (Some(_), rest) => Err(StoredError::Size { said, taken: said - rest }),
        (None, _) => Err(StoredError::Truncated { field: "total size", needed: 4, left: 0 }),
    }
}

/// Takes the next message off the front of several that follow each other, as in the body of a pull
/// response; `None` at the end. After an error `bytes` is not worth going on with.
pub fn decode_next(bytes: &mut Bytes) -> Result<Option<StoredMessage>, StoredError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut ahead = Reader::new(bytes.clone());
    let total = ahead.length("total size")?;
    if total > bytes.len() {
        let left = bytes.len();
        return Err(StoredError::Truncated { field: "message", needed: total, left });
    }
    let mut reader = Reader::new(bytes.split_to(total));
    let message = decode_fields(&mut reader)?;
    if reader.left() != 0 {
        return Err(StoredError::Size { said: total, taken: total - reader.left() });
    }
    Ok(Some(message))
}

fn decode_fields(from: &mut Reader) -> Result<StoredMessage, StoredError> {
    from.i32("total size")?;
    let magic = from.u32("magic")?;
    if magic != MAGIC_V1 && magic != MAGIC_V2 {
        return Err(StoredError::Magic(magic));
    }
    let stored_crc = from.u32("body checksum")?;
    let queue_id = from.i32("queue id")?;
    let flag = from.i32("flag")?;
    let queue_offset = from.i64("queue offset")?;
    let physical_offset = from.i64("physical offset")?;
    let sys_flag = SysFlag(from.i32("system flag")?);
    let born_at = from.i64("born timestamp")?;
    let born_host = host(from, "born host", sys_flag.contains(SysFlag::BORN_HOST_V6))?;
    let stored_at = from.i64("store timestamp")?;
    let store_host = host(from, "store host", sys_flag.contains(SysFlag::STORE_HOST_V6))?;
    let reconsume_times = from.i32("reconsume times")?;
    let prepared_transaction_offset = from.i64("prepared transaction offset")?;
    let body_bytes = from.length("body length")?;
    let body = from.take("body", body_bytes)?;
    let computed = body_crc(&body);
    if stored_crc != computed {
        return Err(StoredError::BodyChecksum { stored: stored_crc, computed });
    }
    let topic = if magic == MAGIC_V2 { from.short_text("topic")? } else { v1_topic(from)? };
    let properties = Properties::decode(&from.short_text("properties")?);
    Ok(StoredMessage {
        queue_id,
        flag,
        queue_offset,
        physical_offset,
        sys_flag,
        born_at,
        born_host,
        stored_at,
        store_host,
        reconsume_times,
        prepared_transaction_offset,
        body,
        topic,
        properties,
    })
}

fn v1_topic(from: &mut Reader) -> Result<String, StoredError> {
    let bytes = usize::from(from.u8("topic length")?);
    if bytes > V1_TOPIC_BYTES_MAX {
        return Err(StoredError::TooLong { field: "topic", bytes, limit: V1_TOPIC_BYTES_MAX });
    }
    from.text("topic", bytes)
}

fn host(from: &mut Reader, field: &'static str, v6: bool) -> Result<SocketAddr, StoredError> {
    let ip = if v6 {
        IpAddr::from(from.array::<16>(field)?)
    } else {
        IpAddr::from(from.array::<4>(field)?)
    };
    let port = from.i32(field)?;
    let port = u16::try_from(port).map_err(|_| StoredError::Value { field, value: port.into() })?;
    Ok(SocketAddr::new(ip, port))
}

fn host_bytes(host: SocketAddr) -> usize {
    if host.is_ipv4() { 8 } else { 20 }
}

fn put_host(buf: &mut Vec<u8>, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => buf.put_slice(&ip.octets()),
        IpAddr::V6(ip) => buf.put_slice(&ip.octets()),
    }
    buf.put_i32(host.port().into());
}

/// CRC-32 (IEEE) with the top bit cleared (`UtilAll.crc32`): what Remoting clients compare.
pub fn body_crc(body: &[u8]) -> u32 {
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, body);
    u32::try_from(crc & 0x7fff_ffff).expect("masked to 31 bits")
}
