//! Look-ups in random worlds: every answer is that of a plain search through the lists, whatever the policy, whoever asks, before and
//! after a new epoch; and what came once is neither answered nor paid for twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use datafuse_core::{
    keys::PartyKeys,
    lookup::{LookupRequest, RefusedLookup, Reply, RequestHeader, from_text, to_text},
    token::Tokenizer,
};
use datafuse_holder::lookup::{Asked, ask, ask_bare, open_answer};
use datafuse_workload::{Error, LookupError, Outcome};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};

use crate::world::World;

const HOLDERS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// What the naive search knows: rows of each holder (none: it brought no dataset), and what each asker has spent.
struct Naive {
    rows: BTreeMap<&'static str, Vec<usize>>,
    spent: BTreeMap<&'static str, u64>,
}

/// The agreement's section, and those of holders are left out.
#[derive(Clone, Copy, Debug)]
struct Section {
    count: bool,
    at_least: u32,
    per_day: u64,
    min_rows: u64,
}

impl Section {
    fn draw(rng: &mut ChaCha20Rng) -> Self {
        Self {
            count: rng.next_u32().is_multiple_of(2),
            at_least: 1 + rng.next_u32() % 3,
            per_day: [1000, 1000, 12][rng.next_u32() as usize % 3],
            min_rows: u64::from(rng.next_u32() % 4),
        }
    }

    fn write(self, world: &World) {
        let Self { count, at_least, per_day, min_rows } = self;
        let answer = if count { "count" } else { "yes_no" };
        let own = format!(
            "  lookups: {{ answer: {answer}, at_least: {at_least}, per_day: {per_day}, min_rows: {min_rows}, bare: [{}] }}\n",
            HOLDERS[0]
        );
        world.edit_space(|yaml| {
            let kept = yaml.lines().filter(|line| !line.starts_with("  lookups:")).map(|line| format!("{line}\n"));
            kept.chain([own]).collect()
        });
    }
}

impl Naive {
    /// The answer as a loop over lists gives it.
    fn reply(
        &mut self,
        asker: &'static str,
        asked: &[usize],
        section: Section,
    ) -> std::result::Result<Value, RefusedLookup> {
        let spent = self.spent.entry(asker).or_default();
        if *spent + asked.len() as u64 > section.per_day {
            return Err(RefusedLookup::Budget);
        }
        *spent += asked.len() as u64;
        let others: Vec<_> = self
            .rows
            .iter()
            .filter(|(holder, rows)| **holder != asker && rows.len() as u64 >= section.min_rows)
            .collect();
        if (others.len() as u32) < section.at_least {
            return Err(RefusedLookup::TooFewHolders);
        }
        let known = asked.iter().map(|wanted| {
            let holders = others.iter().filter(|(_, rows)| rows.contains(wanted)).count() as u32;
            match holders >= section.at_least {
                false => 0,
                true if section.count => holders,
                true => 1,
            }
        });
        Ok(json!([others.len(), section.at_least, section.count, known.collect::<Vec<_>>()]))
    }
}

