//! What goes into the next batch: the parties must run the same questions in the same order, and a client may have reached
//! only some of them.
//!
//! Party 0 leads. It lists the questions that it holds ([`open`]), and the others answer which of them they hold too; of those
//! that all three hold it chooses a batch and tells it ([`mark`]); then each two parties compare what both of them hold of each,
//! so that no client gets an answer to shares that do not fit together ([`confirm`]). A question that some party does not hold
//! delays nobody. Who asks and how often is no secret among the parties; what is asked is shared. An empty list keeps the
//! links alive, so that a silent peer is told from an idle service.
//!
//! 6 rounds for a batch, 10 bytes a link and question that waits, 64 for one of the batch; 2 rounds for an idle service. Where a
//! party may cheat a batch takes 2 rounds more and an idle service 1 ([`same`]).

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use tacit_mpc::{Error, Label, PartyId, Result, Session, Strand};
use tacit_protocols::copies;

/// A question: which client asked it, and the client's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket {
    /// The client's place in the list of the service.
    pub(crate) client: u16,
    /// The client's own number.
    pub(crate) number: u64,
}

/// What comes next, as the leader says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Perhaps a batch of these questions, at most [`MOST`].
    Batch(Vec<Ticket>),
    /// New keys.
    Renew,
    /// The service ends.
    End,
}

/// Questions in a list at most.
pub(crate) const MOST: usize = 4096;

/// Length fields that say that keys are renewed, and that the service ends.
const RENEW: u32 = u32::MAX - 1;
const END: u32 = u32::MAX;
const TICKET: usize = 10;
const LEADER: PartyId = 0;

/// What a party holds of a question, as a hash for each peer (by its index) of what that peer must hold too.
pub(crate) type Fingerprints = [copies::Hash; 3];
/// Bytes of such a hash.
pub(crate) const FINGERPRINT: usize = copies::HASH;

/// What is known of a question that the leader listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mark {
    /// Some party does not hold it.
    Partial = 0,
    /// All hold it.
    Complete = 1,
    /// All hold it, and it is of the next batch.
    Chosen = 2,
}

/// What came of [`open`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    /// What the leader said.
    pub(crate) opening: Opening,
    /// At the leader: which of the listed questions all parties hold. Elsewhere: which this party holds.
    pub(crate) common: Vec<bool>,
    /// At the leader: whether any party asks for new keys. Elsewhere: whether this one does.
    pub(crate) renew: bool,
}

/// The leader says what comes next; the others say through `held` which of the listed questions they hold, and through
/// `renew` whether they want new keys.
///
/// # Errors
/// A failed link or peer.
pub(crate) fn open(
    session: &Session,
    opening: Option<Opening>,
    held: &mut dyn FnMut(&[Ticket]) -> Vec<bool>,
    renew: bool,
) -> Result<Opened> {
    session.begin_run()?;
    let own = opening.as_ref().map(length);
    let count = match tell(session, own.map(u32::to_le_bytes), 4)?.as_chunks() {
        ([bytes], []) => u32::from_le_bytes(*bytes),
        _ => 0,
    };
    let without_list = |opening| {
        let common = Vec::new();
        Ok(Opened {
            opening,
            common,
            renew,
        })
    };
    match count {
        END => return without_list(Opening::End),
        RENEW => return without_list(Opening::Renew),
        _ => {}
    }
    let count = count as usize;
    if count > MOST {
        return Err(leader(format!(
            "it lists {count} questions, at most {MOST} are possible"
        )));
    }
    let tickets = tell(session, opening.as_ref().map(encode), count * TICKET)?;
    let tickets: Vec<Ticket> = tickets.as_chunks().0.iter().map(decode).collect();
    // The leader holds what it lists.
    let mut common = if session.me() == LEADER {
        vec![true; count]
    } else {
        held(&tickets)
    };
    common.resize(count, false);
    let mut mask: Vec<u8> = common.iter().map(|&here| u8::from(here)).collect();
    mask.push(u8::from(renew)); // an empty list is answered too
    let mut anybody = renew;
    for theirs in answer(session, &mask)? {
        let (wants, theirs) = theirs.split_last().map_or((0, &[][..]), |(w, t)| (*w, t));
        anybody |= wants == 1;
        common
            .iter_mut()
            .zip(theirs)
            .for_each(|(c, t)| *c &= *t == 1);
    }
    Ok(Opened {
        opening: Opening::Batch(tickets),
        common,
        renew: anybody,
    })
}

