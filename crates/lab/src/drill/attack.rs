//! The attack: opens what opens, computes what follows, then tries the dictionary on everything (`trial`).
//!
//! Nothing here knows what should fall. In go bytes at rest and stolen secrets; out comes which identifiers were found in which
//! of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use datafuse_core::id::ParticipantId;
use datafuse_group::{Scalar, decode_mul_encode};

use super::{
    column::{self, Column},
    dictionary::Dictionary,
    evidence::{Artifact, Evidence},
    knowledge::{Conclusion, Knowledge},
    leak::{self, Leaked},
    scene::Scene,
    search,
    state::{self, Row},
    wire::{self, Envelope, Message},
};

/// How many 32-byte values that lie about in text are tried as keys and salts.
const MAX_FOUND: usize = 64;

/// What the attacker has.
pub struct Case<'a> {
    /// What everybody knows.
    pub scene: &'a Scene,
    /// Everything at rest.
    pub evidence: &'a [Evidence],
    /// What was stolen.
    pub leaks: &'a [Leaked],
    /// What is tried.
    pub dictionary: &'a Dictionary,
}

/// What the attacker made of it.
#[derive(Default)]
pub(crate) struct Haul {
    /// Numbers of the dictionary's entries that were found, by where and whose.
    pub(crate) recovered: BTreeMap<(Artifact, ParticipantId), HashSet<u32>>,
    /// Rows whose kept columns were read.
    pub(crate) kept: BTreeMap<(Artifact, ParticipantId), u64>,
    /// Identifiers, known or not, that were seen to be at another holder too.
    pub(crate) linked: BTreeMap<(Artifact, ParticipantId), u64>,
    /// Distinct tokens of each holder's opened datasets.
    pub(crate) tokens: BTreeMap<ParticipantId, u64>,
    /// Kinds of each holder's opened datasets.
    pub(crate) kinds: BTreeMap<ParticipantId, BTreeSet<String>>,
    /// Keys that were computed or stolen, in words, and whether the dictionary confirmed them.
    pub(crate) keys: Vec<(String, bool)>,
    /// Files and sealed values that are of no form that the attacker knows, though they should be.
    pub(crate) unread: Vec<String>,
    /// Facts that contradicted each other, and numbers that are known but for a root.
    pub(crate) contradictions: usize,
    pub(crate) roots: usize,
}

/// Plays the attack.
#[must_use]
pub(crate) fn attack(case: &Case<'_>) -> Haul {
    let mut attacker = Attacker::new(case);
    attacker.read_state();
    attacker.read_messages();
    attacker.open_files();
    let conclusion = attacker.conclude();
    attacker.link(&conclusion);
    attacker.try_numbers(&conclusion);
    attacker.try_digests();
    attacker.try_words();
    attacker.haul
}

pub(super) struct Attacker<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) haul: Haul,
    /// The stolen secrets, and key files that lay about.
    pub(super) leaks: Vec<Leaked>,
    /// Values of 32 bytes that lay about in text.
    pub(super) found: Vec<[u8; 32]>,
    pub(super) knowledge: Knowledge<'a>,
    receive_keys: BTreeSet<[u8; 32]>,
    file_keys: BTreeSet<[u8; 32]>,
    pub(super) match_secrets: BTreeSet<[u8; 32]>,
    /// What was decoded or opened, and can be searched too.
    pub(super) texts: Vec<Text>,
    pub(super) columns: Vec<OpenedColumn>,
}

