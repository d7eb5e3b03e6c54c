//! What a client and a party of the service say to each other, one frame each.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::inputs::Kind;

/// An input or output of the served model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name in the model.
    pub name: String,
    /// Its shape without the first axis, which counts rows.
    pub shape: Vec<usize>,
}

impl Port {
    /// Its numbers a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What every party tells a client that has connected. All three must say the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Greeting {
    /// The inputs that the client shares, in order.
    pub inputs: Vec<Port>,
    /// The outputs that it gets, in order.
    pub outputs: Vec<Port>,
    /// Fractional bits of shared numbers.
    pub fraction_bits: u32,
    /// Rows of one question at most.
    pub max_rows: usize,
    /// Whether a question must have exactly so many: the model is made for one number of rows, and rows that fill up a
    /// question could change its answers.
    pub exact_rows: bool,
    /// The least and the greatest number of each input: the parties put what is shared beyond to the bound.
    pub bounds: Vec<(f64, f64)>,
    /// What the numbers of each input stand for: the parties make integers of what is none, and 0 or 1 of what is neither.
    pub kinds: Vec<Kind>,
    /// Whether a party may cheat: each word of an answer comes from two of them, and whoever asks compares.
    pub copies: bool,
}

impl Greeting {
    /// As a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads a frame; `None` if it is something else.
    #[must_use]
    pub fn decode(frame: &[u8]) -> Option<Self> {
        serde_json::from_slice(frame).ok()
    }

    /// Whether a question may have so many rows.
    ///
    /// # Errors
    /// A sentence for whoever asks.
    pub fn check_rows(&self, rows: usize) -> Result<(), String> {
        let most = self.max_rows;
        if self.exact_rows && rows != most {
            return Err(format!(
                "the model takes questions of exactly {most} rows, and this one has {rows}"
            ));
        }
        if rows == 0 || rows > most {
            return Err(format!(
                "a question has 1 to {most} rows, and this one {rows}: ask several"
            ));
        }
        Ok(())
    }
}

/// A question: number, rows, and this party's message of shares for every input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The client's number for it, which comes back with the answer.
    pub number: u64,
    /// Its rows.
    pub rows: u32,
    /// The messages of all inputs, one after the other.
    pub shares: Bytes,
}

impl Ask {
    /// As a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut frame = BytesMut::with_capacity(12 + self.shares.len());
        frame.put_u64_le(self.number);
        frame.put_u32_le(self.rows);
        frame.put_slice(&self.shares);
        frame.freeze()
    }

    /// Reads a frame; `None` if it is too short for a question.
    #[must_use]
    pub fn decode(mut frame: Bytes) -> Option<Self> {
        (frame.len() >= 12).then(|| Self {
            number: frame.get_u64_le(),
            rows: frame.get_u32_le(),
            shares: frame,
        })
    }
}

/// A party's answer: its words of the outputs, which add up with those of the other two; or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The question's number.
    pub number: u64,
    /// The words of all outputs, or the reason.
    pub outcome: Result<Vec<u64>, String>,
}

impl Answer {
    /// As a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let body = match &self.outcome {
            Ok(words) => 8 * words.len(),
            Err(reason) => reason.len(),
        };
        // What a client is charged for is the length: no more may be held.
        let mut frame = BytesMut::with_capacity(9 + body);
        frame.put_u64_le(self.number);
        match &self.outcome {
            Ok(words) => {
                frame.put_u8(0);
                words.iter().for_each(|&w| frame.put_u64_le(w));
            }
            Err(reason) => {
                frame.put_u8(1);
                frame.put_slice(reason.as_bytes());
            }
        }
        frame.freeze()
    }

    /// Reads a frame; `None` if it is something else.
    #[must_use]
    pub fn decode(mut frame: Bytes) -> Option<Self> {
        if frame.len() < 9 {
            return None;
        }
        let number = frame.get_u64_le();
        let outcome = match frame.get_u8() {
            0 if frame.len().is_multiple_of(8) => {
                let words = frame.as_chunks::<8>().0.iter();
                Ok(words.map(|b| u64::from_le_bytes(*b)).collect())
            }
            1 => Err(String::from_utf8_lossy(&frame).into_owned()),
            _ => return None,
        };
        Some(Self { number, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_anything_else_is_refused() {
        let ask = Ask {
            number: 7,
            rows: 2,
            shares: Bytes::from_static(b"shares"),
        };
        assert_eq!(Ask::decode(ask.encode()), Some(ask.clone()));
        assert_eq!(Ask::decode(ask.encode().slice(..11)), None);
        for outcome in [Ok(vec![1, u64::MAX]), Ok(vec![]), Err("no".to_owned())] {
            let answer = Answer { number: 9, outcome };
            assert_eq!(Answer::decode(answer.encode()), Some(answer));
        }
        // An answer is charged for by its length, and holds no more.
        for len in [0, 1, 1000, 100_001] {
            for outcome in [Ok(vec![7; len]), Err("n".repeat(len))] {
                let frame = Answer { number: 9, outcome }.encode();
                let len = frame.len();
                let memory = frame.try_into_mut().unwrap().capacity();
                assert_eq!(memory, len);
            }
        }
        assert_eq!(Answer::decode(Bytes::from_static(&[0; 10])), None);
        assert_eq!(Answer::decode(Bytes::from_static(&[2; 9])), None);
        assert_eq!(Answer::decode(Bytes::from_static(&[0; 8])), None);
        let greeting = Greeting {
            inputs: vec![Port {
                name: "x".into(),
                shape: vec![3, 4],
            }],
            outputs: vec![],
            fraction_bits: 18,
            max_rows: 5,
            exact_rows: false,
            bounds: vec![(-1.5, 65_536.0)],
            kinds: vec![Kind::Integer],
            copies: true,
        };
        assert_eq!(Greeting::decode(&greeting.encode()), Some(greeting));
        assert_eq!(Greeting::decode(b"{}"), None);
    }

    #[test]
    fn a_model_of_a_fixed_number_of_rows_takes_no_others() {
        let greeting = |exact_rows| Greeting {
            inputs: vec![],
            outputs: vec![],
            fraction_bits: 18,
            max_rows: 4,
            exact_rows,
            bounds: vec![],
            kinds: vec![],
            copies: false,
        };
        let taken = |exact| (0..7).filter(move |&n| greeting(exact).check_rows(n).is_ok());
        assert_eq!(taken(false).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(taken(true).collect::<Vec<_>>(), [4]);
        let reason = greeting(true).check_rows(3).unwrap_err();
        assert!(reason.contains("exactly 4 rows"), "{reason}");
    }
}