/// The leader tells what it knows of the `count` questions that it listed, and what it has chosen.
///
/// # Errors
/// A failed link or peer.
pub(crate) fn mark(session: &Session, own: Option<&[Mark]>, count: usize) -> Result<Vec<Mark>> {
    session.begin_run()?;
    let own = own.map(|marks| marks.iter().map(|&m| m as u8).collect::<Vec<_>>());
    let marks = tell(session, own, count)?
        .into_iter()
        .map(|byte| match byte {
            0 => Ok(Mark::Partial),
            1 => Ok(Mark::Complete),
            2 => Ok(Mark::Chosen),
            _ => Err(leader(format!("it marks a question with {byte}"))),
        });
    marks.collect()
}

/// What came of [`confirm`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Confirmed {
    /// The questions that fit together, in the given order.
    pub(crate) fit: Vec<Ticket>,
    /// Of the others, two parties that hold different copies of a share, where it is that.
    pub(crate) apart: HashMap<Ticket, [PartyId; 2]>,
}

/// A question fits together; or it does not; or the two others than party k hold different copies: `APART` + k.
const FITS: u8 = 1;
const APART: u8 = 2;
const ALL_APART: u8 = APART + 3;

/// Which of the chosen questions fit together: all parties come to the same.
///
/// # Errors
/// A leader that would run what this party found not to fit together, or a failed link or peer.
pub(crate) fn confirm(
    session: &Session,
    tickets: &[Ticket],
    here: &HashMap<Ticket, Fingerprints>,
) -> Result<Confirmed> {
    session.begin_run()?;
    let (me, own) = (session.me(), compare(session, tickets, here)?);
    let mut all: [Vec<u8>; 3] = Default::default();
    let answers = answer(session, &own)?;
    all[me] = own;
    if me == LEADER {
        for (peer, answer) in [1, 2].into_iter().zip(answers) {
            all[peer] = answer;
        }
    }
    let verdict = |at: usize| -> u8 {
        let of = |party: PartyId| all[party].get(at).copied().unwrap_or(0);
        let held = |p: PartyId| of(p) & HELD != 0;
        let differ = |p: PartyId, q: PartyId| held(p) && held(q) && of(p) >> q & 1 == 0;
        let apart = |k: usize| {
            let (p, q) = ((k + 1) % 3, (k + 2) % 3);
            differ(p, q) || differ(q, p)
        };
        match (0..3).find(|&k| apart(k)) {
            Some(k) => APART + k as u8,
            None => u8::from((0..3).all(held)),
        }
    };
    let told = (me == LEADER).then(|| (0..tickets.len()).map(verdict).collect::<Vec<_>>());
    let told = tell(session, told, tickets.len())?;
    let mut confirmed = Confirmed::default();
    for ((&ticket, verdict), &own) in tickets.iter().zip(told).zip(&all[me]) {
        let differs = (0..3).find(|peer| own & HELD != 0 && own >> peer & 1 == 0);
        match (verdict, differs) {
            (FITS, None) if own & HELD != 0 => confirmed.fit.push(ticket),
            (FITS, _) => {
                return Err(leader(
                    "it would run a question that I found not to fit together".into(),
                ));
            }
            (0, _) => {} // somebody does not hold it
            (APART..ALL_APART, differs) => {
                let k = usize::from(verdict - APART);
                let pair = [(k + 1) % 3, (k + 2) % 3];
                // Of two parties of which one is this one, this one knows.
                let agrees = |peer: &PartyId| own & HELD != 0 && own >> peer & 1 == 1;
                if pair.contains(&me) && pair.iter().filter(|&&p| p != me).all(agrees) {
                    return Err(leader(format!(
                        "it says that party {} and party {} hold different copies of a question, and they do not",
                        pair[0], pair[1]
                    )));
                }
                let pair = differs.map_or(pair, |peer| [me, peer]);
                confirmed.apart.insert(ticket, pair);
            }
            _ => return Err(leader(format!("it judges a question by {verdict}"))),
        }
    }
    Ok(confirmed)
}

/// Where a party may cheat: that the leader told both others the same. Before they compare what they hold of a batch, since two
/// honest parties that compared different questions would suspect each other; and of what is left, before it is run. 32 bytes a
/// link and direction, 1 round.
///
/// # Errors
/// A party was told something else, or a failed link or peer.
pub(crate) fn same(session: &Session, next: &Opening) -> Result<()> {
    session.begin_run()?;
    let mut hash = Sha256::new_with_prefix(b"tacit batch v1");
    hash.update(length(next).to_le_bytes());
    let batch = match next {
        Opening::Batch(batch) => &batch[..],
        Opening::Renew | Opening::End => &[],
    };
    for ticket in batch {
        hash.update(ticket.client.to_le_bytes());
        hash.update(ticket.number.to_le_bytes());
    }
    let hash: copies::Hash = hash.finalize().into();
    let alike = copies::compare(session, &[[hash; 3]])?.pop();
    let Some(peer) = alike.and_then(|alike| alike.iter().position(|alike| !alike)) else {
        return Ok(());
    };
    let mut suspects = vec![peer];
    if peer != LEADER && session.me() != LEADER {
        suspects.insert(0, LEADER);
    }
    Err(Error::CheckFailed {
        broken_off: false,
        what: format!("the next batch: party {peer} was told, or says so, something else than I"),
        suspects,
    })
}

