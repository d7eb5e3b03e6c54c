//! From arrays in files to the inputs of a model.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tacit_nn::onnx::{Constant, Element, Port};

use crate::npy;

/// A name, where it has one, and an array.
type Named = (Option<String>, Constant);

/// The arrays of all files, in their order.
///
/// # Errors
/// Names the file that cannot be read, and says why.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Named>> {
    let mut arrays = Vec::new();
    for file in files {
        let bytes =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        arrays.extend(npy::read(&bytes).map_err(|e| told(file, &e))?);
    }
    Ok(arrays)
}

fn told(file: &Path, error: &npy::Error) -> anyhow::Error {
    anyhow::anyhow!("{} is not taken: {error}", file.display())
}

/// The array of each input: those that an archive names after one go there, the others fill the rest in order. Where no
/// array has the name of an input all are taken in order; besides named ones, arrays with foreign names are left out.
///
/// # Errors
/// Says how many arrays which inputs want.
pub(super) fn assign(arrays: Vec<Named>, ports: &[Port]) -> Result<Vec<Constant>> {
    let place = |name: &str| ports.iter().position(|port| port.name == name);
    let by_name = arrays
        .iter()
        .any(|(name, _)| name.as_deref().and_then(place).is_some());
    let mut slots: Vec<Option<Constant>> = vec![None; ports.len()];
    let mut in_order = Vec::new();
    let count = arrays.len();
    for (name, array) in arrays {
        match (name.as_deref().and_then(place), name) {
            (Some(k), Some(name)) => {
                ensure!(slots[k].is_none(), "two arrays are named {name}");
                slots[k] = Some(array);
            }
            (_, Some(_)) if by_name => (),
            _ => in_order.push(array),
        }
    }
    let mut in_order = in_order.into_iter();
    for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
        *slot = in_order.next();
    }
    let surplus = in_order.next().is_some();
    let given: Option<Vec<Constant>> = slots.into_iter().collect();
    match given {
        Some(given) if !surplus => Ok(given),
        _ => {
            let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
            bail!(
                "the model has {} inputs ({}), {count} arrays were given: give one --input for each, in this order",
                ports.len(),
                names.join(", ")
            )
        }
    }
}

/// An array in the kind of elements that an input takes.
///
/// # Errors
/// Text for numbers or the reverse, and fractions for integers.
pub(super) fn converted(array: Constant, port: &Port) -> Result<Constant> {
    let misfit = |given: &Constant| {
        format!(
            "input {} takes {} elements, its file holds {} elements",
            port.name,
            port.element,
            given.element()
        )
    };
    if array.element() == port.element {
        return Ok(array);
    }
    let Some(numbers) = array.numbers() else {
        bail!("{}", misfit(&array));
    };
    let whole = || {
        let integer = |x: &f64| x.fract() == 0.0 && x.abs() <= 2f64.powi(53);
        numbers.iter().all(integer)
    };
    Ok(match port.element {
        Element::Float => Constant::Float(numbers),
        Element::Int if whole() => Constant::Int(numbers.mapv(|x| x as i64)),
        Element::Bool if numbers.iter().all(|x| [0.0, 1.0].contains(x)) => {
            Constant::Bool(numbers.mapv(|x| x == 1.0))
        }
        _ => bail!("{}", misfit(&array)),
    })
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;

    fn port(name: &str, element: Element) -> Port {
        Port {
            name: name.into(),
            element,
            shape: Vec::new(),
            any_rank: true,
        }
    }

    fn array(x: f64) -> Constant {
        Constant::Float(arr1(&[x]).into_dyn())
    }

    #[test]
    fn arrays_go_by_name_then_by_order() {
        let ports = ["a", "b", "c"].map(|name| port(name, Element::Float));
        let named = |name: &str, x| (Some(name.to_owned()), array(x));
        let firsts = |arrays| {
            assign(arrays, &ports).map(|given| {
                given
                    .iter()
                    .filter_map(|x| x.numbers()?.first().copied())
                    .collect::<Vec<_>>()
            })
        };
        let by_name = vec![
            named("c", 3.0),
            named("y", 9.0),
            (None, array(1.0)),
            named("b", 2.0),
        ];
        assert_eq!(firsts(by_name).unwrap(), [1.0, 2.0, 3.0]);
        let by_order = vec![named("arr_0", 1.0), named("arr_1", 2.0), (None, array(3.0))];
        assert_eq!(firsts(by_order).unwrap(), [1.0, 2.0, 3.0]);
        let complaint = firsts(vec![(None, array(1.0))]).unwrap_err().to_string();
        assert!(
            complaint.contains("3 inputs (a, b, c), 1 arrays"),
            "{complaint}"
        );
        assert!(firsts(vec![(None, array(1.0)); 4]).is_err());
        assert!(firsts(vec![named("a", 1.0), named("a", 1.0)]).is_err());
    }

    #[test]
    fn elements_are_converted_where_nothing_is_lost() {
        let int = port("n", Element::Int);
        assert_eq!(
            converted(array(-3.0), &int).unwrap(),
            Constant::Int(arr1(&[-3]).into_dyn())
        );
        let complaint = converted(array(0.5), &int).unwrap_err().to_string();
        assert!(
            complaint.contains("input n takes integer elements, its file holds float"),
            "{complaint}"
        );
        let bool = port("b", Element::Bool);
        assert!(converted(array(1.0), &bool).is_ok() && converted(array(2.0), &bool).is_err());
        let text = Constant::Text(arr1(&["a".to_owned()]).into_dyn());
        assert!(converted(text, &bool).is_err());
    }
}
