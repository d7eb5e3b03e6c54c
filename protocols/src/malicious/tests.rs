//! Every gate against plain integers: results, relations, rounds and bytes.

mod gates;
