//! Bristol Fashion files (<https://nigelsmart.github.io/MPC-Circuits/>).
//!
//! ```text
//! gates wires
//! inputs bits bits …
//! outputs bits bits …
//!
//! 2 1 3 4 5 XOR          operands, results, the wires of both, what it is
//! ```
//! Gates: `XOR`, `AND`, `INV`, `EQ` (its operand is the constant 0 or 1), `EQW` (a copy), `MAND` (k conjunctions: the left
//! operands, the right ones, the results). The older "Bristol format", whose second line names the bits of two inputs and of an
//! output, is refused by name.

use crate::circuit::{Circuit, Gate, Wire};

/// Most wires and gates, some gigabytes of memory: circuits of which the largest in use have a hundredth.
const MOST: usize = 1 << 26;

/// A file is no circuit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: String,
}

/// A line with its number, cut into words.
struct Line<'a> {
    number: usize,
    words: Vec<&'a str>,
}

impl Line<'_> {
    fn error(&self, why: impl Into<String>) -> ParseError {
        ParseError {
            line: self.number,
            why: why.into(),
        }
    }

    fn number(&self, at: usize) -> Result<usize, ParseError> {
        let word = self.words.get(at);
        let word = word.ok_or_else(|| self.error("the line ends too early"))?;
        let number = word.parse().ok().filter(|&n: &usize| n <= MOST);
        number.ok_or_else(|| self.error(format!("{word:?} is no number from 0 to {MOST}")))
    }

    /// A count and as many numbers: all of the line.
    fn list(&self) -> Result<Vec<usize>, ParseError> {
        let count = self.number(0)?;
        if self.words.len() != count.saturating_add(1) {
            let found = self.words.len() - 1;
            return Err(self.error(format!("it announces {count} numbers and has {found}")));
        }
        (1..=count).map(|at| self.number(at)).collect()
    }
}

/// Which wires are set.
struct Wires {
    set: Vec<bool>,
}

impl Wires {
    fn read(&self, line: &Line<'_>, at: usize) -> Result<Wire, ParseError> {
        let wire = line.number(at)?;
        match self.set.get(wire) {
            Some(true) => Ok(wire as Wire),
            Some(false) => Err(line.error(format!("wire {wire} is read before it is set"))),
            None => Err(line.error(format!("there is no wire {wire} among {}", self.set.len()))),
        }
    }

    fn write(&mut self, line: &Line<'_>, at: usize) -> Result<Wire, ParseError> {
        let wire = line.number(at)?;
        let count = self.set.len();
        match self.set.get_mut(wire) {
            Some(set) if !*set => {
                *set = true;
                Ok(wire as Wire)
            }
            Some(_) => Err(line.error(format!("wire {wire} is set twice"))),
            None => Err(line.error(format!("there is no wire {wire} among {count}"))),
        }
    }
}

impl Circuit {
    /// Reads a Bristol Fashion file.
    ///
    /// # Errors
    /// The line and what is wrong there: an unknown gate, a wire that is read before it is set, set twice or never, counts that
    /// do not fit.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let lines = text.lines().zip(1..).map(|(line, number)| Line {
            number,
            words: line.split_whitespace().collect(),
        });
        let mut lines = lines.filter(|line| !line.words.is_empty());
        let missing = || ParseError {
            line: text.lines().count() + 1,
            why: "the file ends before its circuit".into(),
        };
        let head = lines.next().ok_or_else(missing)?;
        let (announced, wires) = (head.number(0)?, head.number(1)?);
        if head.words.len() != 2 {
            return Err(head.error("the first line has two numbers: gates and wires"));
        }
        let line = lines.next().ok_or_else(missing)?;
        if line.words.len() == 3 && line.number(0)? != 2 {
            return Err(line.error(
                "this is the older Bristol format: take the file in Bristol Fashion, whose second line begins with the number \
                 of inputs",
            ));
        }
        let inputs = line.list()?;
        let bits: usize = inputs.iter().sum();
        if bits > wires {
            return Err(line.error(format!("inputs of {bits} bits, and {wires} wires")));
        }
        let line = lines.next().ok_or_else(missing)?;
        let outputs = line.list()?;
        let out: usize = outputs.iter().sum();
        if out > wires {
            return Err(line.error(format!("outputs of {out} bits, and {wires} wires")));
        }
        let mut set = Wires {
            set: (0..wires).map(|wire| wire < bits).collect(),
        };
        let (mut gates, mut found, mut last) = (Vec::new(), 0, line.number);
        for line in lines {
            last = line.number;
            found += 1;
            gate(&line, &mut set, &mut gates)?;
        }
        let end = |why: String| Err(ParseError { line: last, why });
        if found != announced {
            return end(format!(
                "the first line announces {announced} gates, and there are {found}"
            ));
        }
        if let Some(wire) = set.set.iter().position(|set| !set) {
            return end(format!("wire {wire} is never set"));
        }
        Ok(Self {
            wires,
            inputs,
            outputs,
            gates,
        })
    }
}

