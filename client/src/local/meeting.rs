//! Where three parties of this process bring what they release, to be put together as a recipient does.

use std::collections::BTreeMap;
use std::num::Wrapping;
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Tensor;
use tacit_nn::{Error, Result, fixed};
use tacit_protocols::Release;
use tacit_protocols::release::combined;

/// The words of a result, from what parties 0, 1 and 2 release of it.
///
/// # Errors
/// A party is missing, or what they give does not fit together.
pub(crate) fn put_together(parts: &[Release]) -> Result<Vec<u64>> {
    let invalid = |why: String| Error::Invalid(why);
    let copies = parts.iter().any(|part| part.copies.is_some());
    let words: Vec<Vec<u64>> = (parts.iter().enumerate())
        .map(|(party, part)| part.words(party))
        .collect();
    let [zero, one, two] = &words[..] else {
        return Err(invalid(format!(
            "{} parties of three gave a result",
            words.len()
        )));
    };
    combined([zero, one, two], copies).map_err(|e| invalid(e.to_string()))
}

/// Words of a result as numbers of this shape.
///
/// # Errors
/// There are not as many.
pub(crate) fn decoded(words: Vec<u64>, shape: &[usize], fraction_bits: u32) -> Result<ArrayD<f64>> {
    let words = words.into_iter().map(Wrapping).collect();
    let tensor = Tensor::from_shape_vec(IxDyn(shape), words);
    let tensor = tensor.map_err(|e| Error::Invalid(e.to_string()))?;
    Ok(fixed::decode_tensor(&tensor, fraction_bits))
}

/// What has come of several results, each under a key, from some of the parties.
pub(crate) struct Meeting<K>(Mutex<BTreeMap<K, BTreeMap<usize, Release>>>);

impl<K> Default for Meeting<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> Meeting<K> {
    /// Party `me` brings its part; who comes last gets the words of the result.
    ///
    /// # Errors
    /// What the three brought does not fit together.
    pub(crate) fn bring(&self, key: K, me: usize, part: Release) -> Result<Option<Vec<u64>>> {
        let all = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let here = waiting.entry(key).or_default();
            here.insert(me, part);
            if here.len() < 3 {
                return Ok(None);
            }
            waiting.remove(&key).unwrap_or_default()
        };
        put_together(&all.into_values().collect::<Vec<_>>()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use tacit_protocols::release::Copies;

    use super::*;

    #[test]
    fn who_comes_last_gets_the_result() {
        let part = |word: u64| Release {
            own: vec![word],
            copies: None,
        };
        let meeting = Meeting::default();
        assert_eq!(meeting.bring("x", 2, part(5)).unwrap(), None);
        assert_eq!(meeting.bring("y", 0, part(1)).unwrap(), None);
        assert_eq!(meeting.bring("x", 0, part(u64::MAX)).unwrap(), None);
        assert_eq!(meeting.bring("x", 1, part(0)).unwrap(), Some(vec![4]));
        assert!(put_together(&[part(1), part(2)]).is_err());
        let lies = |me: u64| Release {
            own: vec![me],
            copies: Some(Copies {
                next: vec![(me + 1) % 2],
                ..Copies::default()
            }),
        };
        assert!(put_together(&[0, 1, 2].map(lies)).is_err());
    }
}
