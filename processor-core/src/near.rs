//! Memory that will be needed soon, asked for before.

/// Bytes that come at once.
pub(crate) const CACHE_LINE: usize = 64;

/// Asks for the cache line at which `place` begins, and does not wait for it.
///
/// It changes nothing but how long things take. Where Rust has no stable way to ask, which is everywhere but on x86-64,
/// nothing is asked for.
#[inline(always)]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a load would be waited for, and there is no safe way to ask")
)]
pub(crate) fn ask_for<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the address is that of a reference, and the instruction reads nothing that a program could see: it is
        // a hint, even for an address that is not mapped.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
