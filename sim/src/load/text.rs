//! Filler for payloads: text of a given length, drawn from the seed.

use rand::Rng;

/// The alphabet of filler text: 32 letters and digits, five bits each.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A text that begins with `n`, so that no two of one load are the same, and is filled up to
/// `bytes` bytes (never cut).
pub fn numbered(random: &mut dyn Rng, n: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes.max(8));
    text.push_str(&n.to_string());
    if text.len() < bytes {
        text.push('-');
        let missing = bytes - text.len();
        fill(random, &mut text, missing);
    }
    text
}

/// Appends `bytes` bytes of filler.
pub fn fill(random: &mut dyn Rng, text: &mut String, bytes: usize) {
    let mut missing = bytes;
    while missing > 0 {
        let mut bits = random.next_u64();
        for _ in 0..missing.min(12) {
            text.push(char::from(LETTERS[(bits & 31) as usize]));
            bits >>= 5;
            missing -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_payload_has_the_length_asked_for_and_follows_from_the_seed() {
        let text = |seed, bytes| numbered(&mut rand_pcg::Pcg64::seed_from_u64(seed), 17, bytes);
        assert_eq!(text(1, 100).len(), 100);
        assert_eq!(text(1, 100), text(1, 100));
        assert_ne!(text(1, 100), text(2, 100));
        assert_eq!(text(1, 0), "17");
    }
}
