//! Benchmarks: `cargo bench -p tacit-benches` for kernels and gates in one process, `tacit bench` for three processes over TLS.
//!
//! `README.md` beside this crate holds the figures and the commands that made them.
