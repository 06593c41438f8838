//! A backup's files, for fuzzers: read, restored, and written again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use samestate_proto::replication::{Image, Replica, Sessions, StateMachine, StateView};
use samestate_proto::wire::Codec;
use samestate_proto::{Epoch, Lineage, NodeId, Version};

use super::file_system::{FileSystem, System};
use super::files::Files;
use super::seal::{Recipe, Seal};
use super::whole::{About, Draft};
use super::{journal, whole};
use crate::fuzzing::replicas::{self, EPOCH};
use crate::fuzzing::script::{Script, put};

/// The kinds of a script's parts: a whole file; what a whole file seals; a journal's file; the
/// records of a block that follow.
const WHOLE: u8 = 0;
const SEALED: u8 = 1;
const JOURNAL: u8 = 2;
const RECORDS: u8 = 3;

const ID: whole::Id = [5; 16];

fn about() -> About {
    About { store: "shelf".into(), schema_version: 1, codec: Codec::MessagePack }
}

fn path() -> &'static Path {
    Path::new("backup")
}

/// Restores from arbitrary files and checks that nothing panics, that no allocation exceeds the
/// size of the files, and that a restored state is written and read again unchanged.
pub(crate) fn run(data: &[u8]) {
    let (mut read, mut blocks) = (None, Vec::new());
    for (kind, body) in Script(data) {
        match kind {
            WHOLE => read = read_whole(body.to_vec()).or(read),
            SEALED => read = read_whole(sealed(body)).or(read),
            JOURNAL => {
                let came = journal::read(body.to_vec(), path(), &Seal::Plain);
                if let Ok(came) = came {
                    let held: usize = came.blocks.iter().map(|block| block.1.len()).sum();
                    assert!(held + came.torn <= body.len(), "more than the file holds");
                    blocks.extend(came.blocks);
                }
            }
            RECORDS => {
                if let Some((before, records)) = body.split_first_chunk::<8>() {
                    blocks.push((u64::from_le_bytes(*before), records.to_vec()));
                }
            }
            _ => {}
        }
    }
    if let Some((image, state)) = read {
        restore(image, &state, &blocks);
    }
}

fn read_whole(bytes: Vec<u8>) -> Option<(Image, Vec<u8>)> {
    let len = bytes.len();
    let seal = |recipe: &Recipe| Seal::resume(None, recipe, path());
    let (whole, _) = whole::read(bytes, path(), &about(), seal).ok()?;
    assert!(whole.state.len() <= len, "more than the file holds");
    Some((whole.image, whole.state))
}

fn restore(mut image: Image, state: &[u8], blocks: &[(u64, Vec<u8>)]) {
    let Ok(decoded) = replicas::Shelved::decode_state(state) else { return };
    let mut machine = replicas::machine();
    machine.install(decoded);
    for (before, records) in blocks {
        if image.replay(&mut machine, *before, records).is_err() {
            return;
        }
    }
    let now = Duration::from_secs(1);
    let epoch = Epoch { number: 2, id: 78 };
    let (config, key) = (replicas::config(), replicas::key());
    let mut replica = Replica::restored(config, NodeId(1), machine, &image, epoch, key, now);
    let before = replica.version().seq;
    let taken = replica.dispatch(1, &replicas::Put::Nothing, now);
    assert!(taken.is_ok() && replica.version().seq == before + 1, "it does not go on");
    let (image, frozen) = replica.hold().expect("a sequencer");
    let state = StateView::encode(&frozen).expect("it encodes");
    let file = draft(&image, &state);
    let (again, state_again) = read_whole(file.clone()).expect("what was written is read");
    assert_eq!((again.version, state_again), (image.version, state.clone()));
    assert_eq!(draft(&again, &state), file, "another image");
}

fn draft(image: &Image, state: &[u8]) -> Vec<u8> {
    let about = about();
    let draft = Draft { about: &about, id: ID, closed: false, image, state };
    draft.bytes(&Seal::Plain, &Recipe::default()).expect("it can be written")
}

/// A whole file with these bytes sealed in it, by the right length and checksums.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut file = draft(&founded(), &[])[..72].to_vec();
    let len = (body.len() + Seal::Plain.overhead()) as u64;
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
    let context = file.clone();
    file.extend_from_slice(body);
    let at = context.len();
    Seal::Plain.close_body(&context, &mut file, at).expect("a checksum does not fail");
    file
}

/// The image of a store that was just founded.
fn founded() -> Image {
    let lineage = Lineage::founded(EPOCH);
    let version = Version { epoch: EPOCH, seq: 0 };
    Image { lineage, version, history: 0, sessions: Sessions::new(4, 8) }
}

pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let now = Duration::from_secs(1);
    let (config, key) = (replicas::config(), replicas::key());
    let mut replica = Replica::sequencer(config, NodeId(1), replicas::machine(), EPOCH, key, now);
    replica.keep(false);
    let first = replica.image();
    let state = StateView::encode(&replica.machine().freeze()).expect("it encodes");
    for (ticket, action) in (1..).zip(replicas::puts()) {
        let _ = replica.dispatch(ticket, &action, now);
    }
    let mut records = Vec::new();
    replica.take_records(&mut records);
    let file = draft(&first, &state);
    let block = [&[0; 8], &records[..]].concat();
    let (mut whole, mut resealed) = (Vec::new(), Vec::new());
    put(&mut whole, WHOLE, &file);
    put(&mut whole, RECORDS, &block);
    put(&mut resealed, SEALED, &file[84..file.len() - Seal::Plain.overhead()]);
    put(&mut resealed, RECORDS, &block);
    let journal = journal_bytes(&records);
    let mut with_journal = Vec::new();
    put(&mut with_journal, WHOLE, &file);
    put(&mut with_journal, JOURNAL, &journal);
    let mut torn = Vec::new();
    put(&mut torn, WHOLE, &file);
    put(&mut torn, JOURNAL, &journal[..journal.len() - 5]);
    let (mut far, mut gap) = (Vec::new(), Vec::new());
    let mut last = first;
    last.version.seq = u64::MAX;
    put(&mut far, WHOLE, &draft(&last, &state));
    put(&mut gap, WHOLE, &file);
    put(&mut gap, RECORDS, &[0xff; 8]);
    vec![
        ("whole", whole),
        ("sealed", resealed),
        ("journal", with_journal),
        ("torn", torn),
        ("far", far),
        ("gap", gap),
    ]
}

/// The file of a journal with one block.
fn journal_bytes(records: &[u8]) -> Vec<u8> {
    let folder = std::env::temp_dir().join(format!("samestate-seeds-{}", std::process::id()));
    let system: Arc<dyn FileSystem> = Arc::new(System);
    let files = Files::of(&system, &folder);
    let written = journal::Journal::create(&files, &folder, ID).and_then(|mut journal| {
        journal.append(&Seal::Plain, 0, records)?;
        journal.sync()
    });
    let bytes = written.map(|()| std::fs::read(&folder));
    let _ = std::fs::remove_file(&folder);
    bytes.expect("a temporary file can be written").expect("and read")
}
