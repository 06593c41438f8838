//! Files that are truncated, changed or forged at every byte. A journal with a truncated end is
//! restored up to its last whole block. Any other damage is an error, and nothing panics.

use std::path::Path;

use proptest::prelude::*;
use samestate_proto::replication::StateView;
use samestate_proto::wire::{Codec, Entry};
use samestate_proto::{Epoch, Lineage, Version};

use super::*;
use crate::backup::file_system::{FileSystem, System};
use crate::store::ReducerMachine;

/// The header of a journal, and that of a block, in bytes.
const JOURNAL_HEADER: usize = 32;
const BLOCK_HEADER: usize = 20;
/// The header of a whole backup, with its checksum at the end.
const WHOLE_HEADER: usize = 84;

type List = ReducerMachine<Vec<u64>, u64>;

fn list() -> List {
    ReducerMachine::new(
        Vec::new(),
        |list: &mut Vec<u64>, item: &u64| list.push(*item),
        Codec::MessagePack,
    )
}

fn system() -> Arc<dyn FileSystem> {
    Arc::new(System)
}

fn about() -> About {
    About { store: "list".into(), schema_version: 1, codec: Codec::MessagePack }
}

/// A backup of the list 1, 2, and a journal of blocks that push 3, then 4 and 5, then 6.
struct Scene {
    _folder: tempfile::TempDir,
    files: Files,
    seal: Seal,
    recipe: Recipe,
    whole: Vec<u8>,
    journal: Vec<u8>,
    /// The offset at which the header ends, and those at which the blocks end.
    ends: Vec<usize>,
}

/// The restored list, and the number of bytes that were dropped.
type Outcome = Result<(Vec<u64>, usize), BackupError>;

impl Scene {
    fn new(passphrase: Option<&[u8]>) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let files = Files::of(&system(), &folder.path().join("list.backup"));
        let (seal, recipe) = Seal::begin(passphrase, &files.whole).expect("a key is derived");
        let epoch = Epoch { number: 1, id: 7 };
        let version = Version { epoch, seq: 2 };
        let lineage = Lineage::founded(epoch);
        let image = Image { lineage, version, history: 0, sessions: Default::default() };
        let mut machine = list();
        machine.install(vec![1, 2]);
        let state = machine.freeze().encode().expect("encodes");
        let id = [9; 16];
        let draft = Draft { about: &about(), id, closed: false, image: &image, state: &state };
        let whole = draft.bytes(&seal, &recipe).expect("encodes");
        let mut journal = Journal::create(&files, &files.journal, id).expect("there is room");
        let mut ends = vec![JOURNAL_HEADER];
        for (before, items) in [(2, &[3][..]), (3, &[4, 5]), (5, &[6])] {
            journal.append(&seal, before, &records(items)).expect("there is room");
            ends.push(journal.bytes() as usize);
        }
        let journal = std::fs::read(&files.journal).expect("it is there");
        Scene { _folder: folder, files, seal, recipe, whole, journal, ends }
    }

    fn restore(&self, whole: &[u8], journal: &[u8]) -> Outcome {
        let opens = |recipe: &Recipe| match *recipe == self.recipe {
            true => Ok(self.seal.clone()),
            false => Err(BackupError::WrongKey(self.files.whole.clone())),
        };
        let (whole, seal) = whole::read(whole.to_vec(), &self.files.whole, &about(), opens)?;
        let mut restored = restored(&self.files, &seal, whole, Some(journal.to_vec()))?;
        let mut machine = list();
        machine.install(restored.decode::<List>()?);
        let torn = restored.torn;
        restored.replay(&mut machine)?;
        Ok((machine.state().to_vec(), torn))
    }

    /// Returns what is restored if the journal is cut to this length: the list of its whole blocks,
    /// and the number of bytes that are dropped.
    fn until(&self, bytes: usize) -> (Vec<u64>, usize) {
        let blocks = self.ends.iter().skip(1).filter(|end| **end <= bytes).count();
        let items = [2, 3, 5, 6][blocks];
        ((1..=items).collect(), bytes - self.ends[blocks])
    }

    fn last_block(&self) -> usize {
        self.ends[self.ends.len() - 2]
    }
}

