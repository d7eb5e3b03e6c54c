//! A protocol of primitives that notes what it opens and what its messages should weigh, and looks at every correlation.

use std::cell::{Cell, RefCell};

use tacit_mpc::{PartyId, R64, Result, Session, Strand, Tensor};
use tacit_protocols::derived::{
    Bits, Circuit, Correlated, Correlation, Primitives, Shared, Term, Words, generate,
};

use tacit_add_a_protocol::Finished as Araki;

/// The protocol of Araki et al., watched at one party.
#[derive(Default)]
pub struct Watched {
    /// Whether correlations are opened after they were made and held against what they should be.
    pub look: bool,
    /// Whether P_0 makes all correlations and shares them: not secure, for the test that what a dealer would deal is what the
    /// engine needs.
    pub dealt: bool,
    /// Words that were opened, of the online phase and of making correlations.
    pub words: RefCell<Vec<u64>>,
    /// Bits that were opened, with how many there are of the last word of each plane.
    pub planes: RefCell<Vec<(u64, u32)>>,
    /// Bytes that all parties together sent by what the functions say.
    pub bytes: Cell<u64>,
}

impl Watched {
    fn weigh(&self, bytes: u64) {
        self.bytes.update(|all| all + bytes);
    }

    fn weigh_bits(&self, strand: &Strand<'_>, planes: usize, parties: usize) {
        // Each message is packed by itself.
        self.weigh(parties as u64 * (planes * strand.chunk().len()).div_ceil(8) as u64);
    }
}

/// Bit i of plane k, of n bits each.
fn bit(planes: &[u64], n: usize, k: usize, i: usize) -> u64 {
    planes[k * n.div_ceil(64) + i / 64] >> (i % 64) & 1
}

/// That opened values are what a correlation says.
fn check(what: &Correlation, n: usize, words: &[R64], bits: &[u64]) {
    assert_eq!(words.len(), what.words() * n);
    assert_eq!(bits.len(), what.planes() * n.div_ceil(64));
    let word = |k: usize, i: usize| words[k * n + i].0;
    for i in 0..n {
        match what {
            Correlation::Bits { count } => {
                (0..*count).for_each(|k| assert_eq!(word(k, i), bit(bits, n, k, i)));
            }
            Correlation::Mask { planes, shift } => {
                let r = word(0, i);
                (0..*planes as usize).for_each(|k| assert_eq!(r >> k & 1, bit(bits, n, k, i)));
                if let Some(p) = shift {
                    assert_eq!((word(1, i), word(2, i)), (r >> p, r >> 63));
                }
            }
            Correlation::Cells(cells) => {
                let at: Vec<u64> = (0..cells.cells()).map(|k| word(1 + k, i)).collect();
                let want =
                    (0..cells.cells() as u64).map(|w| u64::from(w == cells.cell(word(0, i))));
                assert_eq!(at, want.collect::<Vec<_>>());
            }
            other => panic!("{other:?} is not looked at"),
        }
    }
}

/// What a dealer would deal, from P_0.
async fn dealt_by_the_first(c: &Circuit<'_, Watched>, what: &Correlation) -> Result<Correlated> {
    let (n, strand) = (c.len(), c.strand());
    let dealt = (strand.session().me() == 0)
        .then(|| what.deal(n, |out| c.private().fill(out)))
        .transpose()?;
    let words = dealt.as_ref().map(|d| &d.words[..]);
    let mut words = Araki
        .input_words(strand, &[0], what.words() * n, words)
        .await?;
    let bits = dealt.as_ref().map(|d| &d.bits[..]);
    let mut bits = Araki.input_bits(strand, &[0], what.planes(), bits).await?;
    Ok(Correlated {
        words: words.swap_remove(0),
        bits: bits.swap_remove(0),
    })
}

impl Primitives for Watched {
    fn name(&self) -> &'static str {
        Araki.name()
    }

    fn one(&self, session: &Session) -> Vec<bool> {
        Araki.one(session)
    }

    async fn input_words(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        n: usize,
        mine: Option<&[R64]>,
    ) -> Result<Vec<Words>> {
        self.weigh((8 * n * owners.len()) as u64);
        Araki.input_words(strand, owners, n, mine).await
    }

    async fn input_bits(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        planes: usize,
        mine: Option<&[u64]>,
    ) -> Result<Vec<Bits>> {
        self.weigh_bits(strand, planes, owners.len());
        Araki.input_bits(strand, owners, planes, mine).await
    }

    async fn open_words(&self, strand: &Strand<'_>, x: &Words) -> Result<Vec<R64>> {
        self.weigh(24 * x.len() as u64);
        let opened = Araki.open_words(strand, x).await?;
        self.words.borrow_mut().extend(opened.iter().map(|w| w.0));
        Ok(opened)
    }

    async fn open_bits(&self, strand: &Strand<'_>, planes: usize, x: &Bits) -> Result<Vec<u64>> {
        self.weigh_bits(strand, planes, 3);
        let opened = Araki.open_bits(strand, planes, x).await?;
        let n = strand.chunk().len();
        for plane in opened.chunks(n.div_ceil(64)) {
            for (k, word) in plane.iter().enumerate() {
                let used = (n - 64 * k).min(64) as u32;
                self.planes.borrow_mut().push((*word, used));
            }
        }
        Ok(opened)
    }

    async fn product(&self, strand: &Strand<'_>, terms: &[(Words, Words)]) -> Result<Words> {
        self.weigh(24 * terms[0].0.len() as u64);
        Araki.product(strand, terms).await
    }

    async fn and(&self, strand: &Strand<'_>, planes: usize, x: &Bits, y: &Bits) -> Result<Bits> {
        self.weigh_bits(strand, planes, 3);
        Araki.and(strand, planes, x, y).await
    }

    fn bilinear(
        &self,
        session: &Session,
        shape: &[usize],
        terms: &[Term<'_>],
    ) -> Result<Shared<Tensor>> {
        self.weigh(24 * shape.iter().product::<usize>() as u64);
        Araki.bilinear(session, shape, terms)
    }

    async fn correlated(&self, c: &Circuit<'_, Self>, what: &Correlation) -> Result<Correlated> {
        let made = if self.dealt {
            dealt_by_the_first(c, what).await?
        } else {
            generate(c, what).await?
        };
        if self.look {
            let words = Araki.open_words(c.strand(), &made.words).await?;
            let bits = Araki
                .open_bits(c.strand(), what.planes(), &made.bits)
                .await?;
            check(what, c.len(), &words, &bits);
            // And masks that no gate asks for.
            if let Correlation::Mask { planes: 64, .. } = what {
                for (planes, shift) in [(64, 5), (3, 40), (63, 62), (1, 1), (0, 62), (62, 61)] {
                    let shift = Some(shift);
                    let what = Correlation::Mask { planes, shift };
                    let made = generate(c, &what).await?;
                    let words = Araki.open_words(c.strand(), &made.words).await?;
                    let planes = what.planes();
                    let bits = Araki.open_bits(c.strand(), planes, &made.bits).await?;
                    check(&what, c.len(), &words, &bits);
                }
            }
        }
        Ok(made)
    }
}