fn leader(what: String) -> Error {
    let peer = LEADER;
    Error::PeerMisbehaved { peer, what }
}

fn length(opening: &Opening) -> u32 {
    match opening {
        Opening::Batch(tickets) => tickets.len() as u32,
        Opening::Renew => RENEW,
        Opening::End => END,
    }
}

fn encode(opening: &Opening) -> Vec<u8> {
    let Opening::Batch(tickets) = opening else {
        return Vec::new();
    };
    let bytes = |t: &Ticket| [&t.client.to_le_bytes()[..], &t.number.to_le_bytes()].concat();
    tickets.iter().flat_map(bytes).collect()
}

fn decode(bytes: &[u8; TICKET]) -> Ticket {
    let [c0, c1, number @ ..] = *bytes;
    Ticket {
        client: u16::from_le_bytes([c0, c1]),
        number: u64::from_le_bytes(number),
    }
}

/// Sends bytes that are there.
pub(super) fn post(strand: &Strand<'_>, to: PartyId, label: Label, bytes: &[u8]) -> Result<()> {
    strand.send(to, label, bytes.len(), |out| out.extend_from_slice(bytes))
}

/// The leader tells the others `len` bytes.
fn tell(session: &Session, own: Option<impl AsRef<[u8]>>, len: usize) -> Result<Vec<u8>> {
    let own = own.as_ref().map(AsRef::as_ref);
    let told = session.fan_out(1, async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        match own {
            _ if len == 0 => Ok(Vec::new()),
            Some(bytes) => {
                for peer in [1, 2] {
                    post(&strand, peer, label, bytes)?;
                }
                Ok(bytes.to_vec())
            }
            None => Ok(strand.recv(LEADER, label, len).await?.to_vec()),
        }
    })?;
    Ok(told.into_iter().flat_map(|(_, bytes)| bytes).collect())
}

/// The bit of a question that is here; below it one for each party that holds the same of it.
const HELD: u8 = 8;

/// What is here of each question, and with whom it agrees.
fn compare(
    session: &Session,
    tickets: &[Ticket],
    here: &HashMap<Ticket, Fingerprints>,
) -> Result<Vec<u8>> {
    let ours = tickets.iter().map(|t| here.get(t).copied());
    let ours: Vec<Fingerprints> = ours.map(Option::unwrap_or_default).collect();
    let alike = copies::compare(session, &ours)?;
    let bits = tickets.iter().zip(alike).map(|(ticket, alike)| {
        let bits = (0..3).map(|peer| u8::from(alike[peer]) << peer);
        if here.contains_key(ticket) {
            HELD | bits.sum::<u8>()
        } else {
            0
        }
    });
    Ok(bits.collect())
}

/// The others answer the leader, who gets what they say.
fn answer(session: &Session, own: &[u8]) -> Result<Vec<Vec<u8>>> {
    let heard = session.fan_out(1, async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        if session.me() != LEADER {
            post(&strand, LEADER, label, own)?;
            return Ok(Vec::new());
        }
        let mut answers = Vec::new();
        for peer in [1, 2] {
            answers.push(strand.recv(peer, label, own.len()).await?.to_vec());
        }
        Ok(answers)
    })?;
    Ok(heard.into_iter().flat_map(|(_, answers)| answers).collect())
}

#[cfg(test)]
mod tests {
    use tacit_mpc::simulate::{mem, simulate};

    use super::*;

    fn ticket(number: u64) -> Ticket {
        Ticket { client: 7, number }
    }

    fn simulated<T: Send>(run: impl Fn(&Session) -> T + Sync) -> Vec<T> {
        let results = simulate(mem(), |session| run(&session));
        results.into_iter().map(Result::unwrap).collect()
    }

    /// All parties that take part, with the leader's list and what each holds.
    fn opened(opening: &Opening, held: [&[u64]; 3], renew: [bool; 3]) -> Vec<Opened> {
        simulated(|session| {
            let me = session.me();
            let opening = (me == LEADER).then(|| opening.clone());
            let mut here = |tickets: &[Ticket]| {
                let here = tickets.iter().map(|t| held[me].contains(&t.number));
                here.collect()
            };
            open(session, opening, &mut here, renew[me]).unwrap()
        })
    }

