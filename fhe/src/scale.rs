//! Where values stand on the torus: a value a of a node is encrypted as a·2^64/T, T even and the same for all values of
//! a node.
//!
//! T follows from what becomes of the values. A lookup modulo M needs T = M, for then wrapping around the torus is
//! wrapping modulo M. Results with R values need T > R. What lookups over intervals need, and how many bootstraps they
//! take on which torus, their plans say. Linear nodes have the T of what they add up, since weights are integers. So
//! nodes that linear nodes tie together share a T, one that all of them accept; where two of them need different moduli
//! there is none.

use std::collections::{BTreeMap, HashMap};

use crate::LoadError;
use crate::forest::Forest;
use crate::lower::plan::{Frame, Plan, Reach};
use crate::lower::profile::Profiles;
use crate::params::Params;
use crate::program::{Domain, Node, Program, Source};

/// T of the input and of every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scales {
    input: u64,
    nodes: Vec<u64>,
}

/// Why there is no common scale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "node {node} needs its values modulo {wanted}, but they are tied by sums to values that are needed modulo {other}; \
     give them the same modulus, or look one of them up in between"
)]
pub struct ScaleError {
    node: usize,
    wanted: u64,
    other: u64,
}

/// Plans of intervals, each made once.
pub(crate) struct Plans<'a> {
    program: &'a Program,
    profiles: &'a Profiles,
    reach: Reach,
    params: &'a Params,
    known: HashMap<(usize, u64), Option<Plan>>,
}

impl<'a> Plans<'a> {
    /// For rotations of a parameter set that are asked for so much.
    pub(crate) fn new(
        program: &'a Program,
        profiles: &'a Profiles,
        reach: Reach,
        params: &'a Params,
    ) -> Self {
        Self {
            program,
            profiles,
            reach,
            params,
            known: HashMap::new(),
        }
    }

    /// What to do with values of a profile on a torus of `torus` units: one plan for all tables, or one for each, by their
    /// profiles. None if neither is possible.
    pub(crate) fn plan(&mut self, profile: usize, torus: u64) -> Option<Vec<(usize, Plan)>> {
        let profiles = self.profiles;
        let together = self.one(profile, torus).map(|plan| vec![(profile, plan)]);
        let apart = &profiles.all[profile].apart;
        if apart.is_empty() {
            return together;
        }
        let apart = apart.iter().map(|&k| Some((k, self.one(k, torus)?)));
        let apart = apart.collect::<Option<Vec<_>>>();
        let all = [together, apart].into_iter().flatten();
        all.min_by_key(|plans| cost(plans))
    }

    fn one(&mut self, profile: usize, torus: u64) -> Option<Plan> {
        let frame = Frame {
            torus,
            reach: self.reach,
            size: self.params.polynomial_size(),
        };
        let make = || Plan::of(self.program, &self.profiles.all[profile], frame);
        let plan = self.known.entry((profile, torus)).or_insert_with(make);
        plan.clone()
    }

    /// How many bootstraps that takes.
    fn cost(&mut self, profile: usize, torus: u64) -> Option<usize> {
        Some(cost(&self.plan(profile, torus)?))
    }
}

fn cost(plans: &[(usize, Plan)]) -> usize {
    plans.iter().map(|(_, plan)| plan.bootstraps()).sum()
}

/// What the members of a group ask of their T.
#[derive(Clone, Default)]
struct Need {
    /// How many values results can take, and one more.
    at_least: u64,
    exactly: Option<u64>,
    /// How many values are of which profile.
    profiles: BTreeMap<usize, usize>,
}

impl Need {
    fn exactly(&mut self, modulus: u64, node: usize) -> Result<(), ScaleError> {
        let other = *self.exactly.get_or_insert(modulus);
        let wanted = modulus;
        (other == modulus).then_some(()).ok_or(ScaleError {
            node,
            wanted,
            other,
        })
    }

    /// The T that takes the fewest bootstraps.
    fn torus(&self, plans: &mut Plans<'_>, last: usize) -> Result<u64, LoadError> {
        let profiles = plans.profiles;
        let widths = self.profiles.keys().map(|&k| profiles.all[k].width);
        let widest = widths.max().unwrap_or(1);
        if let Some(modulus) = self.exactly {
            if self.at_least > modulus {
                let (node, wanted) = (last, self.at_least);
                let other = modulus;
                return Err(ScaleError {
                    node,
                    wanted,
                    other,
                }
                .into());
            }
            for &k in self.profiles.keys() {
                if plans.plan(k, modulus).is_none() {
                    let (profile, other) = (&profiles.all[k], modulus);
                    let (node, wanted) = (profile.node, 2 * profile.width);
                    return Err(ScaleError {
                        node,
                        wanted,
                        other,
                    }
                    .into());
                }
            }
            return Ok(modulus);
        }
        let least = self.at_least.max(2);
        let padded = least.max(2 * widest);
        if self.profiles.is_empty() || padded <= plans.reach.boxes {
            return Ok(if self.profiles.is_empty() {
                least
            } else {
                padded
            });
        }
        let least = least.max(widest);
        let octaves = (0..44).flat_map(|s| {
            let most = plans.reach.boxes;
            (1..=most)
                .filter(move |m| m % 2 == 0 && 2 * m > most)
                .map(move |m| m << s)
        });
        let tori: Vec<u64> = octaves
            .filter(|t| (least..=plans.reach.room * least).contains(t))
            .collect();
        let mut best: Option<(usize, u64)> = None;
        for &torus in &tori {
            let costs = self
                .profiles
                .iter()
                .map(|(&k, count)| Some(count * plans.cost(k, torus)?));
            let Some(cost) = costs.sum::<Option<usize>>() else {
                continue;
            };
            best = Some(best.map_or((cost, torus), |best| best.min((cost, torus))));
        }
        if let Some((_, torus)) = best {
            return Ok(torus);
        }
        // The first that no torus suits; or, if they only do not suit together, the widest.
        let mut culprit = self
            .profiles
            .keys()
            .copied()
            .max_by_key(|&k| profiles.all[k].width);
        for &k in self.profiles.keys() {
            if tori.iter().all(|&torus| plans.plan(k, torus).is_none()) {
                culprit = Some(k);
                break;
            }
        }
        let profile = &profiles.all[culprit.unwrap_or(0)];
        Err(LoadError::Wide {
            node: profile.node,
            value: profile.value,
            width: profile.width,
            params: plans.params.name(),
        })
    }
}

