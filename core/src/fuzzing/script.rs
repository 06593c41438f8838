//! Several messages in the bytes of one input, so that a fuzzer can change, drop and repeat them:
//! `kind u8, length u16, body` one after another; a body that is too long ends with the input.

/// The messages of an input.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Script<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let ([kind, low, high], rest) = self.0.split_first_chunk::<3>()?;
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (body, rest) = rest.split_at(len);
        self.0 = rest;
        Some((*kind, body))
    }
}

/// Appends one message to a script.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let len = u16::try_from(body.len()).expect("seeds are small");
    out.push(kind);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(body);
}