fn records(items: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        bytes.push(2);
        let mut payload = Vec::new();
        list().encode_action(item, &mut payload).expect("encodes");
        Entry::write(&mut bytes, 1, *item, 0, &payload);
    }
    bytes
}

fn scenes() -> Vec<Scene> {
    let mut scenes = vec![Scene::new(None)];
    if cfg!(feature = "encryption") {
        scenes.push(Scene::new(Some(b"swordfish")));
    }
    scenes
}

/// Returns a copy for each bit, with that bit flipped, and the offset of its byte.
fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, flipped)
    })
}

/// Recomputes the checksum of a header, as a forger would.
fn mend_whole(bytes: &mut [u8]) {
    let crc = crc32fast::hash(&bytes[..WHOLE_HEADER - 4]).to_le_bytes();
    bytes[WHOLE_HEADER - 4..WHOLE_HEADER].copy_from_slice(&crc);
}

fn mend_block(bytes: &mut [u8], base: &Id, at: usize) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(base);
    hasher.update(&bytes[at..at + 16]);
    bytes[at + 16..at + BLOCK_HEADER].copy_from_slice(&hasher.finalize().to_le_bytes());
}

#[test]
fn what_was_written_is_restored() {
    for scene in scenes() {
        let restored = scene.restore(&scene.whole, &scene.journal).expect("it is whole");
        assert_eq!(restored, ((1..=6).collect(), 0));
    }
}

#[test]
fn a_journal_cut_at_any_byte_restores_its_last_whole_block() {
    for scene in scenes() {
        for len in 0..scene.journal.len() {
            let outcome = scene.restore(&scene.whole, &scene.journal[..len]);
            match outcome {
                // A journal is moved into place after its header is on disk: no crash does this.
                Err(BackupError::Truncated { have, .. }) => {
                    assert!(len < JOURNAL_HEADER && have == len as u64, "{len}");
                }
                outcome => assert_eq!(outcome.expect("a torn end"), scene.until(len), "{len}"),
            }
        }
    }
}

#[test]
fn a_bit_flipped_anywhere_in_a_journal_is_an_error_or_a_torn_last_block() {
    for scene in scenes() {
        for (at, journal) in flips(&scene.journal) {
            let outcome = scene.restore(&scene.whole, &journal);
            if at >= scene.last_block() {
                let torn = journal.len() - scene.last_block();
                assert_eq!(outcome.expect("a torn end"), ((1..=5).collect(), torn), "{at}");
                continue;
            }
            let error = outcome.expect_err("it was changed");
            let expected = matches!(
                (at, &error),
                (0..8, BackupError::Foreign(_))
                    | (8..10, BackupError::NewerFormat { .. })
                    | (_, BackupError::Damaged { .. })
            );
            assert!(expected, "byte {at}: {error}");
        }
    }
}

/// Checks that a damaged block is not taken for a truncated end if any byte follows it, even if the
/// bytes that follow are no whole header of another block.
#[test]
fn a_damaged_block_is_an_error_even_if_the_block_after_it_is_torn() {
    for scene in scenes() {
        let end = scene.last_block();
        let mut journal = scene.journal.clone();
        journal[end - 1] ^= 1;
        for len in end + 1..end + BLOCK_HEADER {
            let error = scene.restore(&scene.whole, &journal[..len]).expect_err("damaged");
            assert!(matches!(error, BackupError::Damaged { .. }), "{len}: {error}");
        }
        let (items, torn) = scene.restore(&scene.whole, &journal[..end]).expect("a torn end");
        assert_eq!((items, torn), ((1..=3).collect(), end - scene.ends[1]));
    }
}

