//! The name of a checkpoint.

use super::super::name::{NotAName, hex, pg_id};
use crate::format::PgId;
use std::fmt;
use std::str::FromStr;

/// The folder of checkpoints.
pub const PROOFS: &str = "proof";

/// `proof/{pg:04}/{seq:016x}-{nonce:08x}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProofName {
    /// Whose.
    pub pg: PgId,
    /// Number of the last link in it.
    pub seq: u64,
    /// Drawn for each try.
    pub nonce: u32,
}

impl ProofName {
    /// The folder of a placement group's checkpoints.
    pub fn folder(pg: PgId) -> String {
        format!("{PROOFS}/{pg}")
    }
}

impl fmt::Display for ProofName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PROOFS}/{}/{:016x}-{:08x}", self.pg, self.seq, self.nonce)
    }
}

impl FromStr for ProofName {
    type Err = NotAName;

    /// Only the one spelling that [`ProofName`] prints.
    fn from_str(text: &str) -> Result<ProofName, NotAName> {
        let name = parse(text).ok_or(NotAName)?;
        if name.to_string() == text { Ok(name) } else { Err(NotAName) }
    }
}

fn parse(text: &str) -> Option<ProofName> {
    let (folder, file) = text.rsplit_once('/')?;
    let pg = pg_id(folder.strip_prefix(PROOFS)?.strip_prefix('/')?)?;
    let (seq, nonce) = file.split_once('-')?;
    Some(ProofName { pg, seq: hex(seq)?, nonce: u32::from_str_radix(nonce, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_no_other_spelling_is() {
        let name = ProofName { pg: PgId::new(7).unwrap(), seq: 31, nonce: 2 };
        let text = "proof/0007/000000000000001f-00000002";
        assert_eq!(name.to_string(), text);
        assert_eq!(text.parse(), Ok(name));
        for other in ["proof/7/1f-2", "proof/0007/000000000000001F-00000002", "proof", ""] {
            assert_eq!(other.parse::<ProofName>(), Err(NotAName), "{other}");
        }
    }
}
