//! Messages as they are stored, and as Remoting clients read them: one run of big-endian bytes.

pub mod property;
