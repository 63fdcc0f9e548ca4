//! [`Format`]: how to print, as `-o` names it.

use clap::ValueEnum;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, within the terminal's width.
    Table,
    /// For people, with every column and nothing cut.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON document for each item.
    Jsonl,
    /// What other commands take, one on a line.
    Name,
    /// `token request` alone: the token, into the file that `--to` names.
    File,
    /// `token request` alone: an HTTP header, for `curl -H @-`.
    Header,
    /// `token request` alone: variables, for `--env-file` and the like.
    EnvFile,
    /// `token request` alone: a JSON document with `Token` and `Expiration`.
    CredentialProcess,
    /// `token request` alone: an ExecCredential as kubectl takes it.
    ExecCredential,
}

impl Format {
    /// Whether it is a form in which other programs take a token, and nothing else.
    pub(crate) fn is_for_tokens(self) -> bool {
        match self {
            Self::Table | Self::Wide | Self::Json | Self::Jsonl | Self::Name => false,
            Self::File | Self::Header | Self::EnvFile | Self::CredentialProcess | Self::ExecCredential => {
                true
            }
        }
    }
}
