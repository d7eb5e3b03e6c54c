//! Programs in files: a line that names the format and its version, then the parts in postcard's format.

use std::io::{self, Read, Write};

use super::{Parts, Program, ProgramError};

/// The first line of a file. Its number rises with every change of [`Parts`].
const HEADER: &[u8] = b"tacit integer program 1\n";

/// The largest file that is read: a network of some million weights.
const MOST: u64 = 64 << 20;

/// Why a program was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("not an integer program of this version: make it with `tacit quantize`")]
    Header,
    /// It is longer than any program.
    #[error("longer than {} MiB, which no program is", MOST >> 20)]
    TooLong,
    /// It is cut off or damaged.
    #[error("cut off or damaged: {0}")]
    Damaged(#[from] postcard::Error),
    /// What it says is not a program.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl Program {
    /// Reads a program and checks it.
    ///
    /// # Errors
    /// If it is not one, was cut off or damaged, or is of another version.
    pub fn read(from: impl Read) -> Result<Self, FileError> {
        let mut bytes = Vec::new();
        from.take(MOST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST {
            return Err(FileError::TooLong);
        }
        let body = bytes.strip_prefix(HEADER).ok_or(FileError::Header)?;
        let (parts, rest): (Parts, _) = postcard::take_from_bytes(body)?;
        if !rest.is_empty() {
            return Err(postcard::Error::DeserializeBadEncoding.into());
        }
        Ok(Self::try_from(parts)?)
    }

    /// Writes it as [`read`](Self::read) reads it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, mut to: impl Write) -> Result<(), FileError> {
        to.write_all(HEADER)?;
        Ok(to.write_all(&postcard::to_allocvec(self.parts())?)?)
    }
}
