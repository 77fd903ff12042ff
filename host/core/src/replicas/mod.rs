//! The number of pods that each side should have (`reference/argo-rollouts.md` section 4, "Replica maths" and "With traffic
//! routing").

#[cfg(test)]
mod availability_tests;
pub mod basic;
pub mod limits;
pub mod routed;

/// `ceil(whole * share / of)`, in pods; 0 if `of` is 0.
#[must_use]
pub fn share_of(whole: u32, share: u32, of: u32) -> u32 {
    if of == 0 {
        return 0;
    }
    let pods = (u64::from(whole) * u64::from(share)).div_ceil(u64::from(of));
    u32::try_from(pods).unwrap_or(u32::MAX)
}
