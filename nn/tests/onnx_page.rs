//! docs/onnx.md is what the code says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use tacit_nn::onnx::reference_page;

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/onnx.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, reference_page()).unwrap();
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == reference_page(),
        "docs/onnx.md is not current: UPDATE=1 cargo test -p tacit-nn --test onnx_page"
    );
}