/// An address of somebody, written in one of several ways that are the same.
fn address(person: usize, rng: &mut ChaCha20Rng) -> String {
    match rng.next_u32() % 3 {
        0 => format!("Person{person}@Example.COM"),
        1 => format!(" person{person}@example.com "),
        _ => format!("person{person}@example.com"),
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn said(reply: Reply) -> std::result::Result<Value, RefusedLookup> {
    match reply {
        Reply::Found(found) => Ok(json!([found.holders, found.at_least, found.counts, found.known])),
        Reply::Refused(reason) => Err(reason),
    }
}

fn fields(asker: &str, asked: &Asked, bare: bool) -> Value {
    match bare {
        true => json!({ asked.kind.as_str(): asked.request }),
        false => json!({ "asker": asker, "request": asked.request }),
    }
}

/// Everybody enrols in the open epoch and brings its rows, some of them twice; what came is fused.
fn bring(world: &World, holders: &[&'static str], naive: &Naive, rng: &mut ChaCha20Rng) {
    world.enrol_all(holders);
    for (holder, rows) in &naive.rows {
        let rows: String = rows.iter().map(|person| format!("{},x\n", address(*person, rng))).collect();
        world.protect_rows(holder, &rows);
    }
    let with_data: Vec<_> = naive.rows.keys().collect();
    world.event("FUSE", json!({ "holders": with_data })).unwrap();
}

/// Plays one world; false where the day changed meanwhile, which the naive search does not know of.
fn play(seed: u64) -> bool {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let today = seconds() / 86_400;
    let holders = &HOLDERS[..2 + seed as usize % 3];
    let world = World::new(holders, 2);
    world.event("INITIALIZE", json!({})).unwrap();
    let mut naive = Naive { rows: BTreeMap::new(), spent: BTreeMap::new() };
    // Of more than two holders the last brings nothing.
    let bringing = if holders.len() > 2 { &holders[..holders.len() - 1] } else { holders };
    for holder in bringing {
        let rows = (0..1 + rng.next_u32() % 9).map(|_| rng.next_u32() as usize % 12).collect();
        naive.rows.insert(holder, rows);
    }
    let mut seen = BTreeSet::new();
    let mut former: Option<(Value, String)> = None;
    for epoch in 1..=2 {
        bring(&world, holders, &naive, &mut rng);
        for number in 0..8 {
            let section = Section::draw(&mut rng);
            section.write(&world);
            let asker = holders[rng.next_u32() as usize % holders.len()];
            let bare = asker == HOLDERS[0] && rng.next_u32().is_multiple_of(2);
            let customers = if bare { 1 } else { 1 + rng.next_u32() % 6 };
            let asked: Vec<_> = (0..customers).map(|_| rng.next_u32() as usize % 16).collect();
            let lines: Vec<_> = asked.iter().map(|person| address(*person, &mut rng)).collect();
            let party = world.party(asker);
            let made = match bare {
                true => ask_bare(&party, None, &lines[0], &mut |_| true),
                false => ask(&party, None, &lines.join("\n"), seconds(), &mut |_| true),
            };
            let made = made.unwrap();
            let (event, body) = (format!("look-{epoch}-{number}"), fields(asker, &made, bare));
            let outcome = world.event_with_id(&event, "CHECK_VALID_CUSTOMER", body.clone()).unwrap();
            assert!(matches!(outcome, Outcome::LookedUp { .. }), "{outcome:?}");
            if seconds() / 86_400 != today {
                return false;
            }
            let expected = naive.reply(asker, &asked, section);
            let found = said(open_answer(&party, &made.request, None).unwrap());
            assert_eq!(
                found, expected,
                "seed {seed}, {event}, {asker} asks for {asked:?}, {section:?}, {:?}",
                naive.rows
            );
            seen.insert(expected.map_or_else(RefusedLookup::as_str, |_| "found"));

            // The same event changes nothing; the same request with another event is answered and paid for no more.
            let file = world.path("outputs").join(&event).join("answer.lookup");
            let answer = fs::read(&file).unwrap();
            let again = world.event_with_id(&event, "CHECK_VALID_CUSTOMER", body.clone()).unwrap();
            assert!(matches!(again, Outcome::AlreadyDone), "{again:?}");
            let replayed = world.event("CHECK_VALID_CUSTOMER", body.clone()).unwrap_err();
            let Error::Lookup(error) = &replayed else { panic!("{replayed:?}") };
            assert!(matches!(**error, LookupError::Repeated { .. }));
            assert_eq!(fs::read(&file).unwrap(), answer);
            former = former.or(Some((body, made.request)));
        }
        if epoch == 1 {
            world.event("INITIALIZE", json!({ "new_epoch": true })).unwrap();
        }
    }
    let (body, _) = former.unwrap();
    let refused = world.event("CHECK_VALID_CUSTOMER", body).unwrap_err();
    let Error::Protocol(error) = &refused else { panic!("{refused:?}") };
    assert!(matches!(**error, datafuse_core::Error::Mismatch { field: "epoch", .. }), "{error}");
    SEEN.lock().unwrap().extend(seen);
    true
}

static SEEN: std::sync::Mutex<BTreeSet<&'static str>> = std::sync::Mutex::new(BTreeSet::new());

#[test]
fn every_answer_is_that_of_a_search_through_the_lists() {
    for seed in 0..6 {
        assert!(play(seed) || play(seed), "the day changed twice");
    }
    let all = SEEN.lock().unwrap().clone();
    assert_eq!(all, ["budget", "found", "too-few-holders"].into(), "the worlds are too much alike");
}

/// A request of a holder with an id that it chose, as no unmodified program makes it.
fn request_with_id_of(world: &World, holder: &str, other: &str) -> Asked {
    let party = world.party(holder);
    let header = LookupRequest::decode(&from_text(other).unwrap()).unwrap().header().clone();
    let keys: PartyKeys = world.keys(holder);
    let header = RequestHeader { asker: keys.identity().public_name(), key_id: keys.token().key_id(), ..header };
    let kind = &world.space().kinds()[0].clone();
    let token_key = keys.token().token_key(&header.root, header.epoch).unwrap();
    let datafuse_core::normalize::Normalization::Valid(identifier) = kind.normalize(&[Some(b"zoe@example.com")]) else {
        panic!("an address")
    };
    let tokens = Tokenizer::new(&header.root, kind, token_key).tokenize(&[identifier]);
    let message_key = party.announcement().unwrap().message_key;
    let (id, kind) = (header.id, header.kind.clone());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let request = LookupRequest::seal(header, &tokens, &message_key, keys.identity(), &mut rng).unwrap();
    Asked { request: to_text(&request.encode()), id, kind, customers: 1 }
}

#[test]
fn who_repeats_the_id_of_another_holders_request_spoils_nothing() {
    let world = World::at_work(&HOLDERS[..3]);
    Section { count: false, at_least: 1, per_day: 100, min_rows: 1 }.write(&world);
    world.event("FUSE", json!({})).unwrap();
    for first in [true, false] {
        let asked = ask(&world.party("acme"), None, "ada@example.com", seconds(), &mut |_| true).unwrap();
        let copied = request_with_id_of(&world, "globex", &asked.request);
        let mut events = [("acme", &asked), ("globex", &copied)];
        if first {
            events.reverse();
        }
        for (asker, asked) in events {
            world.event("CHECK_VALID_CUSTOMER", fields(asker, asked, false)).unwrap();
        }
        let reply =
            |holder: &str, asked: &Asked| said(open_answer(&world.party(holder), &asked.request, None).unwrap());
        assert_eq!(reply("acme", &asked), Ok(json!([2, 1, false, [1]])));
        assert_eq!(reply("globex", &copied), Ok(json!([2, 1, false, [0]])));
    }
}
