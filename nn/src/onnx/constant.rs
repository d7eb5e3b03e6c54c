//! Constants: tensors that are known while a graph is built.

use ndarray::{ArrayD, Axis, IxDyn};

use super::context::SATURATION;
use crate::{Layout, Result};

/// No word holds a number of this magnitude.
const BEYOND: f64 = (1u64 << 44) as f64;

/// The kind of the entries of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Real numbers: float, double, float16, bfloat16.
    Float,
    /// Integers of any width and sign within those of 64 bits.
    Int,
    /// Truth values; numbers 0 and 1 in a graph.
    Bool,
    /// Text; in a graph an index into a known list of words.
    Text,
}

impl std::fmt::Display for Element {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Float => "float",
            Self::Int => "integer",
            Self::Bool => "boolean",
            Self::Text => "text",
        })
    }
}

/// A known tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// Real numbers.
    Float(ArrayD<f64>),
    /// Integers.
    Int(ArrayD<i64>),
    /// Truth values.
    Bool(ArrayD<bool>),
    /// Text.
    Text(ArrayD<String>),
}

impl Constant {
    /// The kind of its entries.
    #[must_use]
    pub fn element(&self) -> Element {
        match self {
            Self::Float(_) => Element::Float,
            Self::Int(_) => Element::Int,
            Self::Bool(_) => Element::Bool,
            Self::Text(_) => Element::Text,
        }
    }

    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Float(x) => x.shape(),
            Self::Int(x) => x.shape(),
            Self::Bool(x) => x.shape(),
            Self::Text(x) => x.shape(),
        }
    }

    /// Whether a constant of the file counts as a weight: real numbers that are more than one number.
    pub(crate) fn is_weight(&self) -> bool {
        matches!(self, Self::Float(x) if x.ndim() > 0)
    }

    /// Its entries as numbers; `None` for text.
    #[must_use]
    pub fn numbers(&self) -> Option<ArrayD<f64>> {
        Some(match self {
            Self::Float(x) => x.clone(),
            Self::Int(x) => x.mapv(|v| v as f64),
            Self::Bool(x) => x.mapv(|v| f64::from(u8::from(v))),
            Self::Text(_) => return None,
        })
    }

    /// Puts ±2^30 in the place of real numbers that fixed point does not hold, of 2^44 and more: infinite masks, and those of
    /// the least float, only have to win. How many there were.
    pub fn saturate(&mut self) -> usize {
        let Self::Float(x) = self else { return 0 };
        let mut count = 0;
        for v in x.iter_mut().filter(|v| v.abs() >= BEYOND) {
            *v = SATURATION.copysign(*v);
            count += 1;
        }
        count
    }

    /// Its entries as integers; `None` for real numbers and text.
    #[must_use]
    pub fn integers(&self) -> Option<ArrayD<i64>> {
        match self {
            Self::Int(x) => Some(x.clone()),
            Self::Bool(x) => Some(x.mapv(i64::from)),
            Self::Float(_) | Self::Text(_) => None,
        }
    }

    /// Numbers as entries of a kind; `None` for text.
    pub(crate) fn of_numbers(element: Element, x: &ArrayD<f64>) -> Option<Self> {
        Some(match element {
            Element::Float => Self::Float(x.clone()),
            Element::Int => Self::Int(x.mapv(|v| v.round() as i64)),
            Element::Bool => Self::Bool(x.mapv(|v| v != 0.0)),
            Element::Text => return None,
        })
    }

    /// A tensor of one axis.
    pub(crate) fn ints(values: impl IntoIterator<Item = i64>) -> Self {
        Self::Int(ndarray::Array1::from_iter(values).into_dyn())
    }

    /// A tensor of no axes.
    pub(crate) fn int(value: i64) -> Self {
        Self::Int(ndarray::arr0(value).into_dyn())
    }

    /// Rearranges it as an engine would.
    ///
    /// # Errors
    /// Where the layout does not fit its shape.
    pub(crate) fn layout(&self, layout: &Layout) -> Result<Self> {
        Ok(match self {
            Self::Float(x) => Self::Float(layout.apply(x)?),
            Self::Int(x) => Self::Int(layout.apply(x)?),
            Self::Bool(x) => Self::Bool(by_position(x, layout)?),
            Self::Text(x) => Self::Text(by_position(x, layout)?),
        })
    }

    /// Joins tensors of one kind along an axis; `None` where kinds or shapes do not fit.
    pub(crate) fn concat(axis: usize, parts: &[&Self]) -> Option<Self> {
        fn join<'a, T: Clone + 'a>(
            axis: usize,
            parts: &[&'a Constant],
            pick: impl Fn(&'a Constant) -> Option<&'a ArrayD<T>>,
        ) -> Option<ArrayD<T>> {
            let parts = parts.iter().map(|part| pick(part));
            let views: Vec<_> = parts.map(|x| Some(x?.view())).collect::<Option<_>>()?;
            let rank = views.first()?.ndim();
            let fits = axis < rank && views.iter().all(|x| x.ndim() == rank);
            fits.then(|| ndarray::concatenate(Axis(axis), &views).ok())?
        }
        Some(match parts.first()? {
            Self::Float(_) => Self::Float(join(axis, parts, |x| match x {
                Self::Float(x) => Some(x),
                _ => None,
            })?),
            Self::Int(_) => Self::Int(join(axis, parts, |x| match x {
                Self::Int(x) => Some(x),
                _ => None,
            })?),
            Self::Bool(_) => Self::Bool(join(axis, parts, |x| match x {
                Self::Bool(x) => Some(x),
                _ => None,
            })?),
            Self::Text(_) => Self::Text(join(axis, parts, |x| match x {
                Self::Text(x) => Some(x),
                _ => None,
            })?),
        })
    }
}

/// Moves entries that cannot be added: the layout is applied to their positions.
fn by_position<T: Clone>(x: &ArrayD<T>, layout: &Layout) -> Result<ArrayD<T>> {
    let entries: Vec<&T> = x.iter().collect();
    let mut position = 0usize;
    let positions = ArrayD::from_shape_simple_fn(IxDyn(x.shape()), || {
        position += 1;
        position - 1
    });
    Ok(layout.apply(&positions)?.mapv(|k| entries[k].clone()))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn text_moves_like_numbers() {
        let words = array![["a", "b"], ["c", "d"]].mapv(String::from).into_dyn();
        let numbers = array![[0i64, 1], [2, 3]].into_dyn();
        for layout in [
            Layout::Transpose(vec![1, 0]),
            Layout::Gather {
                axis: 1,
                index: vec![1, 1, 0],
            },
            Layout::Broadcast(vec![2, 2, 2]),
        ] {
            let moved = Constant::Int(numbers.clone()).layout(&layout).unwrap();
            let want = moved
                .integers()
                .unwrap()
                .mapv(|k| ["a", "b", "c", "d"][k as usize].to_string());
            let got = Constant::Text(words.clone()).layout(&layout).unwrap();
            assert_eq!(got, Constant::Text(want));
        }
    }

    #[test]
    fn what_no_word_holds_is_saturated() {
        let least = f64::from(f32::MIN);
        let mut mask = Constant::Float(array![0.0, f64::NEG_INFINITY, least, 1e13].into_dyn());
        assert_eq!(mask.saturate(), 2);
        let far = -f64::from(1 << 30);
        assert_eq!(
            mask,
            Constant::Float(array![0.0, far, far, 1e13].into_dyn())
        );
        assert_eq!(Constant::ints([i64::MIN]).saturate(), 0);
    }

    #[test]
    fn only_equal_kinds_and_shapes_are_joined() {
        let (a, b) = (Constant::ints([1, 2]), Constant::ints([3]));
        assert_eq!(
            Constant::concat(0, &[&a, &b]),
            Some(Constant::ints([1, 2, 3]))
        );
        assert_eq!(Constant::concat(1, &[&a, &b]), None);
        assert_eq!(Constant::concat(0, &[&a, &Constant::int(3)]), None);
        let c = Constant::Bool(array![true].into_dyn());
        assert_eq!(Constant::concat(0, &[&a, &c]), None);
        assert_eq!(Constant::concat(0, &[]), None);
    }
}
