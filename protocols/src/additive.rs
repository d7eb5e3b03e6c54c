//! Additive shares among n parties, n >= 2: x = Σ x_i mod 2^64, and bits x = ⊕ x_i. Semi-honest, dishonest majority: any n - 1 parties
//! together learn nothing but what they give in and what is opened.
//!
//! Sums are local. A product spends a Beaver triple ([`triples`]): 16 bytes opened a term and 1 round; of matrices and convolutions a triple
//! of their own shape, so that only the operands are opened. Triples, and whatever else is random and correlated, come from
//! - a **dealer** ([`Additive::dealt`], `dealer.rs`): a party more, that computes nothing, holds nobody's data and receives nothing but how far
//!   the others are. It must not collude with any computing party; no computing party can be it.
//! - **oblivious transfer** ([`Additive::oblivious`], `ot.rs`, `products.rs`): between each two parties, at some hundred times the bytes, and nobody
//!   needs to be trusted.
//!
//! Inputs cost nothing: the owner's share is x minus draws of the keys that it shares with each of the others.
//!
//! The composition is the classical one (Goldreich, Micali, Wigderson, STOC 1987; Beaver, CRYPTO 1991): the view of n - 1 parties is simulated from
//! uniform openings, and the last honest share from what is opened. Everything nonlinear is [`crate::derived`]. Against parties that
//! deviate nothing is promised: there are no checks.

mod dealer;
mod forms;
mod open;
mod ot;
mod primitives;
mod products;
mod tensors;
pub mod triples;

#[cfg(test)]
mod tests;

use tacit_mpc::chunk::CHUNK;
use tacit_mpc::{Cut, Error, PartyId, Result, Session, Strand};

use crate::derived::{DerivedEngine, Private};
use dealer::Table;
use ot::setup::link_up;
use products::Links;

/// Bytes that a dealer may be ahead of each party, and the messages of a window of strands: more than the widest link of the
/// networks that are simulated holds.
const LEAD: usize = 1 << 24;

/// A rounding takes 2n - 1 conversions of random bits that n parties have each of their own (`derived/generate.rs`), by products in
/// blocks, and a pass has 4096 gates: from five parties on chunks are smaller.
fn cut_of_transfers(computing: usize) -> Cut {
    let elements = (CHUNK * computing.min(4) / computing.max(1)).next_multiple_of(64);
    let parties = computing;
    Cut::Small { parties, elements }
}

/// Where correlations come from.
enum Source {
    Dealer(Table),
    /// A link with each other party, set up in this session and epoch of its keys.
    Transfers {
        links: Box<Links>,
        set_up_in: (u64, u32),
    },
}

/// Additive sharing: what an engine is derived from.
pub struct Additive {
    computing: usize,
    source: Source,
    private: Private,
}

/// Runs graphs on additive shares.
pub type AdditiveEngine = DerivedEngine<Additive>;

impl std::fmt::Debug for Additive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Additive")
            .field("computing", &self.computing)
            .finish_non_exhaustive()
    }
}

impl Additive {
    /// With correlations of a dealer, which is the last party of the session. All parties call it at the same place; tensors are cut into as few
    /// chunks as can be from then on, and the dealer is at most 16 MiB and a window of strands ahead of each party ([`Session::bound_lead`]).
    ///
    /// # Errors
    /// [`Error::Part`] where a party that computes is to deal; [`Error::Parties`] where fewer than two would compute.
    pub fn dealt(session: &Session, dealer: PartyId) -> Result<Self> {
        let have = session.parties();
        if have < 3 {
            let need = "at least two that compute, and a dealer";
            return Err(Error::Parties { have, need });
        }
        let computing = have - 1;
        if dealer < computing {
            let what = "computes, and whoever computes may not deal: the dealer reads every mask. Let the last party of the session deal, and nothing else";
            let party = dealer;
            return Err(Error::Part { party, what });
        }
        if dealer > computing {
            let what = "is none of the session: the last party deals";
            let party = dealer;
            return Err(Error::Part { party, what });
        }
        session.set_cut(Cut::Whole(computing));
        session.bound_lead(dealer, LEAD);
        Ok(Self {
            computing,
            source: Source::Dealer(Table { dealer, computing }),
            private: Private::new(),
        })
    }

    /// With correlations from oblivious transfers between each two parties, which are set up here: 3 rounds, 8 kB a party and link, and
    /// 256 base transfers. All parties call it at the same place.
    ///
    /// # Errors
    /// No randomness, or a link or peer failed.
    pub fn oblivious(session: &Session) -> Result<Self> {
        let (me, computing) = (session.me(), session.parties());
        session.set_cut(cut_of_transfers(computing));
        session.begin_run()?;
        let peers: Vec<PartyId> = (0..computing).filter(|&p| p != me).collect();
        let set_up = session.fan_out(1, async |strand: Strand<'_>| {
            strand.offline(link_up(&strand, &peers)).await
        })?;
        let links: Vec<_> = set_up.into_iter().flat_map(|(_, links)| links).collect();
        Ok(Self {
            computing,
            source: Source::Transfers {
                links: links.into(),
                set_up_in: session.identity(),
            },
            private: Private::new(),
        })
    }

    /// Whether this party only deals.
    fn deals(&self, session: &Session) -> bool {
        session.me() >= self.computing
    }

    /// The links of transfers, in the session and under the keys where they were set up: elsewhere labels begin anew, and streams of
    /// the transfers would be drawn again.
    fn links<'a>(links: &'a Links, set_up_in: (u64, u32), session: &Session) -> Result<&'a Links> {
        if session.identity() != set_up_in {
            let what = "numbers of transfers outside of the session and epoch they were set up in";
            return Err(Error::Exhausted { what });
        }
        Ok(links)
    }
}
