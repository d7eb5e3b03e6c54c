//! Who sits where in a session: the computing parties are 0, 1, 2 in the order of the job, contributors that do not
//! compute follow in theirs.

use tacit_api::job::JobSpec;
use tacit_api::roster::{Roster, RosterError};
use tacit_mpc::PartyId;

use crate::net::Peer;

/// Number of computing parties.
pub(crate) const COMPUTING: usize = 3;

/// The members of a session, seen from one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seats {
    /// Names by index.
    names: Vec<String>,
    /// Indices of those that contribute rows, ascending: all parties put the rows together in this order.
    contributors: Vec<PartyId>,
    me: PartyId,
}

impl Seats {
    /// The seats of `job` as the member `name` sees them; `None` if it has none.
    pub(crate) fn new(job: &JobSpec, name: &str) -> Option<Self> {
        let names: Vec<String> = job.parties().into_iter().map(str::to_owned).collect();
        let me = names.iter().position(|other| other == name)?;
        let contributes = |&index: &PartyId| job.contributors.contains(&names[index]);
        let contributors = (0..names.len()).filter(contributes).collect();
        Some(Self {
            names,
            contributors,
            me,
        })
    }

    /// This party's index.
    pub(crate) fn me(&self) -> PartyId {
        self.me
    }

    /// Whether this party computes.
    pub(crate) fn computes(&self) -> bool {
        self.me < COMPUTING
    }

    /// The names of those that compute, in the order of their indices.
    pub(crate) fn computing(&self) -> &[String] {
        &self.names[..COMPUTING]
    }

    /// Whether this party contributes rows.
    pub(crate) fn contributes(&self) -> bool {
        self.contributors.contains(&self.me)
    }

    /// Indices of all contributors, ascending.
    pub(crate) fn contributors(&self) -> &[PartyId] {
        &self.contributors
    }

    /// Indices of the contributors that do not compute.
    pub(crate) fn outside(&self) -> impl Iterator<Item = PartyId> {
        COMPUTING..self.names.len()
    }

    /// The name at an index.
    pub(crate) fn name(&self, index: PartyId) -> Option<&str> {
        self.names.get(index).map(String::as_str)
    }

    /// A sentence about indices, with names: "party 2" becomes the name of that party.
    pub(crate) fn named(&self, sentence: &str) -> String {
        let mut pieces = sentence.split("party ");
        let mut named = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (index, rest) = piece.split_at(digits);
            match index.parse().ok().and_then(|index| self.name(index)) {
                Some(name) => named.extend([name, rest]),
                None => named.extend(["party ", piece]),
            }
        }
        named
    }

    /// Those that this party needs a link to: a computing party to everybody, a contributor to the computing parties.
    pub(crate) fn peers(&self, roster: &Roster) -> Result<Vec<Peer>, RosterError> {
        let linked = |&(index, _): &(PartyId, &String)| {
            index != self.me && (self.computes() || index < COMPUTING)
        };
        let seats = self.names.iter().enumerate().filter(linked);
        seats
            .map(|(index, name)| Ok(Peer::new(index, roster.member(name)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_job::job;

    #[test]
    fn outside_contributors_follow_the_computing_parties() {
        let mut job = job("");
        job.contributors = ["east", "south", "far"].map(String::from).into();
        let seats = Seats::new(&job, "far").unwrap();
        assert_eq!(
            (seats.me(), seats.computes(), seats.contributes()),
            (4, false, true)
        );
        assert_eq!(seats.contributors(), [2, 3, 4]);
        assert_eq!(seats.outside().collect::<Vec<_>>(), [3, 4]);
        assert_eq!(seats.name(3), Some("east"));
        assert_eq!(
            seats.named("party 4 blames party 1, party 10 a party"),
            "far blames west, party 10 a party"
        );
        let north = Seats::new(&job, "north").unwrap();
        assert!(north.computes() && !north.contributes());
        assert_eq!(Seats::new(&job, "analyst"), None);
    }
}