pub(super) struct Text {
    pub(super) artifact: Artifact,
    pub(super) owner: Option<ParticipantId>,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct OpenedColumn {
    pub(super) artifact: Artifact,
    pub(super) owner: Option<ParticipantId>,
    /// Of a dataset: epoch and key id, by which its tokens are fused.
    made_with: Option<(u64, [u8; 16])>,
    pub(super) column: Column,
}

impl<'a> Attacker<'a> {
    fn new(case: &'a Case<'a>) -> Self {
        let mut leaks = case.leaks.to_vec();
        let mut found = BTreeSet::new();
        let mut texts = Vec::new();
        for file in case.evidence {
            leaks.extend(Leaked::find_in(&file.bytes));
            for bytes in search::decoded_runs(&file.bytes) {
                found.extend(<[u8; 32]>::try_from(bytes.as_slice()));
                texts.push(Text { artifact: file.artifact, owner: file.owner.clone(), bytes });
            }
        }
        // Zero is nobody's key: it makes the same of every identifier.
        found.remove(&[0; 32]);
        let mut haul = Haul::default();
        if found.len() > MAX_FOUND {
            haul.unread.push(format!("{} of {} values of 32 bytes in text", found.len() - MAX_FOUND, found.len()));
        }
        let found: Vec<[u8; 32]> = found.into_iter().take(MAX_FOUND).collect();
        let bare = leaks.iter().flat_map(|leaked| &leaked.bare).chain(&found);
        let keys: BTreeSet<[u8; 32]> = bare.copied().collect();
        let receive_keys = leaks.iter().flat_map(|leaked| &leaked.receive).chain(&keys).copied().collect();
        Self {
            case,
            haul,
            leaks,
            found,
            knowledge: Knowledge::new(case.scene),
            receive_keys,
            file_keys: keys,
            match_secrets: BTreeSet::new(),
            texts,
            columns: Vec::new(),
        }
    }

    /// Opens the workload's database with every token secret there is.
    fn read_state(&mut self) {
        let (rows, unread) = state::rows(self.case.evidence);
        self.haul.unread.extend(unread);
        let secrets = self.leaks.iter().flat_map(|leaked| leaked.tokens.iter().map(|(_, secret)| secret));
        let keys: BTreeSet<[u8; 32]> = secrets
            .chain(&self.file_keys)
            .flat_map(|secret| [leak::state_key(secret, &self.case.scene.root), *secret])
            .collect();
        let mut opened_any = false;
        let mut closed = BTreeSet::new();
        for row in &rows {
            if let Some(epoch) = row.integer("epoch") {
                self.knowledge.epochs.insert(epoch);
            }
            for sealed in row.sealed() {
                let Some(value) = keys.iter().find_map(|key| row.open(sealed, key)) else {
                    closed.insert(format!("a sealed value of table {}", row.table));
                    continue;
                };
                opened_any = true;
                if let Ok(secret) = <[u8; 32]>::try_from(value.as_slice()) {
                    self.receive_keys.insert(secret);
                    self.file_keys.insert(secret);
                    if row.table == "secret" {
                        self.match_secrets.insert(secret);
                    }
                }
                learn_row(&mut self.knowledge, row, &value);
                self.texts.push(Text { artifact: Artifact::State, owner: None, bytes: value });
            }
            // In clear.
            let point = row.blob("point").and_then(|point| point.try_into().ok());
            if let (Some(epoch), Some(steward), Some(point)) = (row.integer("epoch"), row.blob("steward"), point) {
                self.knowledge.learn_point(epoch, steward, point);
            }
        }
        // Some values open: then whatever does not is not understood.
        if opened_any {
            self.haul.unread.extend(closed);
        }
    }

    /// Opens every message with every receive key.
    fn read_messages(&mut self) {
        let mut opened = Vec::new();
        for file in self.case.evidence {
            let Some(message) = Message::parse(&file.bytes) else {
                if file.name.ends_with(".msg") {
                    self.haul.unread.push(file.name.clone());
                }
                continue;
            };
            self.knowledge.epochs.insert(message.epoch);
            let holder = if message.round == "share-to-holder" { &message.receiver } else { &message.sender };
            for key_id in &message.key_ids {
                self.knowledge.key_ids.entry(*key_id).or_insert_with(|| holder.clone());
            }
            let Some(payload) = self.receive_keys.iter().find_map(|key| message.sealed.open(key)) else { continue };
            self.texts.push(Text { artifact: file.artifact, owner: None, bytes: payload.clone() });
            opened.push((file.name.clone(), message, payload));
        }
        for (name, message, payload) in opened {
            if learn_message(&mut self.knowledge, &message, &payload).is_none() {
                self.haul.unread.push(name);
            }
        }
    }

