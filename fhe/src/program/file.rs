//! Programs in files: a line that names the format and its version, the SHA-256 of what follows, then the parts in
//! postcard's format. The digest finds accidents before anything is decoded; it does not say who wrote the file.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::{Parts, Program, ProgramError};

/// The first line of a file. Its number rises with every change of [`Parts`].
const HEADER: &[u8] = b"tacit integer program 2\n";

/// The length of the digest.
const DIGEST: usize = 32;

/// The largest file that is read or written: a network of some million weights. Decoded, a weight takes ten times as much
/// memory, and an empty table, of which a file could be full, with what vectors grow by, fifty times.
const MOST: u64 = 16 << 20;

/// Why a program was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("not an integer program of this version")]
    Header,
    /// It is longer than any program.
    #[error("longer than {} MiB, which no program is", MOST >> 20)]
    TooLong,
    /// Its bytes are not those that were written.
    #[error("cut off or damaged: fetch it again")]
    Damaged,
    /// Its bytes are as they were written, but say nothing.
    #[error("not made by this version of tacit: {0}")]
    Undecodable(#[from] postcard::Error),
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
        let rest = bytes.strip_prefix(HEADER).ok_or(FileError::Header)?;
        let (digest, body) = rest.split_at_checked(DIGEST).ok_or(FileError::Damaged)?;
        if Sha256::digest(body)[..] != *digest {
            return Err(FileError::Damaged);
        }
        let (parts, rest): (Parts, _) = postcard::take_from_bytes(body)?;
        if !rest.is_empty() {
            return Err(postcard::Error::DeserializeBadEncoding.into());
        }
        Ok(Self::try_from(parts)?)
    }

    /// Writes it as [`read`](Self::read) reads it.
    ///
    /// # Errors
    /// If it cannot be written, or is longer than what is read.
    pub fn write(&self, mut to: impl Write) -> Result<(), FileError> {
        let body = postcard::to_allocvec(self.parts())?;
        if (HEADER.len() + DIGEST + body.len()) as u64 > MOST {
            return Err(FileError::TooLong);
        }
        to.write_all(HEADER)?;
        to.write_all(&Sha256::digest(&body))?;
        Ok(to.write_all(&body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::small, *};

    fn bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        Program::try_from(small())
            .unwrap()
            .write(&mut bytes)
            .unwrap();
        bytes
    }

    /// A file of this version with any body.
    fn with_body(body: &[u8]) -> Vec<u8> {
        [HEADER, &Sha256::digest(body), body].concat()
    }

    #[test]
    fn a_file_says_what_was_written() {
        let read = Program::read(&bytes()[..]).unwrap();
        assert_eq!(read, Program::try_from(small()).unwrap());
    }

    #[test]
    fn no_damage_goes_unnoticed() {
        let bytes = bytes();
        for len in 0..bytes.len() {
            let wanted = Program::read(&bytes[..len]);
            assert!(
                matches!(wanted, Err(FileError::Header | FileError::Damaged)),
                "{len}"
            );
        }
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let wanted = Program::read(&bytes[..]);
            assert!(
                matches!(wanted, Err(FileError::Header | FileError::Damaged)),
                "{bit}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(
            Program::read(&longer[..]),
            Err(FileError::Damaged)
        ));
    }

    /// Whoever writes a digest too can damage what they like: it is refused, or a program, never a panic.
    #[test]
    fn a_hostile_body_is_refused_or_is_a_program() {
        let body = postcard::to_allocvec(&small()).unwrap();
        let mut refused = 0;
        for k in 0..body.len() {
            for byte in [0, 1, 2, 3, 0x7F, 0x80, 0xFF] {
                let mut body = body.clone();
                body[k] = byte;
                let program = match Program::read(&with_body(&body)[..]) {
                    Ok(program) => program,
                    Err(FileError::Undecodable(_) | FileError::Program(_)) => {
                        refused += 1;
                        continue;
                    }
                    Err(e) => panic!("{e}"),
                };
                let input = &program.parts().input;
                for x in [0, input.max] {
                    assert!(!program.run(&vec![x; input.len]).is_empty());
                }
            }
        }
        assert!(refused > body.len(), "{refused}");
        for len in 0..body.len() {
            let wanted = Program::read(&with_body(&body[..len])[..]);
            assert!(matches!(wanted, Err(FileError::Undecodable(_))), "{len}");
        }
        // A length that no file holds allocates nothing.
        let name = with_body(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
        assert!(matches!(
            Program::read(&name[..]),
            Err(FileError::Undecodable(_))
        ));
        let rest = with_body(&[&body[..], &[0]].concat());
        assert!(matches!(
            Program::read(&rest[..]),
            Err(FileError::Undecodable(_))
        ));
    }

    #[test]
    fn what_is_longer_than_any_program_is_neither_read_nor_written() {
        let endless = io::repeat(b't');
        assert!(matches!(Program::read(endless), Err(FileError::TooLong)));
        let mut parts = small();
        parts.name = "n".repeat(MOST as usize);
        let program = Program::try_from(parts).unwrap();
        assert!(matches!(program.write(io::sink()), Err(FileError::TooLong)));
        assert!(matches!(
            Program::read(&b"tacit integer program 0\n"[..]),
            Err(FileError::Header)
        ));
    }
}
