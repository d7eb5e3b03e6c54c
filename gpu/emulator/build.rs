//! Compiles the kernels as they are, with the fibres in the place of CUDA.

fn main() {
    let kernels = "../kernels";
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        // Products and sums of floating-point numbers are rounded one by one, as the kernels say it.
        .flag("-ffp-contract=off")
        // Memory of words is also read as numbers.
        .flag("-fno-strict-aliasing")
        .flag("-Wno-unknown-pragmas")
        .flag("-Wno-unused-function")
        .flag("-Wno-psabi")
        .include(kernels)
        .include(".")
        .file("fibres.cpp");
    for kernel in ["words", "limbs", "residues", "ntt", "polynomials"] {
        build.flag("-xc++").file(format!("{kernels}/{kernel}.cu"));
    }
    build.compile("tacit_gpu_kernels");
    println!("cargo:rerun-if-changed={kernels}");
    println!("cargo:rerun-if-changed=fibres.cpp");
    println!("cargo:rerun-if-changed=fibres.h");
}
