//! Uids and names that are derived from a seed.

/// Characters of generated names: no vowels, so that they form no words, and no ambiguous ones.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// Returns a generator with another seed that has produced the same number of values.
    pub const fn reseeded(&self, seed: u64) -> Self {
        Self { seed, state: self.state.wrapping_sub(self.seed).wrapping_add(seed) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A UUID of version 4.
    pub fn uid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, (high & 0x0fff) | 0x4000);
        let (d, e) = (((low >> 48) & 0x3fff) | 0x8000, low & 0xffff_ffff_ffff);
        format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }

    /// The suffix for `generateName`.
    pub fn suffix(&mut self) -> String {
        let count = u64::try_from(LETTERS.len()).unwrap_or(1);
        let letter = |random: &mut Self| {
            let index = usize::try_from(random.next() % count).unwrap_or(0);
            LETTERS.get(index).map_or('x', |&letter| char::from(letter))
        };
        (0..SUFFIX).map(|_| letter(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_the_same_uids_and_another_gives_others() {
        let first = |seed| Random::new(seed).uid();

        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn another_seed_goes_on_as_if_it_had_been_there_from_the_start() {
        let (mut one, mut other) = (Random::new(1), Random::new(2));
        let _ = (one.uid(), other.uid());

        assert_eq!(one.reseeded(2).uid(), other.uid());
    }

    #[test]
    fn a_uid_says_that_it_is_of_version_4() {
        let uid = Random::new(7).uid();

        assert_eq!((uid.len(), &uid[14..15]), (36, "4"));
    }
}
