//! The trial: the dictionary under every key, number and salt that the attacker has, looked for in everything.

use std::collections::{BTreeSet, HashSet};

use aho_corasick::AhoCorasick;
use datafuse_core::id::ParticipantId;
use datafuse_group::Scalar;

use super::{
    attack::Attacker,
    evidence::Artifact,
    images,
    knowledge::Conclusion,
    search::{Image, Index, image},
};

/// Images that are searched for at once.
const INDEX_ENTRIES: usize = 1 << 20;

/// Entries on which a number is tried that is no token or matching key; the whole dictionary follows where one of them is found.
const PROBE: usize = 1024;

/// The shortest text that is searched for, and the shortest that counts wherever it stands.
const SHORTEST_WORD: usize = 4;
const SHORTEST_ANYWHERE: usize = 8;

impl Attacker<'_> {
    /// Tries the dictionary under every number that is known.
    pub(super) fn try_numbers(&mut self, conclusion: &Conclusion) {
        let dictionary = self.case.dictionary;
        let (numbers, messages): (Vec<u32>, Vec<Vec<u8>>) = dictionary
            .tried()
            .map(|(number, entry)| (number, images::message(&self.case.scene.root, dictionary, entry)))
            .unzip();
        let mut done = BTreeSet::new();
        let matching = conclusion.matching.iter().map(|(epoch, key)| (format!("matching key of epoch {epoch}"), key));
        let tokens = conclusion.tokens.iter().map(|(epoch, key_id, key)| {
            let holder = self.knowledge.key_ids.get(key_id).and_then(|name| self.case.scene.holder_of(name));
            let holder = holder.map_or("nobody in the space", ParticipantId::as_str);
            (format!("token key of {holder} in epoch {epoch}"), key)
        });
        let targets: Vec<_> = matching.chain(tokens).collect();
        for (what, key) in targets {
            if done.insert(key.to_bytes()) {
                let hits = self.try_number(key, &numbers, &messages);
                self.haul.keys.push((what, hits));
            }
        }
        // Whatever else is known might have been used in place of a key. Of what lies about, it is not even known what it is.
        let found: Vec<Scalar> = self.found.iter().filter_map(Scalar::from_canonical_bytes).collect();
        let step = messages.len().div_ceil(PROBE).max(1);
        let probe: Vec<_> = messages.iter().step_by(step).cloned().collect();
        let probed: Vec<_> = numbers.iter().step_by(step).copied().collect();
        let fresh: Vec<_> =
            conclusion.others.iter().chain(&found).filter(|number| done.insert(number.to_bytes())).collect();
        for together in fresh.chunks(INDEX_ENTRIES / PROBE) {
            let mut index = Index::new();
            together.iter().for_each(|number| self.add_images(&mut index, number, &probed, &probe));
            if self.search(&index) {
                for number in together {
                    self.try_number(number, &numbers, &messages);
                }
            }
        }
    }

    /// Tries one number as token key and as matching key. Gives whether anything was found.
    fn try_number(&mut self, key: &Scalar, numbers: &[u32], messages: &[Vec<u8>]) -> bool {
        let mut index = Index::new();
        self.add_images(&mut index, key, numbers, messages);
        self.search(&index)
    }

    /// Adds tokens under a key, and the match keys that they would have.
    fn add_images(&self, index: &mut Index, key: &Scalar, numbers: &[u32], messages: &[Vec<u8>]) {
        for (number, token) in numbers.iter().zip(images::tokens(key, messages)) {
            if let Some(image) = image(&token) {
                index.insert(image, *number);
            }
            for secret in &self.match_secrets {
                index.insert(images::match_key(secret, &token), *number);
            }
        }
    }

    /// Tries the digests of careless schemes, under every secret and constant there is.
    pub(super) fn try_digests(&mut self) {
        let mut salts: BTreeSet<Vec<u8>> = self.case.scene.constants.iter().cloned().collect();
        let secrets = self.leaks.iter().flat_map(|leaked| &leaked.bare).chain(&self.found);
        salts.extend(secrets.flat_map(|secret| [secret.to_vec(), hex::encode(secret).into_bytes()]));
        let mut index = Index::new();
        for (number, entry) in self.case.dictionary.tried() {
            for text in &entry.spellings {
                images::unsalted(text).into_iter().for_each(|image| index.insert(image, number));
                for salt in &salts {
                    images::salted(salt, text).into_iter().for_each(|image| index.insert(image, number));
                }
            }
            if index.len() >= INDEX_ENTRIES {
                self.search(&index);
                index = Index::new();
            }
        }
        self.search(&index);
    }

    /// Looks for the identifiers themselves.
    pub(super) fn try_words(&mut self) {
        let words = self.case.dictionary.tried().flat_map(|(number, entry)| {
            let words = entry.spellings.iter().map(|word| word.trim_ascii().to_ascii_lowercase());
            words.filter(|word| word.len() >= SHORTEST_WORD).map(move |word| (number, word))
        });
        let words: Vec<_> = words.collect::<BTreeSet<_>>().into_iter().collect();
        let patterns = words.iter().map(|(_, word)| word);
        let Ok(automaton) = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns) else {
            self.haul.unread.push("the dictionary is too large for a search of its words".to_owned());
            return;
        };
        let mut hits = Vec::new();
        for (artifact, owner, bytes) in self.everything() {
            for found in automaton.find_overlapping_iter(bytes) {
                let (number, word) = &words[found.pattern().as_usize()];
                let before = found.start().checked_sub(1).and_then(|at| bytes.get(at));
                let apart = ![before, bytes.get(found.end())].into_iter().flatten().any(u8::is_ascii_alphanumeric);
                if word.len() >= SHORTEST_ANYWHERE || apart {
                    hits.push((artifact, owner.cloned(), *number));
                }
            }
        }
        for (artifact, owner, number) in hits {
            self.recover(artifact, owner.as_ref(), number);
        }
    }

    /// All bytes there are: files as they lie, and what was decoded or opened.
    fn everything(&self) -> impl Iterator<Item = (Artifact, Option<&ParticipantId>, &[u8])> {
        let files = self.case.evidence.iter().map(|file| (file.artifact, file.owner.as_ref(), file.bytes.as_slice()));
        let texts = self.texts.iter().map(|text| (text.artifact, text.owner.as_ref(), text.bytes.as_slice()));
        files.chain(texts)
    }

    /// Searches opened columns and all bytes. Gives whether anything was found.
    fn search(&mut self, index: &Index) -> bool {
        let mut hits: HashSet<(Artifact, Option<ParticipantId>, u32)> = HashSet::new();
        for opened in &self.columns {
            let images = opened.column.values.iter().filter_map(|value| image(value));
            let found = images.filter_map(|image: Image| index.entry(&image));
            hits.extend(found.map(|number| (opened.artifact, opened.owner.clone(), number)));
        }
        for (artifact, owner, bytes) in self.everything() {
            index.scan(bytes, |number| {
                hits.insert((artifact, owner.cloned(), number));
            });
        }
        let any = !hits.is_empty();
        for (artifact, owner, number) in hits {
            self.recover(artifact, owner.as_ref(), number);
        }
        any
    }

    /// Counts a find for the holder whose file it was in; where that is not known, for every holder that has it.
    fn recover(&mut self, artifact: Artifact, owner: Option<&ParticipantId>, number: u32) {
        for holder in self.case.scene.holders.keys() {
            let has = self.case.dictionary.truth(holder).is_none_or(|truth| truth.contains(&number));
            if has && owner.is_none_or(|owner| owner == holder) {
                self.haul.recovered.entry((artifact, holder.clone())).or_default().insert(number);
            }
        }
    }
}
