//! Sets that are joined: a disjoint-set forest.

/// Elements 0, 1, … in sets; each points to another of its set, or is its root.
#[derive(Default)]
pub(crate) struct Forest(Vec<usize>);

impl Forest {
    /// One more element, in a set of its own.
    pub(crate) fn add(&mut self) -> usize {
        self.0.push(self.0.len());
        self.0.len() - 1
    }

    /// Which element stands for the set that this one is in.
    pub(crate) fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            // Paths are halved on the way (Tarjan and van Leeuwen, J. ACM 1984).
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    /// Puts the set of `root`, which is one, into that of `into`, which is another: that stands for both.
    pub(crate) fn join(&mut self, root: usize, into: usize) {
        self.0[root] = into;
    }

    /// Those that stand for their sets.
    pub(crate) fn roots(&self) -> impl Iterator<Item = usize> {
        let all = self.0.iter().enumerate();
        all.filter(|(k, of)| k == *of).map(|(k, _)| k)
    }
}

#[cfg(test)]
mod tests {
    use super::Forest;

    #[test]
    fn a_long_chain_is_shortened_when_it_is_walked() {
        let mut forest = Forest::default();
        let count = 1 << 16;
        (0..count).for_each(|_| {
            forest.add();
        });
        for k in 1..count {
            forest.join(k - 1, k);
        }
        assert_eq!(forest.roots().collect::<Vec<_>>(), [count - 1]);
        let mut steps = Vec::new();
        for _ in 0..18 {
            assert_eq!(forest.root(0), count - 1);
            let (mut at, mut walked) = (0, 0_usize);
            while forest.0[at] != at {
                (at, walked) = (forest.0[at], walked + 1);
            }
            steps.push(walked);
        }
        assert_eq!(steps[0], count / 2, "halved: {steps:?}");
        assert_eq!(steps[17], 1, "{steps:?}");
    }
}
