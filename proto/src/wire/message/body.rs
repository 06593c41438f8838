//! The bytes of those parts: numbers little-endian, texts after their length.

use super::{Answer, Attach, Codec, Outcome, PartialSnapshot, Refusal, RefusalKind, Status};
use crate::Mode;
use crate::wire::{
    PATH_MAX, PROTOCOL_PATCHES, PROTOCOL_RESUMES_SNAPSHOTS, PROTOCOL_VERSION, Reader, WireError,
};
use crate::{Claim, Epoch, Lineage, NodeId, TOKEN_BYTES, Token, Version};

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Text longer than its length field can say is cut at a character.
pub(in crate::wire) fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_claim(out: &mut Vec<u8>, claim: Claim) {
    put_u64(out, claim.session);
    out.extend_from_slice(&claim.token.to_bytes());
}

pub(super) fn read_claim(body: &mut Reader<'_>) -> Result<Claim, WireError> {
    let session = body.u64("session")?;
    let token = Token::from_bytes(body.array::<TOKEN_BYTES>("token")?);
    Ok(Claim { session, token })
}

pub(in crate::wire) fn put_version(out: &mut Vec<u8>, version: Version) {
    put_u32(out, version.epoch.number);
    put_u64(out, version.epoch.id);
    put_u64(out, version.seq);
}

pub(in crate::wire) fn read_version(body: &mut Reader<'_>) -> Result<Version, WireError> {
    let epoch = Epoch { number: body.u32("version")?, id: body.u64("version")? };
    Ok(Version { epoch, seq: body.count("version")? })
}

fn put_maybe_version(out: &mut Vec<u8>, version: Option<Version>) {
    out.push(u8::from(version.is_some()));
    if let Some(version) = version {
        put_version(out, version);
    }
}

fn read_maybe_version(body: &mut Reader<'_>) -> Result<Option<Version>, WireError> {
    body.flag("version")?.then(|| read_version(body)).transpose()
}

pub(in crate::wire) fn put_lineage(out: &mut Vec<u8>, lineage: &Lineage) {
    out.push(lineage.epochs().len() as u8);
    for (epoch, began) in lineage.epochs() {
        put_version(out, Version { epoch: *epoch, seq: *began });
    }
}

pub(in crate::wire) fn read_lineage(body: &mut Reader<'_>) -> Result<Lineage, WireError> {
    let count = body.u8("lineage")?;
    let epochs = (0..count)
        .map(|_| read_version(body).map(|begun| (begun.epoch, begun.seq)))
        .collect::<Result<Vec<_>, _>>()?;
    Lineage::from_epochs(epochs)
        .filter(|lineage| !lineage.is_empty())
        .ok_or(WireError::Malformed("lineage"))
}

pub(super) fn write_attach(out: &mut Vec<u8>, attach: &Attach) {
    out.extend_from_slice(&attach.protocol.to_le_bytes());
    put_u64(out, attach.node.0);
    put_u32(out, attach.schema_version);
    out.push(attach.codec as u8);
    put_maybe_version(out, attach.resume);
    put_text(out, &attach.store);
    if attach.protocol >= PROTOCOL_RESUMES_SNAPSHOTS {
        put_partial(out, attach.partial);
    }
    if attach.protocol >= PROTOCOL_PATCHES {
        out.push(u8::from(attach.takes_patches));
    }
}

fn put_partial(out: &mut Vec<u8>, partial: Option<PartialSnapshot>) {
    out.push(u8::from(partial.is_some()));
    if let Some(PartialSnapshot { version, history, len, crc, have }) = partial {
        put_version(out, version);
        put_u64(out, history);
        put_u64(out, len);
        put_u32(out, crc);
        put_u64(out, have);
    }
}

fn read_partial(body: &mut Reader<'_>) -> Result<Option<PartialSnapshot>, WireError> {
    if !body.flag("partial snapshot")? {
        return Ok(None);
    }
    let (version, history) = (read_version(body)?, body.u64("history")?);
    let (len, crc, have) = (body.u64("length")?, body.u32("checksum")?, body.u64("length")?);
    Ok(Some(PartialSnapshot { version, history, len, crc, have }))
}

pub(super) fn read_attach(body: &mut Reader<'_>) -> Result<Attach, WireError> {
    let (protocol, node) = (body.u16("protocol version")?, NodeId(body.u64("node")?));
    let schema_version = body.u32("schema version")?;
    let codec = match body.u8("codec")? {
        0 => Codec::MessagePack,
        1 => Codec::Json,
        _ => return Err(WireError::Malformed("codec")),
    };
    let resume = read_maybe_version(body)?;
    let store = body.text("store")?;
    let partial = match (PROTOCOL_RESUMES_SNAPSHOTS..=PROTOCOL_VERSION).contains(&protocol) {
        true => read_partial(body)?,
        false => None,
    };
    let takes_patches = match (PROTOCOL_PATCHES..=PROTOCOL_VERSION).contains(&protocol) {
        true => body.flag("patches")?,
        false => false,
    };
    Ok(Attach { protocol, node, store, schema_version, codec, resume, partial, takes_patches })
}

pub(super) fn write_status(out: &mut Vec<u8>, status: &Status) {
    put_u32(out, status.hop);
    out.push(u8::from(status.connected));
    out.push(status.mode.to_wire());
    put_maybe_version(out, status.version);
    out.push(status.path.len() as u8);
    status.path.iter().for_each(|node| put_u64(out, node.0));
}

pub(super) fn read_status(body: &mut Reader<'_>) -> Result<Status, WireError> {
    let (hop, connected) = (body.u32("hop")?, body.flag("status")?);
    let mode = Mode::from_wire(body.u8("mode")?).ok_or(WireError::Malformed("mode"))?;
    let version = read_maybe_version(body)?;
    let len = usize::from(body.u8("path")?);
    if len > PATH_MAX {
        return Err(WireError::Malformed("path"));
    }
    let path = (0..len).map(|_| body.u64("path").map(NodeId)).collect::<Result<_, _>>()?;
    Ok(Status { hop, connected, mode, version, path })
}

pub(super) fn read_refusal(body: &mut Reader<'_>) -> Result<Refusal, WireError> {
    let kind = match body.u8("refusal")? {
        0 => RefusalKind::Protocol,
        1 => RefusalKind::Store,
        2 => RefusalKind::Schema,
        3 => RefusalKind::Codec,
        4 => RefusalKind::Loop,
        5 => RefusalKind::State,
        _ => return Err(WireError::Malformed("refusal")),
    };
    Ok(Refusal { kind, text: body.text("refusal")? })
}

pub(super) fn put_answer(out: &mut Vec<u8>, answer: &Answer) {
    put_u64(out, answer.counter);
    match &answer.outcome {
        Outcome::Applied(version) => {
            out.push(0);
            put_version(out, *version);
        }
        Outcome::Rejected(reason) => {
            out.push(1);
            put_text(out, reason);
        }
        Outcome::Unknown => out.push(2),
        Outcome::Expired => out.push(3),
    }
}

pub(super) fn read_answer(body: &mut Reader<'_>) -> Result<Answer, WireError> {
    let counter = body.count("counter")?;
    let outcome = match body.u8("outcome")? {
        0 => Outcome::Applied(read_version(body)?),
        1 => Outcome::Rejected(body.text("reason")?),
        2 => Outcome::Unknown,
        3 => Outcome::Expired,
        _ => return Err(WireError::Malformed("outcome")),
    };
    Ok(Answer { counter, outcome })
}
