//! Real look-ups as load: a holder's requests, each with what its answer has to say, found by reading the generated files plainly.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use datafuse_core::{id::EventId, lookup::Reply};
use datafuse_holder::{
    Party,
    lookup::{ask, open_answer},
};
use datafuse_lab::truth::SourceEncoding;
use datafuse_space::{Memory, Space, keyfile};
use serde_json::{Value, json};

use crate::worlds::World;

/// How many customers of its own a question asks for; one that nobody knows comes on top.
const CUSTOMERS: usize = 8;

/// A holder that asks for each of its customers in turn.
pub(crate) struct Asker {
    party: Party,
    customers: Vec<String>,
    others: BTreeSet<String>,
    common: u64,
    made: RefCell<BTreeMap<u32, u32>>,
}

/// A request on its way, and what has to come of it.
pub(crate) struct Question {
    pub(crate) fields: Value,
    request: String,
    known: Vec<bool>,
}

impl Question {
    pub(crate) fn customers(&self) -> usize {
        self.known.len()
    }
}

impl Asker {
    /// Allows look-ups in a copy of a space of two holders, and takes the place of the first of them.
    pub(crate) fn new(copied: &Path, world: &World) -> Self {
        let file = copied.join("space.yaml");
        let yaml = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{yaml}  lookups: {{ per_day: 10000000 }}\n")).unwrap();
        let space = Space::read(&file).unwrap();
        let [first, second] = &world.truth.sources[..] else { panic!("two holders") };
        let read = |at: usize| {
            let source = &world.truth.sources[at];
            let bytes = fs::read(copied.join("source").join(&source.file)).unwrap();
            let text = match source.encoding {
                SourceEncoding::Utf8 => String::from_utf8(bytes).unwrap(),
                SourceEncoding::Latin1 => bytes.into_iter().map(char::from).collect(),
            };
            let text = text.trim_start_matches('\u{feff}').as_bytes();
            let mut csv = csv::ReaderBuilder::new().delimiter(source.delimiter as u8).from_reader(text);
            let column = csv.headers().unwrap().iter().position(|name| name == "customer_email").unwrap();
            let emails = csv.records().map(|record| record.unwrap()[column].trim().to_lowercase());
            emails.filter(|email| is_valid(email)).collect::<BTreeSet<_>>()
        };
        let key_file = copied.join(format!("keys/{}.key", first.holder));
        let keys = keyfile::read(&key_file, &mut keyfile::no_passphrase).unwrap();
        let party = Party::open(space, &first.holder, keys, Memory::beside(&key_file)).unwrap();
        let (customers, others) = (read(0).into_iter().collect::<Vec<_>>(), read(1));
        // The plain reading is that of the generator.
        let unique = |holder: &datafuse_core::id::ParticipantId| {
            let parties = serde_json::to_value(&world.truth.parties).unwrap();
            let parties = parties.as_array().unwrap().clone();
            parties.into_iter().find(|party| party["holder"] == holder.as_str()).unwrap()["unique"].as_u64().unwrap()
        };
        assert_eq!((customers.len() as u64, others.len() as u64), (unique(&first.holder), unique(&second.holder)));
        let common = serde_json::to_value(&world.truth.overlap).unwrap()["all"].as_u64().unwrap();
        Self { party, customers, others, common, made: RefCell::default() }
    }

    /// How many customers both holders have.
    pub(crate) fn common(&self) -> u64 {
        self.common
    }

    /// How many questions it takes to ask about every customer once.
    pub(crate) fn questions_about_everybody(&self) -> usize {
        self.customers.len().div_ceil(CUSTOMERS)
    }

    /// Makes a question about some customers, by a number that goes on from question to question; a request of its own each time.
    pub(crate) fn question(&self, number: u32) -> Question {
        *self.made.borrow_mut().entry(number).or_default() += 1;
        let turn = self.made.borrow()[&number];
        let chunks: Vec<_> = self.customers.chunks(CUSTOMERS).collect();
        let mut lines = chunks[number as usize % chunks.len()].to_vec();
        lines.push(format!("nobody-{number}-{turn}@example.com"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let asked = ask(&self.party, None, &lines.join("\n"), now, &mut |_| true).unwrap();
        let known = lines.iter().map(|line| self.others.contains(line)).collect();
        let fields = json!({ "asker": self.party.id().as_str(), "request": asked.request });
        Question { fields, request: asked.request, known }
    }

    /// Opens the answer to the event of a question and asserts that it is the truth; gives how many are known.
    pub(crate) fn judge(&self, space: &Path, event: &EventId, question: &Question) -> u64 {
        let file = space.join("outputs").join(event.as_str()).join("answer.lookup");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("no answer for {event}: {error}"));
        let reply = open_answer(&self.party, &question.request, Some(&text)).unwrap();
        let Reply::Found(found) = reply else { panic!("{event}: {reply:?}") };
        let known: Vec<_> = found.known.iter().map(|known| *known == 1).collect();
        assert!((found.holders, found.counts) == (1, false) && known == question.known, "{event}: not the truth");
        known.into_iter().filter(|known| *known).count() as u64
    }
}

/// Whether it has the form of an address: what the generator spoiled lacks it.
fn is_valid(email: &str) -> bool {
    email.split_once('@').is_some_and(|(local, domain)| {
        let labels: Vec<_> = domain.split('.').collect();
        !local.is_empty() && !domain.contains('@') && labels.len() > 1 && labels.iter().all(|label| !label.is_empty())
    })
}
