//! What goes into the next batch: the parties must run the same questions in the same order, and a client may have reached
//! only some of them.
//!
//! Party 0 leads. It names the questions that it holds; each two parties compare what both of them hold of each, so that no
//! client gets an answer to shares that do not fit together; the others tell the leader one bit for each question, and it
//! tells the result. 4 rounds, 64 bytes a link and question. Who asks and how often is no secret among the parties; what is
//! asked is shared. An empty list keeps the links alive, so that a silent peer is told from an idle service.

use std::collections::HashMap;

use tacit_mpc::{Error, Label, PartyId, Result, Session, Strand};

/// A question: which client asked it, and the client's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket {
    /// The client's place in the list of the service.
    pub(crate) client: u16,
    /// The client's own number.
    pub(crate) number: u64,
}

/// What the leader proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proposal {
    /// These questions, at most [`MOST`].
    Batch(Vec<Ticket>),
    /// The service ends.
    End,
}

/// Questions in a batch at most.
pub(crate) const MOST: usize = 4096;

/// The length field that says that the service ends.
const END: u32 = u32::MAX;
const TICKET: usize = 10;
const LEADER: PartyId = 0;

/// What a party holds of a question, as a hash for each peer (by its index) of what that peer must hold too.
pub(crate) type Fingerprints = [[u8; FINGERPRINT]; 3];
/// Bytes of such a hash.
pub(crate) const FINGERPRINT: usize = 32;

/// Agrees on the next batch. The leader proposes, the others say through `held` which of the questions they hold; the
/// questions of which all hold shares that fit together, in the proposed order, or `None` at the end of the service.
///
/// # Errors
/// A failed link or peer.
pub(crate) fn agree(
    session: &Session,
    proposal: Option<&Proposal>,
    held: &mut dyn FnMut(&[Ticket]) -> HashMap<Ticket, Fingerprints>,
) -> Result<Option<Vec<Ticket>>> {
    session.begin_run()?;
    let own = proposal.map(length);
    let count = match tell(session, own.map(u32::to_le_bytes), 4)?.as_chunks() {
        ([bytes], []) => u32::from_le_bytes(*bytes),
        _ => 0,
    };
    if count == END {
        return Ok(None);
    }
    let count = count as usize;
    if count > MOST {
        let what = format!("it proposes {count} questions in a batch, at most {MOST} are possible");
        return Err(Error::PeerMisbehaved { peer: LEADER, what });
    }
    let tickets = tell(session, proposal.map(encode), count * TICKET)?;
    let tickets: Vec<Ticket> = tickets.as_chunks().0.iter().map(decode).collect();
    let here = held(&tickets);
    let mut mask: Vec<u8> = tickets
        .iter()
        .map(|t| u8::from(here.contains_key(t)))
        .collect();
    compare(session, &tickets, &here, &mut mask)?;
    mask.push(0); // an empty batch is answered too
    let answers = answer(session, &mask)?;
    for theirs in &answers {
        mask.iter_mut().zip(theirs).for_each(|(m, a)| *m &= a);
    }
    let leads = session.me() == LEADER;
    let mask = tell(session, leads.then_some(&mask), mask.len())?;
    let chosen = tickets.into_iter().zip(mask).filter(|&(_, m)| m == 1);
    Ok(Some(chosen.map(|(ticket, _)| ticket).collect()))
}

fn length(proposal: &Proposal) -> u32 {
    match proposal {
        Proposal::Batch(tickets) => tickets.len() as u32,
        Proposal::End => END,
    }
}

fn encode(proposal: &Proposal) -> Vec<u8> {
    let Proposal::Batch(tickets) = proposal else {
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
fn post(strand: &Strand<'_>, to: PartyId, label: Label, bytes: &[u8]) -> Result<()> {
    strand.send(to, label, bytes.len(), |out| out.copy_from_slice(bytes))
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

/// Clears the bit of every question of which a peer holds something else than it should.
fn compare(
    session: &Session,
    tickets: &[Ticket],
    here: &HashMap<Ticket, Fingerprints>,
    mask: &mut [u8],
) -> Result<()> {
    if tickets.is_empty() {
        return Ok(());
    }
    let peers = [session.next(), session.prev()];
    let ours = |peer: PartyId| -> Vec<u8> {
        let of = |t: &Ticket| here.get(t).map_or([0; FINGERPRINT], |all| all[peer]);
        tickets.iter().flat_map(of).collect()
    };
    let theirs = session.fan_out(1, async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        for peer in peers {
            post(&strand, peer, label, &ours(peer))?;
        }
        let mut theirs = Vec::new();
        for peer in peers {
            let len = tickets.len() * FINGERPRINT;
            theirs.push((peer, strand.recv(peer, label, len).await?));
        }
        Ok(theirs)
    })?;
    for (peer, theirs) in theirs.into_iter().flat_map(|(_, theirs)| theirs) {
        let pairs = theirs.chunks(FINGERPRINT).zip(tickets);
        for ((theirs, ticket), bit) in pairs.zip(&mut *mask) {
            let fits = here.get(ticket).is_some_and(|all| all[peer] == *theirs);
            *bit &= u8::from(fits);
        }
    }
    Ok(())
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

    /// Of the questions that each party holds, those below 10 fit together.
    fn agreed(proposal: &Proposal, held: [&[u64]; 3]) -> Vec<Option<Vec<Ticket>>> {
        simulate(mem(), |session| {
            let mine = held[session.me()];
            let leads = session.me() == LEADER;
            agree(&session, leads.then_some(proposal), &mut |tickets| {
                let odd = |t: &Ticket| {
                    if t.number < 10 {
                        1
                    } else {
                        session.me() as u8 + 1
                    }
                };
                tickets
                    .iter()
                    .filter(|t| mine.contains(&t.number))
                    .map(|&t| (t, [[odd(&t); FINGERPRINT]; 3]))
                    .collect()
            })
            .unwrap()
        })
        .into_iter()
        .map(Result::unwrap)
        .collect()
    }

    #[test]
    fn only_questions_that_fit_together_are_run_in_the_leaders_order() {
        let proposal = Proposal::Batch([5, 1, 12, 9, 3].map(ticket).into());
        let batches = agreed(
            &proposal,
            [&[1, 3, 5, 9, 12], &[9, 5, 4, 12], &[5, 9, 1, 12]],
        );
        for batch in batches {
            assert_eq!(batch, Some(vec![ticket(5), ticket(9)]));
        }
    }

    #[test]
    fn an_empty_list_and_the_end_reach_everybody() {
        assert_eq!(
            agreed(&Proposal::Batch(vec![]), [&[], &[], &[]]),
            [Some(vec![]), Some(vec![]), Some(vec![])]
        );
        assert_eq!(agreed(&Proposal::End, [&[], &[], &[]]), [None, None, None]);
    }
}
