//! Carries by prefix trees over bit planes (Ladner, Fischer 1980; Sklansky 1960), and other trees of conjunctions, over any
//! sharing of bits.
//!
//! A position generates a carry (g) or hands one on (p); two neighbouring groups merge to (g_high ⊕ p_high·g_low, p_high·p_low).
//! The lowest group needs no p. All conjunctions of a level are one call.

use tacit_mpc::Result;

/// What a party holds of planes of shared bits: components that are alike.
pub(crate) trait BitShares: Clone {
    /// The components.
    fn components(&self) -> impl Iterator<Item = &Vec<u64>>;

    /// From all components.
    fn of(components: impl Iterator<Item = Vec<u64>>) -> Self;

    /// The same local map on each.
    fn map(&self, f: impl Fn(&[u64]) -> Vec<u64>) -> Self {
        Self::of(self.components().map(|x| f(x)))
    }

    /// The same local map of each two.
    fn map_with(&self, other: &Self, f: impl Fn(&[u64], &[u64]) -> Vec<u64>) -> Self {
        Self::of(
            self.components()
                .zip(other.components())
                .map(|(x, y)| f(x, y)),
        )
    }

    /// Words of each component.
    fn words(&self) -> usize {
        self.components().next().map_or(0, Vec::len)
    }

    /// Planes of `words` words each that lie one after the other.
    fn split(&self, words: usize) -> Vec<Self> {
        let planes = self.words().checked_div(words).unwrap_or(0);
        (0..planes)
            .map(|k| self.map(|x| x[k * words..][..words].to_vec()))
            .collect()
    }

    /// Planes one after the other.
    fn joined<'a>(planes: impl Iterator<Item = &'a Self> + Clone) -> Self
    where
        Self: 'a,
    {
        let count = planes.clone().next().map_or(0, |x| x.components().count());
        Self::of((0..count).map(|k| {
            let mut flat = Vec::new();
            let parts = planes.clone().filter_map(|x| x.components().nth(k));
            parts.for_each(|x| flat.extend_from_slice(x));
            flat
        }))
    }
}

/// x ⊕ y.
fn xor<B: BitShares>(x: &B, y: &B) -> B {
    x.map_with(y, |x, y| x.iter().zip(y).map(|(x, y)| x ^ y).collect())
}

/// x ∧ y for each pair of planes of `words` words, by one call of `and`.
async fn ands<B: BitShares>(
    words: usize,
    gates: &[(B, B)],
    and: &impl AsyncFn(&B, &B) -> Result<B>,
) -> Result<Vec<B>> {
    if gates.is_empty() {
        return Ok(Vec::new());
    }
    let (x, y) = (
        B::joined(gates.iter().map(|g| &g.0)),
        B::joined(gates.iter().map(|g| &g.1)),
    );
    Ok(and(&x, &y).await?.split(words))
}

/// The conjunction of all planes, of which there is at least one: one gate less than there are planes, ⌈log2⌉ rounds.
pub(crate) async fn all<B: BitShares>(
    words: usize,
    mut planes: Vec<B>,
    and: &impl AsyncFn(&B, &B) -> Result<B>,
) -> Result<B> {
    while planes.len() > 1 {
        let odd = (planes.len() % 2 == 1).then(|| planes.pop()).flatten();
        let pairs: Vec<_> = planes
            .chunks_exact(2)
            .map(|p| (p[0].clone(), p[1].clone()))
            .collect();
        planes = ands(words, &pairs, and).await?;
        planes.extend(odd);
    }
    Ok(planes.swap_remove(0))
}

/// A group of positions.
#[derive(Clone)]
pub(crate) struct Group<B> {
    /// Whether it generates a carry.
    pub(crate) g: B,
    /// Whether it hands one on.
    pub(crate) p: B,
}

/// (high, low) merged for each pair; where `p` is false the result's p is left as it was.
async fn merge<B: BitShares>(
    words: usize,
    pairs: &[(&Group<B>, &Group<B>, bool)],
    and: &impl AsyncFn(&B, &B) -> Result<B>,
) -> Result<Vec<Group<B>>> {
    let carries = pairs.iter().map(|(h, l, _)| (h.p.clone(), l.g.clone()));
    let hands = pairs.iter().filter(|(.., both)| *both);
    let hands = hands.map(|(h, l, _)| (h.p.clone(), l.p.clone()));
    let gates: Vec<_> = carries.chain(hands).collect();
    let mut z = ands(words, &gates, and).await?;
    let mut hands = z.split_off(pairs.len()).into_iter();
    let merged = pairs.iter().zip(z).map(|((high, _, both), z)| {
        let p = if *both { hands.next() } else { None };
        Group {
            g: xor(&high.g, &z),
            p: p.unwrap_or_else(|| high.p.clone()),
        }
    });
    Ok(merged.collect())
}