impl Scales {
    /// # Errors
    /// If nodes that share a T need different ones, or a value is too wide for its tables.
    pub(crate) fn of(program: &Program, plans: &mut Plans<'_>) -> Result<Self, LoadError> {
        let nodes = &program.parts().nodes;
        // Element 0 is the input, element k + 1 node k.
        let mut groups = Forest::default();
        (0..=nodes.len()).for_each(|_| {
            groups.add();
        });
        for (k, node) in nodes.iter().enumerate() {
            let Node::Linear(linear) = node else { continue };
            for term in linear.rows.iter().flat_map(|row| &row.terms) {
                let [a, b] = [element(term.source), k + 1].map(|at| groups.root(at));
                if a != b {
                    groups.join(a, b);
                }
            }
        }
        let mut needs = vec![Need::default(); nodes.len() + 1];
        for (k, node) in nodes.iter().enumerate() {
            let Node::Lookup(lookup) = node else { continue };
            let group = groups.root(lookup.node + 1);
            for (value, domain) in lookup.domains.iter().enumerate() {
                match *domain {
                    Domain::Interval { .. } => {
                        if let Some(&profile) = plans.profiles.of.get(&(k, value)) {
                            *needs[group].profiles.entry(profile).or_default() += 1;
                        }
                    }
                    Domain::Cyclic { modulus } => {
                        let positions = 2 * plans.params.polynomial_size() as u64;
                        if u64::from(modulus) > positions {
                            return Err(LoadError::Modulus {
                                node: k,
                                value,
                                modulus,
                                positions,
                                params: plans.params.name(),
                            });
                        }
                        needs[group].exactly(u64::from(modulus), k)?;
                    }
                }
            }
        }
        let last = nodes.len() - 1;
        let widest = program
            .result_ranges()
            .iter()
            .map(|range| range.count())
            .max();
        let group = groups.root(last + 1);
        needs[group].at_least = (widest.unwrap_or(1) + 1).next_multiple_of(2);
        let mut tori = vec![2; nodes.len() + 1];
        for (torus, need) in tori.iter_mut().zip(&needs) {
            *torus = need.torus(plans, last)?;
        }
        let mut torus = |at: usize| tori[groups.root(at)];
        Ok(Self {
            input: torus(0),
            nodes: (1..=nodes.len()).map(torus).collect(),
        })
    }

    /// T of a vector.
    pub(crate) fn torus(&self, source: Source) -> u64 {
        match source {
            Source::Input => self.input,
            Source::Node(k) => self.nodes[k],
        }
    }
}

fn element(source: Source) -> usize {
    match source {
        Source::Input => 0,
        Source::Node(k) => k + 1,
    }
}

/// round(a·2^64/T) modulo 2^64.
pub(crate) fn encode(a: i64, torus: u64) -> u64 {
    let a = i128::from(a).rem_euclid(i128::from(torus)) as u128;
    (((a << 64) + u128::from(torus) / 2) / u128::from(torus)) as u64
}

/// The a in -T/2 .. T/2 whose encoding is nearest.
pub(crate) fn decode(phase: u64, torus: u64) -> i64 {
    let scaled = i128::from(phase as i64) * i128::from(torus);
    let a = ((scaled + (1 << 63)) >> 64) as i64;
    // The upper end is the lower one, once around.
    if 2 * a >= torus as i64 {
        a - torus as i64
    } else {
        a
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn what_is_encoded_decodes_whatever_the_noise_in_its_box() {
        for torus in [2_u64, 6, 30, 32, 258, 1 << 20] {
            let half = (1_u128 << 63) / u128::from(torus);
            let low = -(torus as i64) / 2;
            for a in (low..-low).step_by(1 + torus as usize / 64) {
                for noise in [0, 1, half as u64 - 2] {
                    let at = encode(a, torus);
                    assert_eq!(decode(at.wrapping_add(noise), torus), a);
                    assert_eq!(decode(at.wrapping_sub(noise), torus), a);
                }
                assert_ne!(
                    decode(encode(a, torus).wrapping_add(half as u64 + 2), torus),
                    a
                );
            }
        }
    }
}
