//! An institution's party: its identity, its data, its policy, and the sessions it takes part in.

pub mod data;
mod journal;
pub mod net;
mod row_count;
mod seats;
pub mod train_job;
mod training;

#[cfg(test)]
mod test_job;
