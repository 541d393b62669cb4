//! Unsigned LEB128: seven bits a byte, low ones first, the shortest form only.

use super::OpMalformed;

/// The bytes still to read of an operation's payload.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, OpMalformed> {
        let (first, rest) = self.0.split_first().ok_or(OpMalformed::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, OpMalformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(OpMalformed::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // A zero last byte says what fewer bytes say: one value has one form.
                return if byte == 0 && shift > 0 { Err(OpMalformed::Number) } else { Ok(value) };
            }
        }
        Err(OpMalformed::Number)
    }

    pub(super) fn small(&mut self) -> Result<u32, OpMalformed> {
        u32::try_from(self.number()?).map_err(|_| OpMalformed::Number)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, OpMalformed> {
        let length = usize::try_from(self.number()?).map_err(|_| OpMalformed::Number)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(OpMalformed::Short)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| OpMalformed::Text)
    }

    pub(super) fn end(&self) -> Result<(), OpMalformed> {
        if self.0.is_empty() { Ok(()) } else { Err(OpMalformed::Long) }
    }
}

/// Appends `value`.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let bits = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(bits);
            return;
        }
        out.push(bits | 0x80);
    }
}

/// Appends a length and the bytes of `text`.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}