    /// Opens every Parquet file with every key, those sealed in it too.
    fn open_files(&mut self) {
        for file in self.case.evidence.iter().filter(|file| column::is_parquet(&file.bytes)) {
            let bytes = Bytes::copy_from_slice(&file.bytes);
            let metadata = column::key_metadata(&bytes);
            let envelope = metadata.as_deref().and_then(Envelope::parse);
            if file.artifact == Artifact::Datasets && metadata.is_some() && envelope.is_none() {
                self.haul.unread.push(file.name.clone());
            }
            let mut keys: Vec<[u8; 32]> = Vec::new();
            if let Some(envelope) = &envelope {
                self.knowledge.epochs.insert(envelope.epoch);
                self.knowledge.key_ids.insert(envelope.key_id, envelope.holder.clone());
                let payloads =
                    self.receive_keys.iter().flat_map(|key| envelope.sealed.iter().map(|part| part.open(key)));
                keys.extend(payloads.flatten().take(1).filter_map(|payload| wire::payload(&payload)).flatten());
            }
            keys.extend(&self.file_keys);
            let opened =
                column::open(&bytes, None).or_else(|| keys.iter().find_map(|key| column::open(&bytes, Some(key))));
            let Some(opened) = opened else { continue };
            let owner = file
                .owner
                .clone()
                .or_else(|| self.owner(envelope.as_ref().map(|envelope| envelope.holder.as_slice()), &opened.notes));
            if let Some(owner) = &owner {
                *self.haul.kept.entry((file.artifact, owner.clone())).or_default() += opened.kept_rows;
                if file.artifact == Artifact::Datasets {
                    let kinds = opened.columns.iter().filter_map(|column| column.kind.clone());
                    self.haul.kinds.entry(owner.clone()).or_default().extend(kinds);
                    let distinct =
                        opened.columns.iter().map(|column| column.values.iter().collect::<HashSet<_>>().len());
                    *self.haul.tokens.entry(owner.clone()).or_default() += distinct.sum::<usize>() as u64;
                }
            }
            let made_with = envelope.map(|envelope| (envelope.epoch, envelope.key_id));
            self.texts.push(Text { artifact: file.artifact, owner: owner.clone(), bytes: opened.kept });
            self.columns.extend(opened.columns.into_iter().map(|column| OpenedColumn {
                artifact: file.artifact,
                owner: owner.clone(),
                made_with,
                column,
            }));
        }
        for index in 0..self.texts.len() {
            let text = &self.texts[index];
            let runs = search::decoded_runs(&text.bytes);
            let (artifact, owner) = (text.artifact, text.owner.clone());
            self.texts.extend(runs.into_iter().map(|bytes| Text { artifact, owner: owner.clone(), bytes }));
        }
    }

    /// Whose an opened file is: by its envelope, or by the label in its footer, which begins with the holder's name.
    fn owner(&self, holder: Option<&[u8]>, notes: &[String]) -> Option<ParticipantId> {
        let scene = self.case.scene;
        let by_label = || {
            let label = |note: &String| {
                let value: serde_json::Value = serde_json::from_str(note).ok()?;
                let (name, _) = value.get("label")?.as_str()?.split_once('/')?;
                let name: datafuse_core::name::PublicName = name.parse().ok()?;
                scene.holder_of(&name.to_bytes()).cloned()
            };
            notes.iter().find_map(label)
        };
        holder.and_then(|name| scene.holder_of(name).cloned()).or_else(by_label)
    }

