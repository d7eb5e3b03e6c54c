//! Puts the blocks of the page into the skeleton, one step after the other: a module for each state of it.

use std::{env, fs, path::Path};

fn main() {
    let here = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let [page, skeleton] = ["../add-a-protocol.md", "skeleton/src/lib.rs"].map(|name| {
        let file = here.join(name);
        println!("cargo::rerun-if-changed={}", file.display());
        fs::read_to_string(file).expect("the page and the skeleton lie beside this crate")
    });
    // A module here begins with a line of its own, behind which inner documentation cannot stand.
    let mut code = skeleton.replace("//!", "//");
    let mut modules = module(0, &code);
    for (k, step) in page.split("\n## Step ").skip(1).enumerate() {
        for block in step.split("\n```rust ").skip(1) {
            let (rest, _) = block.split_once("\n```").expect("a block ends");
            let (what, text) = rest.split_once('\n').expect("a block has lines");
            code = match what.split_once('=') {
                Some(("fn", name)) => replaced(&code, name, text),
                _ if what == "append" => format!("{code}\n{text}\n"),
                _ => panic!("step {}: a block is headed {what:?}", k + 1),
            };
        }
        modules += &module(k + 1, &code);
    }
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("steps.rs");
    fs::write(out, modules).expect("the folder for generated code can be written");
}

/// The skeleton after so many steps.
fn module(step: usize, code: &str) -> String {
    format!("/// The protocol after so many steps.\npub mod step_{step} {{\n{code}\n}}\n")
}

/// The code with another text of a method.
fn replaced(code: &str, name: &str, text: &str) -> String {
    let found = ["    fn ", "    async fn "].map(|head| code.find(&format!("\n{head}{name}(")));
    let start = found.into_iter().flatten().next();
    let start = start.unwrap_or_else(|| panic!("the skeleton has no fn {name}")) + 1;
    let end = "\n    }\n";
    let length = code[start..].find(end).expect("a method ends") + end.len();
    assert!(
        code[start..start + length].contains("todo!"),
        "fn {name} was written in an earlier step"
    );
    format!("{}{text}\n{}", &code[..start], &code[start + length..])
}
