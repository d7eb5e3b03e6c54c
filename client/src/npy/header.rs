//! The header of an `.npy` file: a Python dictionary of `descr`, `fortran_order` and `shape`, written on one line.

use super::{Error, Result, refuse};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers are a line of text; this many bytes are more than numpy itself reads.
const MOST_BYTES: usize = 10_000;
/// As many axes as numpy has at most.
const MOST_AXES: usize = 64;

/// What elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// False or true.
    Bool,
    /// Signed integers.
    Signed,
    /// Unsigned integers.
    Unsigned,
    /// IEEE 754 numbers.
    Float,
    /// Strings of UCS-4 characters.
    Text,
}

/// An element type: what it is, and how many bytes each takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtype {
    /// What the elements are.
    pub kind: Kind,
    /// Bytes of one.
    pub bytes: usize,
}

impl Dtype {
    /// An element type of `bytes` bytes: 1 for booleans, 1, 2, 4 or 8 for integers, 2, 4 or 8 for floats, four a character.
    #[must_use]
    pub const fn new(kind: Kind, bytes: usize) -> Self {
        Self { kind, bytes }
    }

    /// From numpy's code, such as `<f4`; besides, whether the bytes are in big-endian order.
    fn parse(code: &str) -> Result<(Self, bool)> {
        let unsupported = || {
            Error(format!(
                "its elements are of type {code:?}; numbers, booleans and text are read"
            ))
        };
        let mut characters = code.chars();
        let order = characters.next().ok_or_else(unsupported)?;
        let kind = characters.next().ok_or_else(unsupported)?;
        let digits = characters.as_str();
        let bytes: usize = digits.parse().map_err(|_| unsupported())?;
        let (kind, bytes) = match (kind, bytes) {
            ('b', 1) => (Kind::Bool, 1),
            ('i', 1 | 2 | 4 | 8) => (Kind::Signed, bytes),
            ('u', 1 | 2 | 4 | 8) => (Kind::Unsigned, bytes),
            ('f', 2 | 4 | 8) => (Kind::Float, bytes),
            ('U', 1..) => (Kind::Text, bytes.checked_mul(4).ok_or_else(unsupported)?),
            _ => return Err(unsupported()),
        };
        match order {
            '<' | '|' | '=' => Ok((Self { kind, bytes }, false)),
            '>' => Ok((Self { kind, bytes }, true)),
            _ => Err(unsupported()),
        }
    }

    /// Numpy's code for it.
    fn code(self) -> String {
        let (order, kind, size) = match self.kind {
            Kind::Bool => ('|', 'b', self.bytes),
            Kind::Signed => ('<', 'i', self.bytes),
            Kind::Unsigned => ('<', 'u', self.bytes),
            Kind::Float => ('<', 'f', self.bytes),
            Kind::Text => ('<', 'U', self.bytes / 4),
        };
        let order = if self.bytes == 1 { '|' } else { order };
        format!("{order}{kind}{size}")
    }
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// The header, and the bytes after it.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return refuse("it is no .npy file: numpy's first bytes are missing");
        };
        let truncated = || Error("it ends within its header".into());
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(truncated)?;
        let (length, rest) = match version[0] {
            1 => {
                let (length, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
                (usize::from(u16::from_le_bytes(*length)), rest)
            }
            2 | 3 => {
                let (length, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
                (u32::from_le_bytes(*length) as usize, rest)
            }
            other => {
                return refuse(format!(
                    "its format has version {other}; 1, 2 and 3 are read"
                ));
            }
        };
        if length > MOST_BYTES {
            return refuse(format!(
                "its header has {length} bytes; {MOST_BYTES} are read"
            ));
        }
        let (text, data) = rest.split_at_checked(length).ok_or_else(truncated)?;
        let text = std::str::from_utf8(text).map_err(|_| Error("its header is no text".into()))?;
        Ok((Self::of_dictionary(text)?, data))
    }

    fn of_dictionary(text: &str) -> Result<Self> {
        let mut words = Words(text);
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        words.expect('{')?;
        while !words.take('}') {
            let key = words.string()?;
            words.expect(':')?;
            match key {
                "descr" => descr = Some(Dtype::parse(words.string()?)?),
                "fortran_order" => fortran = Some(words.truth()?),
                "shape" => shape = Some(words.tuple()?),
                other => return refuse(format!("its header has the unknown key {other:?}")),
            }
            if !words.take(',') {
                words.expect('}')?;
                break;
            }
        }
        match (descr, fortran, shape) {
            (Some((dtype, big_endian)), Some(fortran), Some(shape)) => Ok(Self {
                dtype,
                big_endian,
                fortran,
                shape,
            }),
            _ => refuse("its header lacks descr, fortran_order or shape"),
        }
    }
}

/// The words of a header that are left.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// Steps over `mark`, if it comes next.
    fn take(&mut self, mark: char) -> bool {
        let rest = self.0.trim_start();
        let stripped = rest.strip_prefix(mark);
        self.0 = stripped.unwrap_or(rest);
        stripped.is_some()
    }

    fn expect(&mut self, mark: char) -> Result<()> {
        if self.take(mark) {
            return Ok(());
        }
        refuse(format!("its header does not parse: {mark:?} is missing"))
    }

    fn string(&mut self) -> Result<&'a str> {
        let quote = if self.take('\'') {
            '\''
        } else if self.take('"') {
            '"'
        } else {
            return refuse("its header does not parse; records (structured types) are not read");
        };
        let (string, rest) = self
            .0
            .split_once(quote)
            .ok_or_else(|| Error("its header does not parse: a string has no end".into()))?;
        self.0 = rest;
        Ok(string)
    }

    fn truth(&mut self) -> Result<bool> {
        let rest = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        refuse("its header does not parse: fortran_order is neither True nor False")
    }

    fn tuple(&mut self) -> Result<Vec<usize>> {
        let mut lengths = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            let rest = self.0.trim_start();
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(end);
            let length = digits
                .parse()
                .map_err(|_| Error("its header does not parse: a length of the shape".into()))?;
            lengths.push(length);
            // Python 2 wrote long integers so.
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            if lengths.len() > MOST_AXES {
                return refuse(format!("it has more than {MOST_AXES} axes"));
            }
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(lengths)
    }
}

/// Everything that precedes the data, a multiple of 64 bytes.
pub(super) fn render(dtype: Dtype, shape: &[usize]) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    // A tuple of one has a comma.
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        dtype.code(),
        lengths.join(", ")
    );
    let fixed = MAGIC.len() + 4;
    let padding = (fixed + text.len() + 1).next_multiple_of(64) - (fixed + text.len() + 1);
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[1, 0]);
    // At most 64 lengths of 20 digits: far below 2^16 bytes.
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
