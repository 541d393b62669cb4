//! What a client is written in.

use std::fmt;

/// `LanguageCode` of 5.5.0. A name or number that is not among these reads as [`Language::Other`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// Java, and what a header that names none means.
    #[default]
    Java,
    /// C++.
    Cpp,
    /// .NET.
    DotNet,
    /// Python.
    Python,
    /// Delphi.
    Delphi,
    /// Erlang.
    Erlang,
    /// Ruby.
    Ruby,
    /// Anything else.
    Other,
    /// HTTP.
    Http,
    /// Go.
    Go,
    /// PHP.
    Php,
    /// OpenMessaging.
    Oms,
    /// Rust.
    Rust,
    /// Node.js.
    NodeJs,
}

const ALL: [(Language, u8, &str); 14] = [
    (Language::Java, 0, "JAVA"),
    (Language::Cpp, 1, "CPP"),
    (Language::DotNet, 2, "DOTNET"),
    (Language::Python, 3, "PYTHON"),
    (Language::Delphi, 4, "DELPHI"),
    (Language::Erlang, 5, "ERLANG"),
    (Language::Ruby, 6, "RUBY"),
    (Language::Other, 7, "OTHER"),
    (Language::Http, 8, "HTTP"),
    (Language::Go, 9, "GO"),
    (Language::Php, 10, "PHP"),
    (Language::Oms, 11, "OMS"),
    (Language::Rust, 12, "RUST"),
    (Language::NodeJs, 13, "NODE_JS"),
];

impl Language {
    /// The number in a binary header.
    pub fn code(self) -> u8 {
        self.entry().1
    }

    /// The name in a JSON header.
    pub fn name(self) -> &'static str {
        self.entry().2
    }

    /// By number.
    pub fn from_code(code: u8) -> Self {
        ALL.iter().find(|entry| entry.1 == code).map_or(Self::Other, |entry| entry.0)
    }

    /// By name.
    pub fn from_name(name: &str) -> Self {
        ALL.iter().find(|entry| entry.2 == name).map_or(Self::Other, |entry| entry.0)
    }

    fn entry(self) -> &'static (Self, u8, &'static str) {
        ALL.iter().find(|entry| entry.0 == self).expect("every variant is in the table")
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
