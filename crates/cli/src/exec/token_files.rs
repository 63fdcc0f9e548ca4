//! The files that tokens are kept in while a program runs: mode 0600, renewed in place, gone with it.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use locum_model::{TaskId, TokenId};
use locum_sdk::{Error, TokenSource};

use crate::failure::Failure;
use crate::holder_file;
use crate::input::unreadable;
use crate::private_file::replace;

/// The tokens of one program, a file for each connector.
pub(crate) struct TokenFiles {
    /// The folder, where it is ours.
    folder: Option<PathBuf>,
    files: Vec<TokenFile>,
}

struct TokenFile {
    path: PathBuf,
    source: TokenSource,
    written: Option<TokenId>,
}

impl TokenFiles {
    /// Room for the tokens of `sources`, by connector: at `file` when it is named, else in a new folder
    /// that only its owner can enter. Nothing is written over.
    pub(crate) fn new(
        task: TaskId,
        sources: Vec<(String, TokenSource)>,
        file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let folder = match &file {
            None => Some(new_folder(task)?),
            Some(file) if file.exists() => {
                let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
                return Err(unreadable(file, &there));
            }
            Some(_) => None,
        };
        let path = |connector: &str| match (&folder, &file) {
            (Some(folder), _) => folder.join(connector),
            (None, file) => file.clone().unwrap_or_default(),
        };
        let files = sources
            .into_iter()
            .map(|(connector, source)| TokenFile { path: path(&connector), source, written: None })
            .collect();
        Ok(Self { folder, files })
    }

    /// The folder of all files, where it is ours.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The one file, where there is one.
    pub(crate) fn only(&self) -> Option<&Path> {
        match &self.files[..] {
            [one] => Some(&one.path),
            _ => None,
        }
    }

    /// Writes every token that is another than the one in its file.
    pub(crate) async fn renew(&mut self) -> Result<(), Failure> {
        for file in &mut self.files {
            let token = file.source.get().await?;
            if file.written != Some(token.jti()) {
                replace(&file.path, token.expose()).map_err(|error| unreadable(&file.path, &error))?;
                file.written = Some(token.jti());
            }
        }
        Ok(())
    }

    /// Removes the files: what stands in them opens nothing any more, or is about to.
    pub(crate) fn remove(&self) {
        for file in &self.files {
            let _gone_is_fine = fs::remove_file(&file.path);
        }
        if let Some(folder) = &self.folder {
            let _gone_is_fine = fs::remove_dir(folder);
        }
    }
}

/// Whether asking again later may help.
pub(crate) fn may_pass(failure: &Failure) -> bool {
    matches!(failure, Failure::Client(error) if error.retryable() && !matches!(error, Error::TaskOver(_)))
}

fn new_folder(task: TaskId) -> Result<PathBuf, Failure> {
    // Not by the task alone: another broker has a task of this name too, and a process that was killed
    // leaves its folder.
    let folder = holder_file::folder_of("exec")?.join(format!("{task}.{}", std::process::id()));
    if let Some(parent) = folder.parent() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.map_err(|error| unreadable(parent, &error))?;
    }
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|error| unreadable(&folder, &error))?;
    Ok(folder)
}
