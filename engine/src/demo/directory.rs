//! A directory for a demonstration's files.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Names that are tried before it is given up: those of demonstrations that were killed are taken.
const NAMES_TRIED_MAX: u32 = 100;

/// A directory of its own below the system's for temporary files, closed to other users. It is removed when dropped.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Makes one that was not there before.
    pub(super) fn make() -> io::Result<Self> {
        let mut taken = io::Error::from(ErrorKind::AlreadyExists);
        for number in 0..NAMES_TRIED_MAX {
            let name = format!("warppool-demo-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => taken = error,
                Err(error) => return Err(error),
            }
        }
        Err(taken)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("{} cannot be removed: {error}", self.0.display());
        }
    }
}
