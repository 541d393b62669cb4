//! A cursor over bytes that may end anywhere.

use bytes::{Buf, Bytes};

use super::StoredError;

/// Takes big-endian fields from the front; every take is checked.
pub(super) struct Reader {
    left: Bytes,
}

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { left: bytes }
    }

    pub(super) fn left(&self) -> usize {
        self.left.len()
    }

    /// The next `needed` bytes, sharing the buffer.
    pub(super) fn take(
        &mut self,
        field: &'static str,
        needed: usize,
    ) -> Result<Bytes, StoredError> {
        let left = self.left.len();
        if needed > left {
            return Err(StoredError::Truncated { field, needed, left });
        }
        Ok(self.left.split_to(needed))
    }

    fn buf(&mut self, field: &'static str, needed: usize) -> Result<&mut Bytes, StoredError> {
        let left = self.left.len();
        if needed > left {
            return Err(StoredError::Truncated { field, needed, left });
        }
        Ok(&mut self.left)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, StoredError> {
        Ok(self.buf(field, 1)?.get_u8())
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, StoredError> {
        Ok(self.buf(field, 2)?.get_u16())
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, StoredError> {
        Ok(self.buf(field, 4)?.get_u32())
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, StoredError> {
        Ok(self.buf(field, 4)?.get_i32())
    }

    pub(super) fn i64(&mut self, field: &'static str) -> Result<i64, StoredError> {
        Ok(self.buf(field, 8)?.get_i64())
    }

    /// A length in a signed 32-bit field.
    pub(super) fn length(&mut self, field: &'static str) -> Result<usize, StoredError> {
        let value = self.i32(field)?;
        usize::try_from(value).map_err(|_| StoredError::Value { field, value: value.into() })
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], StoredError> {
        let mut bytes = [0; N];
        self.buf(field, N)?.copy_to_slice(&mut bytes);
        Ok(bytes)
    }

    /// A length in a signed 16-bit field, and that much text.
    pub(super) fn short_text(&mut self, field: &'static str) -> Result<String, StoredError> {
        let length = self.u16(field)?;
        let value = i64::from(length.cast_signed());
        if value < 0 {
            return Err(StoredError::Value { field, value });
        }
        self.text(field, usize::from(length))
    }

    pub(super) fn text(
        &mut self,
        field: &'static str,
        bytes: usize,
    ) -> Result<String, StoredError> {
        let bytes = self.take(field, bytes)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| StoredError::Text { field })?;
        Ok(text.to_owned())
    }
}
