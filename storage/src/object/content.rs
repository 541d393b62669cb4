//! The bytes of an object before they are stored.
use bytes::Bytes;
use object_store::PutPayload;
use std::ops::Range;

/// What is to be stored, in as many pieces as it was made of: nothing is copied together. Cheap to
/// clone.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pieces: Vec<Bytes>,
    len: u64,
}

impl Content {
    /// Bytes in all.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it, as a request's body.
    pub(super) fn payload(&self) -> PutPayload {
        self.pieces.iter().cloned().collect()
    }

    /// The pieces of `range`, cut where it begins and ends.
    pub(super) fn part(&self, range: Range<u64>) -> PutPayload {
        self.cut(range).collect()
    }

    /// Whether `bytes` are what stands at `from`.
    pub(super) fn is_at(&self, from: u64, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        for piece in self.cut(from..from + bytes.len() as u64) {
            match rest.strip_prefix(&piece[..]) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }

    fn cut(&self, range: Range<u64>) -> impl Iterator<Item = Bytes> + '_ {
        let mut begin = 0u64;
        self.pieces.iter().filter_map(move |piece| {
            let end = begin + piece.len() as u64;
            let (from, to) = (range.start.max(begin), range.end.min(end));
            let within = |at: u64| usize::try_from(at - begin).unwrap_or(usize::MAX);
            let cut = (from < to).then(|| piece.slice(within(from)..within(to)));
            begin = end;
            cut
        })
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Content {
        Content { len: bytes.len() as u64, pieces: vec![bytes] }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Bytes::from(bytes).into()
    }
}

impl From<Vec<Bytes>> for Content {
    fn from(pieces: Vec<Bytes>) -> Content {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        Content { pieces, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_across_pieces() {
        let pieces = ["abc", "", "defg", "h"].map(Bytes::from).to_vec();
        let content = Content::from(pieces);
        assert_eq!(content.len(), 8);
        let part = |range: Range<u64>| Bytes::from(content.part(range));
        assert_eq!(part(0..8), "abcdefgh");
        assert_eq!(part(2..4), "cd");
        assert_eq!(part(7..8), "h");
        assert_eq!(part(3..3), "");
        assert!(content.is_at(2, b"cde"));
        assert!(!content.is_at(2, b"cdx"));
        assert!(!content.is_at(6, b"ghi"), "longer than it is");
    }
}
