//! What a party of a test does against the protocol, in the thread in which it serves.

use std::cell::Cell;

use bytes::Bytes;

/// What a party lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Its share of an answer, at this word from the end.
    Answer(usize),
    /// What a client shared to it, after the parties have compared it: its first share, or the second.
    Question(bool),
    /// A message to the party before it: one bit of every long frame.
    Gate,
}

thread_local! {
    pub(crate) static LIE: Cell<Option<Lie>> = const { Cell::new(None) };
}

/// The words of answers as this party gives them.
pub(crate) fn about_answers(mut answers: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
    if let Some(Lie::Answer(from_end)) = LIE.get() {
        for answer in &mut answers {
            let at = answer.len() - 1 - from_end;
            answer[at] ^= 1 << 18;
        }
    }
    answers
}

/// The message of a client as this party computes on it: another share, the seed at the front or what is behind it.
pub(crate) fn about_questions(message: &Bytes) -> Bytes {
    let Some(Lie::Question(second)) = LIE.get() else {
        return message.clone();
    };
    let mut changed = message.to_vec();
    let at = if second { changed.len() - 6 } else { 0 };
    changed[at] ^= 1;
    changed.into()
}
