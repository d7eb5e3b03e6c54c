//! The messages of the file format, generated from `proto/onnx.proto`.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