/// The gates of a line.
fn gate(line: &Line<'_>, wires: &mut Wires, gates: &mut Vec<Gate>) -> Result<(), ParseError> {
    let (operands, results) = (line.number(0)?, line.number(1)?);
    let name = line.words[line.words.len() - 1];
    if line.words.len() != operands + results + 3 {
        let found = line.words.len().saturating_sub(3);
        return Err(line.error(format!(
            "{operands} operands and {results} results, but {found} wires"
        )));
    }
    let wrong = |takes: &str| line.error(format!("{name} takes {takes}"));
    match (name, operands, results) {
        ("XOR", 2, 1) | ("AND", 2, 1) => {
            let of = [wires.read(line, 2)?, wires.read(line, 3)?];
            let out = wires.write(line, 4)?;
            gates.push(match name {
                "XOR" => Gate::Xor { of, out },
                _ => Gate::And { of, out },
            });
        }
        ("INV", 1, 1) => {
            let of = wires.read(line, 2)?;
            let out = wires.write(line, 3)?;
            gates.push(Gate::Not { of, out });
        }
        ("EQW", 1, 1) => {
            let of = wires.read(line, 2)?;
            let out = wires.write(line, 3)?;
            gates.push(Gate::Copy { of, out });
        }
        ("EQ", 1, 1) => {
            let bit = match line.number(2)? {
                0 => false,
                1 => true,
                other => return Err(line.error(format!("EQ sets 0 or 1, not {other}"))),
            };
            let out = wires.write(line, 3)?;
            gates.push(Gate::Constant { bit, out });
        }
        ("MAND", _, k) if operands == 2 * k => {
            // All read before any is set: they run side by side.
            let of: Vec<[Wire; 2]> = (0..k)
                .map(|i| Ok([wires.read(line, 2 + i)?, wires.read(line, 2 + k + i)?]))
                .collect::<Result<_, _>>()?;
            for (of, at) in of.into_iter().zip(2 + 2 * k..) {
                let out = wires.write(line, at)?;
                gates.push(Gate::And { of, out });
            }
        }
        ("XOR" | "AND", ..) => return Err(wrong("two operands and gives one result")),
        ("INV" | "EQ" | "EQW", ..) => return Err(wrong("one operand and gives one result")),
        ("MAND", ..) => return Err(wrong("twice as many operands as it gives results")),
        _ => {
            return Err(line.error(format!(
                "there is no gate {name:?}: XOR, AND, INV, EQ, EQW or MAND"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_ADDER: &str = "2 4\n2 1 1\n1 2\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n";

    #[test]
    fn a_file_becomes_a_circuit() {
        let circuit = Circuit::parse(HALF_ADDER).unwrap();
        assert_eq!(
            (circuit.inputs(), circuit.outputs()),
            (&[1, 1][..], &[2][..])
        );
        assert_eq!((circuit.gates().len(), circuit.ands()), (2, 1));
        // Other ends of lines, spaces and blank lines.
        let spaced = HALF_ADDER.replace('\n', " \r\n\r\n").replace(' ', "  ");
        assert_eq!(Circuit::parse(&spaced), Ok(circuit));
    }

    #[test]
    fn every_gate_of_the_format_is_read() {
        let text = "5 8\n1 3\n1 2\n\n1 1 1 3 EQ\n1 1 0 4 EQW\n1 1 1 5 INV\n4 2 0 1 2 3 6 7 MAND\n";
        let error = Circuit::parse(text).unwrap_err();
        assert_eq!((error.line, error.why.contains("5 gates")), (8, true));
        let circuit = Circuit::parse(&text.replace("5 8", "4 8")).unwrap();
        assert_eq!(circuit.gates()[3], Gate::And { of: [0, 2], out: 6 });
        assert_eq!(circuit.gates()[4], Gate::And { of: [1, 3], out: 7 });
        assert_eq!(circuit.gates()[0], Gate::Constant { bit: true, out: 3 });
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let told = |from: &str, to: &str| {
            let text = HALF_ADDER.replacen(from, to, 1);
            assert_ne!(text, HALF_ADDER);
            Circuit::parse(&text).unwrap_err().to_string()
        };
        for (from, to, line, why) in [
            ("2 4\n", "3 4\n", 6, "announces 3 gates"),
            ("2 4\n", "2 5\n", 6, "wire 4 is never set"),
            ("2 4\n", "2 4 1\n", 1, "two numbers"),
            ("2 4\n", "2 99999999999\n", 1, "no number"),
            ("2 1 1\n", "2 1 9\n", 2, "10 bits"),
            ("2 1 1\n", "32 32 33\n", 2, "older Bristol format"),
            ("1 2\n", "1 7\n", 3, "7 bits"),
            ("1 2\n", "2 2\n", 3, "announces 2 numbers and has 1"),
            ("0 1 2 XOR", "0 3 2 XOR", 5, "wire 3 is read before"),
            ("0 1 2 XOR", "0 1 1 XOR", 5, "wire 1 is set twice"),
            ("0 1 2 XOR", "0 4 2 XOR", 5, "no wire 4"),
            ("0 1 2 XOR", "0 1 2 NAND", 5, "no gate \"NAND\""),
            ("2 1 0 1 2 XOR", "1 1 0 2 XOR", 5, "takes two operands"),
            ("2 1 0 1 2 XOR", "2 1 0 2 XOR", 5, "but 2 wires"),
            ("2 1 0 1 2 XOR", "1 1 2 2 EQ", 5, "not 2"),
            ("2 1 0 1 2 XOR", "x", 5, "no number"),
            ("2 1 0 1 2 XOR", "2", 5, "ends too early"),
        ] {
            let told = told(from, to);
            let begins = told.starts_with(&format!("line {line}: "));
            assert!(begins && told.contains(why), "{to:?}: {told}");
        }
        for cut in ["", "2 4", "2 4\n2 1 1\n"] {
            assert!(Circuit::parse(cut).is_err());
        }
    }
}
