//! Reading numbers off the front of bytes that may end early, and writing those of no fixed width.
use super::FormatError;

/// Bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// Writes a number seven bits a byte, lowest first; the top bit of a byte says that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A signed difference, small ones first.
pub(crate) const fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ (((difference as i64) >> 63) as u64)
}

/// The difference that [`zigzag`] took.
pub(crate) const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// What is left to read.
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(FormatError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(FormatError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, FormatError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// What [`put_varint`] wrote.
    pub(crate) fn varint(&mut self) -> Result<u64, FormatError> {
        let mut number = 0u64;
        for place in 0..VARINT_BYTES_MAX {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << (7 * place);
            if shifted >> (7 * place) != bits {
                return Err(FormatError::Length);
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(FormatError::Length)
    }

    /// A varint that must fit in 32 bits.
    pub(crate) fn varint_u32(&mut self) -> Result<u32, FormatError> {
        u32::try_from(self.varint()?).map_err(|_| FormatError::Length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_varints() {
        let mut out = Vec::new();
        for number in [0, 127, 128, 300] {
            put_varint(&mut out, number);
        }
        assert_eq!(out, [0, 127, 0x80, 1, 0xac, 2]);
    }

    #[test]
    fn a_varint_beyond_64_bits_is_refused() {
        let mut bytes = [0xff; 10];
        bytes[9] = 1;
        assert_eq!(Take(&bytes).varint(), Ok(u64::MAX));
        bytes[9] = 2;
        assert_eq!(Take(&bytes).varint(), Err(FormatError::Length));
        assert_eq!(Take(&[0xff; 11]).varint(), Err(FormatError::Length));
    }

    proptest! {
        #[test]
        fn varint_round_trip(number: u64, shift in 0..64u32) {
            let number = number >> shift;
            let mut out = Vec::new();
            put_varint(&mut out, number);
            let mut take = Take(&out);
            prop_assert_eq!(take.varint(), Ok(number));
            prop_assert!(take.0.is_empty());
        }
    }
}