    fn conclude(&mut self) -> Conclusion {
        let empty = Knowledge::new(self.case.scene);
        let mut knowledge = std::mem::replace(&mut self.knowledge, empty);
        for leaked in &self.leaks {
            knowledge.learn_keys(leaked);
        }
        let key_ids = knowledge.key_ids.clone();
        let conclusion = knowledge.conclude();
        self.knowledge.key_ids = key_ids;
        self.haul.roots = conclusion.roots;
        self.haul.contradictions = conclusion.contradictions;
        conclusion
    }

    /// Sees which identifiers, unknown as they may be, are at several holders: equal values, or equal ones after fusing.
    fn link(&mut self, conclusion: &Conclusion) {
        let mut seen: HashMap<(Artifact, bool, Vec<u8>), BTreeSet<&ParticipantId>> = HashMap::new();
        for opened in &self.columns {
            let Some(owner) = &opened.owner else { continue };
            for value in &opened.column.values {
                seen.entry((opened.artifact, false, value.clone())).or_default().insert(owner);
            }
            let Some(rekey) = opened.made_with.and_then(|made_with| conclusion.rekeys.get(&made_with)) else {
                continue;
            };
            for fused in fuse(rekey, &opened.column.values) {
                seen.entry((opened.artifact, true, fused.to_vec())).or_default().insert(owner);
            }
        }
        let mut counts: BTreeMap<(Artifact, ParticipantId, bool), u64> = BTreeMap::new();
        for ((artifact, fused, _), owners) in seen.into_iter().filter(|(_, owners)| owners.len() > 1) {
            for owner in owners {
                *counts.entry((artifact, owner.clone(), fused)).or_default() += 1;
            }
        }
        for ((artifact, owner, _), count) in counts {
            let linked = self.haul.linked.entry((artifact, owner)).or_default();
            *linked = count.max(*linked);
        }
    }
}

/// What an opened value of the state says.
fn learn_row(knowledge: &mut Knowledge<'_>, row: &Row, value: &[u8]) -> Option<()> {
    let (epoch, holder) = (row.integer("epoch")?, row.blob("holder")?);
    let key_id = || row.blob("key_id")?.try_into().ok();
    match row.table.as_str() {
        "blind" => knowledge.learn_blind(epoch, row.blob("steward")?, holder, &wire::payload(value)?),
        "answer" => knowledge.learn_answer(epoch, holder, key_id()?, *wire::payload(value)?.first()?),
        "rekey" => knowledge.learn_rekey(epoch, holder, key_id()?, value.try_into().ok()?),
        _ => {}
    }
    Some(())
}

/// What an opened message says.
fn learn_message(knowledge: &mut Knowledge<'_>, message: &Message, payload: &[u8]) -> Option<()> {
    let numbers = wire::payload(payload)?;
    let (epoch, sender) = (message.epoch, message.sender.as_slice());
    match (message.round.as_str(), message.key_ids.as_slice()) {
        ("share-to-holder", _) => knowledge.learn_share(epoch, sender, &message.receiver, *numbers.first()?),
        ("blind-to-workload", _) => knowledge.learn_blind(epoch, sender, &message.subject, &numbers),
        ("answer-to-workload", [key_id, ..]) => knowledge.learn_answer(epoch, sender, *key_id, *numbers.first()?),
        ("rotation-to-workload", [from, to]) => {
            knowledge.learn_rotation(epoch, sender, *from, *to, *numbers.first()?);
        }
        _ => return None,
    }
    Some(())
}

fn fuse(rekey: &Scalar, tokens: &[Vec<u8>]) -> Vec<[u8; 32]> {
    let tokens: Vec<[u8; 32]> = tokens.iter().filter_map(|token| token.as_slice().try_into().ok()).collect();
    let mut fused = vec![[0; 32]; tokens.len()];
    match decode_mul_encode(rekey, &tokens, &mut fused) {
        Ok(()) => fused,
        Err(_) => Vec::new(),
    }
}