/// The carry out of all positions, whose planes g and p lie one after the other, lowest first: 2(n - 1) - ⌈log2 n⌉ gates and
/// ⌈log2 n⌉ rounds for n positions, at least one.
pub(crate) async fn carry<B: BitShares>(
    words: usize,
    mut g: B,
    mut p: B,
    and: &impl AsyncFn(&B, &B) -> Result<B>,
) -> Result<B> {
    loop {
        let n = g.words() / words;
        if n <= 1 {
            return Ok(g);
        }
        let (pairs, odd) = (n / 2, n % 2 == 1);
        // For every pair p_high·g_low; for all but the lowest p_high·p_low as well.
        let x = p.map(|p| gather(words, high(0..pairs).chain(high(1..pairs)).map(|k| (p, k))));
        let y = g.map_with(&p, |g, p| {
            let lows = (0..pairs).map(|i| (g, 2 * i));
            gather(words, lows.chain((1..pairs).map(|i| (p, 2 * i))))
        });
        let z = and(&x, &y).await?;
        p = p.map_with(&z, |p, z| {
            // The lowest p is never read.
            let hands = (0..1).chain(pairs..2 * pairs - 1).map(|k| (z, k));
            gather(words, hands.chain(odd.then_some((p, n - 1))))
        });
        g = g.map_with(&z, |g, z| {
            let mut merged = gather(
                words,
                high(0..pairs).chain(odd.then_some(n - 1)).map(|k| (g, k)),
            );
            let carries = z[..pairs * words].iter();
            merged.iter_mut().zip(carries).for_each(|(g, z)| *g ^= z);
            merged
        });
    }
}

/// The upper positions of pairs.
fn high(pairs: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
    pairs.map(|i| 2 * i + 1)
}

/// Planes of so many words, each from one of several vectors, one after the other.
fn gather<'a>(words: usize, planes: impl Iterator<Item = (&'a [u64], usize)>) -> Vec<u64> {
    let mut flat = Vec::with_capacity(words * planes.size_hint().0);
    planes.for_each(|(from, k)| flat.extend_from_slice(&from[k * words..][..words]));
    flat
}

/// The carry out of the groups up to and with each one, lowest first: Sklansky's tree, ⌈log2 n⌉ rounds.
pub(crate) async fn carries<B: BitShares>(
    words: usize,
    mut groups: Vec<Group<B>>,
    and: &impl AsyncFn(&B, &B) -> Result<B>,
) -> Result<Vec<B>> {
    let n = groups.len();
    let mut width = 1;
    while width < n {
        let upper: Vec<usize> = (0..n).filter(|i| i / width % 2 == 1).collect();
        let pairs: Vec<_> = upper
            .iter()
            // A prefix that begins at the lowest group hands nothing on.
            .map(|&i| {
                let low = i / width * width - 1;
                (&groups[i], &groups[low], i >= 2 * width)
            })
            .collect();
        let merged = merge(words, &pairs, and).await?;
        for (i, group) in upper.into_iter().zip(merged) {
            groups[i] = group;
        }
        width *= 2;
    }
    Ok(groups.into_iter().map(|g| g.g).collect())
}

/// Each segment of neighbouring groups, at least one, merged to one: about two gates a group, ⌈log2⌉ rounds for the longest. Where
/// `lowest` says that the first segment begins at the lowest position, its p is not computed.
pub(crate) async fn segments<B: BitShares>(
    words: usize,
    mut segments: Vec<Vec<Group<B>>>,
    lowest: bool,
    and: &impl AsyncFn(&B, &B) -> Result<B>,
) -> Result<Vec<Group<B>>> {
    while segments.iter().any(|groups| groups.len() > 1) {
        let mut pairs = Vec::new();
        for (s, groups) in segments.iter().enumerate() {
            let two = groups.chunks_exact(2).enumerate();
            pairs.extend(two.map(|(k, g)| (&g[1], &g[0], !lowest || s + k > 0)));
        }
        let mut merged = merge(words, &pairs, and).await?.into_iter();
        for groups in &mut segments {
            let odd = (groups.len() % 2 == 1).then(|| groups.pop()).flatten();
            let two = merged.by_ref().take(groups.len() / 2);
            *groups = two.chain(odd).collect();
        }
    }
    Ok(segments.into_iter().flatten().collect())
}

/// The conjunction of the planes up to and with each one: Sklansky's tree.
pub(crate) async fn prefixes<B: BitShares>(
    words: usize,
    mut planes: Vec<B>,
    and: &impl AsyncFn(&B, &B) -> Result<B>,
) -> Result<Vec<B>> {
    let n = planes.len();
    let mut width = 1;
    while width < n {
        let upper: Vec<usize> = (0..n).filter(|i| i / width % 2 == 1).collect();
        let pairs: Vec<_> = upper
            .iter()
            .map(|&i| (planes[i].clone(), planes[i / width * width - 1].clone()))
            .collect();
        for (&i, merged) in upper.iter().zip(ands(words, &pairs, and).await?) {
            planes[i] = merged;
        }
        width *= 2;
    }
    Ok(planes)
}
