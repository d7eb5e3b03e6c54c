//! Prefix computations: which items to combine, level by level.

/// One combination: an item and the prefixes before it, the first one first.
pub(super) type Step = (usize, Vec<usize>);

/// The levels after which item i holds the combination of items 0 ..= i, for `n` items: Sklansky's prefix tree (1960) with
/// three branches, ⌈log3 n⌉ levels. All steps of a level read what the level before has left.
pub(super) fn levels(n: usize) -> Vec<Vec<Step>> {
    const RADIX: usize = 3;
    let mut levels = Vec::new();
    let mut width = 1;
    while width < n {
        let step = |i: usize| {
            let base = i - i % (width * RADIX);
            let before = i % (width * RADIX) / width;
            (before > 0).then(|| (i, (1..=before).map(|k| base + k * width - 1).collect()))
        };
        levels.push((0..n).filter_map(step).collect());
        width *= RADIX;
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_gathers_all_before_it_in_order() {
        for n in 1..60 {
            let mut items: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
            for level in levels(n) {
                let before = items.clone();
                for (i, lows) in level {
                    items[i] = lows.iter().flat_map(|&l| before[l].clone()).collect();
                    items[i].extend(&before[i]);
                }
            }
            for (i, item) in items.iter().enumerate() {
                assert_eq!(*item, (0..=i).collect::<Vec<_>>(), "{n} items");
            }
        }
        assert_eq!(levels(9).len(), 2);
    }
}
