//! Elementwise loops by the widest vectors of the processor.
//!
//! Binaries are compiled for every x86-64 processor; what is inlined here is compiled for the wider ones besides, and the choice
//! is made at run time. All variants give the same bits: integers wrap, and floating-point operations are neither reordered
//! nor fused.

/// Runs `work`, of which loops that are inlined into it are compiled for AVX-512 and AVX2 as well. Worth its while for some
/// hundred elements and more.
#[inline]
pub fn vectorised<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    {
        if super::x86::has_avx512() {
            // SAFETY: the processor has just been found to have these instructions.
            return unsafe { by_avx512(work) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as before.
            return unsafe { by_avx2(work) };
        }
    }
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn by_avx512<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn by_avx2<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_done_once_with_the_same_result() {
        let (x, mut sum) = ((0..1000u64).collect::<Vec<_>>(), 0);
        let doubled: Vec<u64> = vectorised(|| {
            sum += 1;
            x.iter().map(|v| v.wrapping_mul(*v) ^ 5).collect()
        });
        assert_eq!(sum, 1);
        assert!(doubled.iter().zip(&x).all(|(d, v)| *d == (v * v) ^ 5));
    }
}
