//! Encrypted inference by TFHE: a client holds the key, a server the model; the server computes on ciphertexts and
//! learns neither input nor result. Results are those of an integer program, bit for bit.
//!
//! | module | what it is for |
//! |---|---|
//! | [`program`] | what is computed, as integers: the reference that ciphertexts are held to |

pub mod program;