#[test]
fn a_whole_backup_cut_at_any_byte_is_an_error() {
    for scene in scenes() {
        for len in 0..scene.whole.len() {
            let error = scene.restore(&scene.whole[..len], &scene.journal).expect_err("cut");
            assert!(matches!(error, BackupError::Truncated { .. }), "{len}: {error}");
        }
        let longer = [&scene.whole[..], b"x"].concat();
        let error = scene.restore(&longer, &scene.journal).expect_err("longer");
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_bit_flipped_anywhere_in_a_whole_backup_is_an_error() {
    for scene in scenes() {
        for (at, whole) in flips(&scene.whole) {
            let error = scene.restore(&whole, &scene.journal).expect_err("it was changed");
            let expected = matches!(
                (at, &error),
                (0..8, BackupError::Foreign(_))
                    | (8..10, BackupError::NewerFormat { .. })
                    | (_, BackupError::Damaged { .. })
            );
            assert!(expected, "byte {at}: {error}");
        }
    }
}

/// Checks what no checksum says: bytes after the end, and a head that makes no sense.
#[test]
fn a_whole_backup_with_bytes_after_its_end_or_a_version_off_its_lineage_is_an_error() {
    for scene in scenes() {
        let longer = [&scene.whole[..], &[0]].concat();
        let part = "bytes follow its end";
        let error = scene.restore(&longer, &scene.journal).expect_err("it is longer");
        assert!(matches!(error, BackupError::Damaged { part: found, .. } if found == part));
        let (ours, other) = (Epoch { number: 1, id: 7 }, Epoch { number: 1, id: 8 });
        let version = Version { epoch: other, seq: 2 };
        let lineage = Lineage::founded(ours);
        let image = Image { lineage, version, history: 0, sessions: Default::default() };
        let draft =
            Draft { about: &about(), id: [9; 16], closed: false, image: &image, state: b"\x90" };
        let whole = draft.bytes(&scene.seal, &scene.recipe).expect("encodes");
        let error = scene.restore(&whole, &scene.journal).expect_err("it is of no lineage");
        assert!(matches!(error, BackupError::Damaged { part: "its head", .. }), "{error}");
    }
}

#[test]
fn lengths_that_are_forged_are_held_against_the_bytes_that_are_there() {
    for scene in scenes() {
        let mut whole = scene.whole.clone();
        whole[72..80].copy_from_slice(&u64::MAX.to_le_bytes());
        mend_whole(&mut whole);
        let error = scene.restore(&whole, &scene.journal).expect_err("it is not so long");
        assert!(matches!(error, BackupError::Truncated { want: u64::MAX, .. }), "{error}");

        let mut journal = scene.journal.clone();
        journal[JOURNAL_HEADER + 12..JOURNAL_HEADER + 16].copy_from_slice(&[0xff; 4]);
        mend_block(&mut journal, &[9; 16], JOURNAL_HEADER);
        let error = scene.restore(&scene.whole, &journal).expect_err("blocks follow");
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    }
}

#[test]
fn blocks_that_are_dropped_swapped_repeated_or_from_elsewhere_are_an_error() {
    for scene in scenes() {
        let block = |number: usize| &scene.journal[scene.ends[number]..scene.ends[number + 1]];
        let header = &scene.journal[..JOURNAL_HEADER];
        let (one, two, three) = (block(0), block(1), block(2));
        for blocks in [[one, three, three], [two, one, three], [one, one, three]] {
            let journal = [header, blocks[0], blocks[1], blocks[2]].concat();
            let error = scene.restore(&scene.whole, &journal).expect_err("not in order");
            assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
        }
        let mut other =
            Journal::create(&scene.files, &scene.files.journal_new, [7; 16]).expect("room");
        other.append(&scene.seal, 2, &records(&[66])).expect("room");
        let other = std::fs::read(&scene.files.journal_new).expect("it is there");
        let foreign = [header, &other[JOURNAL_HEADER..], two, three].concat();
        let error = scene.restore(&scene.whole, &foreign).expect_err("of another journal");
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
        let error = scene.restore(&scene.whole, &other).expect_err("another journal");
        assert!(matches!(error, BackupError::JournalOfAnother(_)), "{error}");
    }
}

#[cfg(feature = "encryption")]
#[test]
fn a_forger_without_the_key_gets_no_further_by_mending_checksums() {
    let scene = Scene::new(Some(b"swordfish"));
    for at in 10..WHOLE_HEADER - 4 {
        let mut whole = scene.whole.clone();
        whole[at] ^= 0x10;
        mend_whole(&mut whole);
        let error = scene.restore(&whole, &scene.journal).expect_err("forged");
        let expected = matches!(
            (at, &error),
            (12..56, BackupError::WrongKey(_))
                | (72..80, BackupError::Truncated { .. } | BackupError::Damaged { .. })
                | (_, BackupError::Damaged { .. })
        );
        assert!(expected, "byte {at}: {error}");
    }
    for at in JOURNAL_HEADER..JOURNAL_HEADER + 16 {
        let mut journal = scene.journal.clone();
        journal[at] ^= 0x10;
        mend_block(&mut journal, &[9; 16], JOURNAL_HEADER);
        let error = scene.restore(&scene.whole, &journal).expect_err("forged");
        assert!(matches!(error, BackupError::Damaged { .. }), "byte {at}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_after_the_last_block_are_dropped(
        tail in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let scene = Scene::new(None);
        let journal = [&scene.journal[..], &tail].concat();
        let restored = scene.restore(&scene.whole, &journal).expect("a torn end");
        prop_assert_eq!(restored, ((1..=6).collect(), tail.len()));
    }

    #[test]
    fn any_records_at_all_are_replayed_or_an_error(
        records in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..6, before in 0_u64..8
    ) {
        let scene = Scene::new(None);
        let created = Journal::create(&scene.files, &scene.files.journal_new, [9; 16]);
        let mut journal = created.expect("room");
        let records = [&[kind], &records[..]].concat();
        journal.append(&scene.seal, before, &records).expect("room");
        let journal = std::fs::read(&scene.files.journal_new).expect("it is there");
        if let Err(error) = scene.restore(&scene.whole, &journal) {
            prop_assert!(matches!(error, BackupError::Replay { .. }), "{}", error);
        }
    }

    #[test]
    fn any_content_at_all_is_a_backup_or_an_error(
        body in prop::collection::vec(any::<u8>(), 0..300), head_len in prop::option::of(0_u32..200)
    ) {
        let scene = Scene::new(None);
        let mut body = body;
        if let Some(len) = head_len {
            body.splice(..0, len.to_le_bytes());
        }
        let mut whole = scene.whole[..WHOLE_HEADER].to_vec();
        let len = (body.len() + scene.seal.overhead()) as u64;
        whole[72..80].copy_from_slice(&len.to_le_bytes());
        mend_whole(&mut whole);
        let context = whole.clone();
        whole.extend_from_slice(&body);
        scene.seal.close_body(&context, &mut whole, WHOLE_HEADER).expect("it is sealed");
        let error = scene.restore(&whole, &scene.journal).expect_err("no head is like that");
        prop_assert!(matches!(error, BackupError::Damaged { .. }), "{}", error);
    }
}

/// Checks that a journal's header has its fields at the offsets that these tests change.
#[test]
fn the_places_that_these_tests_change_are_those_of_the_format() {
    let scene = Scene::new(None);
    let path = Path::new("x");
    assert_eq!(journal::base_of(&scene.journal, path).expect("it is whole"), [9; 16]);
    let mut whole = scene.whole.clone();
    mend_whole(&mut whole);
    let mut journal = scene.journal.clone();
    scene.ends[..3].iter().for_each(|at| mend_block(&mut journal, &[9; 16], *at));
    assert_eq!((whole, journal), (scene.whole, scene.journal));
}
