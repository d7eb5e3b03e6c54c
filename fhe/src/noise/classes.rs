//! Summands in classes of common sources: deviations add up within a class, their squares between classes.

use std::collections::HashMap;

use crate::forest::Forest;

/// Classes that are joined where a summand has sources of several of them.
#[derive(Default)]
pub(super) struct Classes {
    /// Of summands.
    joined: Forest,
    /// The sum of a root's deviations.
    deviations: Vec<f64>,
    of: HashMap<usize, usize>,
}

impl Classes {
    /// A summand of this deviation, from these sources.
    pub(super) fn add(&mut self, deviation: f64, sources: &[usize]) {
        let mut class = self.joined.add();
        self.deviations.push(deviation);
        for &source in sources {
            let known = *self.of.entry(source).or_insert(class);
            let other = self.joined.root(known);
            if other != class {
                self.joined.join(class, other);
                self.deviations[other] += self.deviations[class];
                class = other;
            }
        }
    }

    /// Of the sum.
    pub(super) fn variance(&self) -> f64 {
        let roots = self.joined.roots();
        roots.map(|k| self.deviations[k].powi(2)).sum()
    }

    /// Of all summands, ascending.
    pub(super) fn sources(self) -> Vec<usize> {
        let mut sources: Vec<usize> = self.of.into_keys().collect();
        sources.sort_unstable();
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::Classes;

    #[test]
    fn deviations_add_up_where_there_is_a_common_source() {
        let mut classes = Classes::default();
        classes.add(1.0, &[1, 2]);
        classes.add(2.0, &[3]);
        assert_eq!(classes.variance(), 5.0);
        classes.add(4.0, &[4, 2]);
        assert_eq!(classes.variance(), 25.0 + 4.0);
        // One that joins two classes, and one without sources, which no other has to do with.
        classes.add(1.0, &[3, 4]);
        assert_eq!(classes.variance(), 64.0);
        classes.add(3.0, &[]);
        assert_eq!(classes.variance(), 73.0);
        assert_eq!(classes.sources(), [1, 2, 3, 4]);
    }
}