    #[test]
    fn the_leader_learns_what_all_hold() {
        let list = Opening::Batch([5, 1, 9, 3].map(ticket).into());
        let held: [&[u64]; 3] = [&[1, 3, 5, 9], &[9, 5, 4], &[5, 9, 1]];
        let found = opened(&list, held, [false; 3]);
        assert_eq!(found[0].common, [true, false, true, false]);
        for party in &found {
            assert_eq!((&party.opening, party.renew), (&list, false));
        }
    }

    #[test]
    fn an_empty_list_new_keys_and_the_end_reach_everybody() {
        for opening in [Opening::Batch(vec![]), Opening::Renew, Opening::End] {
            for party in opened(&opening, [&[]; 3], [false; 3]) {
                assert_eq!((party.opening, party.renew), (opening.clone(), false));
            }
        }
        // Whoever wants new keys, the leader hears of it.
        for k in 0..3 {
            let mut renew = [false; 3];
            renew[k] = true;
            assert!(opened(&Opening::Batch(vec![]), [&[]; 3], renew)[0].renew);
        }
    }

    #[test]
    fn marks_arrive_and_others_are_the_leaders_fault() {
        let marks = [Mark::Chosen, Mark::Partial, Mark::Complete];
        for party in simulated(|s| mark(s, (s.me() == LEADER).then_some(&marks), 3)) {
            assert_eq!(party.unwrap(), marks);
        }
        let results = simulated(|session| {
            if session.me() != LEADER {
                return mark(session, None, 1).map(|_| ());
            }
            session.begin_run().unwrap();
            tell(session, Some(&[3]), 1).map(|_| ())
        });
        for result in &results[1..] {
            assert!(matches!(result, Err(Error::PeerMisbehaved { peer: 0, .. })));
        }
    }

    /// Of the questions that each party holds, those below 10 fit together.
    #[test]
    fn only_questions_that_fit_together_are_run_in_the_leaders_order() {
        let chosen = [5, 1, 12, 9].map(ticket);
        let held: [&[u64]; 3] = [&[1, 5, 9, 12], &[9, 5, 12], &[5, 9, 1, 12]];
        let found = simulated(|session| {
            let me = session.me();
            let word = |number| if number < 10 { 1 } else { me as u8 + 1 };
            let here = held[me]
                .iter()
                .map(|&n| (ticket(n), [[word(n); FINGERPRINT]; 3]));
            confirm(session, &chosen, &here.collect()).unwrap()
        });
        for party in found {
            assert_eq!(party.fit, [5, 9].map(ticket));
            assert!(party.apart.contains_key(&ticket(12)));
        }
    }

    /// A leader that tells the two others different things: both suspect it, before either says what it holds.
    #[test]
    fn who_was_told_something_else_suspects_the_leader() {
        let list = |numbers: &[u64]| Opening::Batch(numbers.iter().copied().map(ticket).collect());
        for [first, second] in [
            [list(&[5, 9]), list(&[9, 5])],
            [list(&[5]), list(&[])],
            [list(&[]), Opening::End],
            [Opening::Renew, Opening::End],
        ] {
            let told = [first.clone(), first, second];
            let found = simulated(|session| same(session, &told[session.me()]));
            // The leader says the first: who was told the second knows that it lies, the other cannot tell.
            for (party, who) in [(1, &[LEADER, 2][..]), (2, &[LEADER])] {
                match &found[party] {
                    Err(Error::CheckFailed { suspects, .. }) => assert_eq!(suspects, who),
                    other => panic!("{other:?}"),
                }
            }
        }
        let all = simulated(|session| same(session, &list(&[5, 9])));
        assert!(all.iter().all(Result::is_ok));
    }

    /// A leader that says of a question that fits that the others hold different copies, or says nothing that there is.
    #[test]
    fn a_leader_does_not_set_two_parties_against_each_other() {
        let (chosen, here) = (
            [ticket(5)],
            HashMap::from([(ticket(5), [[1; FINGERPRINT]; 3])]),
        );
        for verdict in [APART, ALL_APART, u8::MAX] {
            let found = simulated(|session| {
                if session.me() != LEADER {
                    return confirm(session, &chosen, &here).map(|_| ());
                }
                session.begin_run()?;
                let own = compare(session, &chosen, &here)?;
                answer(session, &own)?;
                tell(session, Some(&[verdict]), 1).map(|_| ())
            });
            for party in &found[1..] {
                assert!(
                    matches!(party, Err(Error::PeerMisbehaved { peer: LEADER, .. })),
                    "{verdict}: {party:?}"
                );
            }
        }
    }
}
