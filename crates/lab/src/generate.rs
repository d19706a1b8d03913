//! Example data: one customer file per holder, with the mistakes that real ones have, and the truth about them.
//!
//! In goes a [`GenerateSpec`]; out come `source/<holder>.csv` and `truth.json`. Each row is a function of the specification and its
//! number (made-up people, shuffled by a formula) and of a stream of ChaCha8, so that files of any
//! length are written in one pass and little memory, and the same specification gives the same bytes on every machine.
//!
//! Columns: `customer_id`, `full_name`, `customer_email`, `phone`, `segment`, `balance`, `city`. The mistakes: letter case and spaces
//! around addresses, the same customer twice in different spelling, missing addresses, addresses that `email-v1` refuses, blank
//! lines, missing telephone numbers in changing formats. The second holder's file has semicolons, CR LF and Latin-1 (in names and
//! cities; its identifiers are plain), the third's a byte order mark and quoted names.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use datafuse_core::id::ParticipantId;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    people::{self, Person},
    permutation::{Permutation, mix},
    plan::{self, PlannedRegion, Sorts},
    truth::{self, SourceEncoding, SourceFile, Truth},
};

/// The folder of the holders' files within the output folder.
pub const SOURCE_FOLDER: &str = "source";

/// The file that says what is to be found.
pub const TRUTH_FILE: &str = "truth.json";

/// The column of the e-mail addresses.
pub const EMAIL_COLUMN: &str = "customer_email";

const COLUMNS: [&str; 7] = ["customer_id", "full_name", EMAIL_COLUMN, "phone", "segment", "balance", "city"];

/// The names of the first holders; the others are `holder-006` and so on.
const HOLDERS: [&str; 5] = ["acme", "globex", "initech", "umbrella", "hooli"];

/// The holder whose file is in Latin-1.
const LATIN1_HOLDER: usize = 1;

/// The holder whose file begins with a byte order mark.
const BOM_HOLDER: usize = 2;

const MILLION: u64 = 1_000_000;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateSpec {
    /// How many holders, 2 to 1,000.
    pub holders: usize,
    /// Rows of data per holder, 1 to a thousand million.
    pub rows: u64,
    /// The share of each holder's distinct identifiers that at least one other holder has, 0 to 1; taken to the millionth.
    pub overlap: f64,
    /// The same seed gives the same data.
    pub seed: u64,
}

impl Default for GenerateSpec {
    /// Two holders with 20,000 distinct customers each, 4,210 of them common.
    fn default() -> Self {
        Self { holders: 2, rows: 20_480, overlap: 0.2105, seed: 7 }
    }
}

impl GenerateSpec {
    fn check(&self) -> Result<()> {
        let out_of_range = |what, found: String, range, flag| Err(Error::OutOfRange { what, found, range, flag });
        if !(2..=1_000).contains(&self.holders) {
            return out_of_range("the number of holders", self.holders.to_string(), "from 2 to 1000", "--holders");
        }
        if !(1..=1_000 * MILLION).contains(&self.rows) {
            return out_of_range("the number of rows", self.rows.to_string(), "from 1 to 1000000000", "--rows");
        }
        // Not a number is in no range.
        if !(0.0..=1.0).contains(&self.overlap) {
            return out_of_range("the overlap", self.overlap.to_string(), "from 0 to 1", "--overlap");
        }
        Ok(())
    }

    /// How many of so many distinct identifiers are shared, rounded to the nearest.
    fn shared(&self, unique: u64) -> u64 {
        // In 0..=1,000,000 by `check`; rounding is exact there, so the same on every machine.
        let millionths = (self.overlap * MILLION as f64).round() as u64;
        (unique * millionths + MILLION / 2) / MILLION
    }
}

/// Gives the name of a holder by its position.
#[must_use]
pub fn holder_name(index: usize) -> ParticipantId {
    let numbered = || format!("holder-{:03}", index + 1);
    let name = HOLDERS.get(index).map_or_else(numbered, |name| (*name).to_owned());
    name.parse().expect("these names follow the rule of participants' names")
}

/// Gives how the file of a holder is to be read, by the holder's position.
#[must_use]
pub fn source_file(index: usize, rows: u64) -> SourceFile {
    let holder = holder_name(index);
    let latin1 = index == LATIN1_HOLDER;
    SourceFile {
        file: format!("{holder}.csv"),
        holder,
        delimiter: if latin1 { ';' } else { ',' },
        encoding: if latin1 { SourceEncoding::Latin1 } else { SourceEncoding::Utf8 },
        byte_order_mark: index == BOM_HOLDER,
        rows,
    }
}

/// Writes `source/<holder>.csv` for each holder and `truth.json` into a folder, which is made if need be; files of these names
/// are replaced.
///
/// # Errors
/// [`Error::OutOfRange`], [`Error::Io`].
pub fn generate(spec: &GenerateSpec, out: &Path) -> Result<Truth> {
    spec.check()?;
    let folder = out.join(SOURCE_FOLDER);
    fs::create_dir_all(&folder).map_err(|source| Error::io(&folder, "create", source))?;
    let mut rng = rng(spec.seed, 0);
    let holders: Vec<_> = (0..spec.holders).map(holder_name).collect();
    let Sorts { unique, .. } = plan::sorts(0, spec.rows);
    let regions = plan::regions(spec.holders, unique, spec.shared(unique), &mut rng);
    let people = People::new(&regions, spec, &mut rng);

    let mut parties = Vec::with_capacity(spec.holders);
    let mut sources = Vec::with_capacity(spec.holders);
    for (index, holder) in holders.iter().enumerate() {
        let source = source_file(index, spec.rows);
        let path = folder.join(&source.file);
        let file = File::create(&path).map_err(|source| Error::io(&path, "create", source))?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        let written = HolderFile::new(index, spec, &regions, &people, &source)
            .write(&mut out)
            .and_then(|written| out.flush().map(|()| written))
            .map_err(|source| Error::io(&path, "write", source))?;
        parties.push(truth::funnel(holder, index, written, &regions));
        sources.push(source);
    }
    parties.sort_by(|a, b| a.holder.cmp(&b.holder));
    sources.sort_by(|a, b| a.holder.cmp(&b.holder));
    let overlap = truth::overlap(&holders, &regions);
    let truth = Truth {
        schema: truth::SCHEMA.to_owned(),
        generated: *spec,
        common_customers: [("by_email".to_owned(), overlap.all)].into(),
        kind: "email".parse().expect("a kind's name"),
        overlap,
        parties,
        sources,
    };
    let path = out.join(TRUTH_FILE);
    fs::write(&path, truth.to_json_pretty()).map_err(|source| Error::io(&path, "write", source))?;
    Ok(truth)
}

/// Draws a number below a bound, which is at least 1. (Its bias is below the bound in 2^64, of no account here.)
pub(crate) fn below(bound: u64, rng: &mut ChaCha8Rng) -> u64 {
    u64::try_from((u128::from(rng.next_u64()) * u128::from(bound)) >> 64).unwrap_or(0)
}

/// The stream of random numbers number `stream` of a seed: 0 for the plan, then one per holder.
fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut bytes = *b"........datafuse example data v1";
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(bytes);
    rng.set_stream(stream);
    rng
}

/// Turns the plan's numbers of people into people.
struct People {
    /// From the plan's number to the number that makes a [`Person`].
    shuffle: Permutation,
    /// The first number that is in no region: people of rows without a usable address.
    strangers: u64,
    key: u64,
}

impl People {
    fn new(regions: &[PlannedRegion], spec: &GenerateSpec, rng: &mut ChaCha8Rng) -> Self {
        let planned: u64 = regions.iter().map(|region| region.count).sum();
        let all = planned + spec.holders as u64 * spec.rows;
        // At least three to a name, so that some have a number in their address.
        let space = people::ADDRESSES * all.div_ceil(people::ADDRESSES).max(3);
        Self { shuffle: Permutation::new(space, rng), strangers: planned, key: rng.next_u64() }
    }

    fn person(&self, number: u64) -> Person {
        Person::new(self.shuffle.at(number))
    }
}

/// What a row of a file is.
enum Row {
    /// The holder's distinct customer of this number.
    Customer(u64),
    /// That customer once more.
    Again(u64),
    Invalid(u64),
    Empty(u64),
}

/// One holder's file in the making.
struct HolderFile<'a> {
    index: usize,
    rows: u64,
    sorts: Sorts,
    people: &'a People,
    /// The regions the holder is in: how many of its customers come before, the first one's number, whether plain addresses only.
    regions: Vec<(u64, u64, bool)>,
    order: Permutation,
    format: &'a SourceFile,
    rng: ChaCha8Rng,
    line: String,
    email: String,
}

impl<'a> HolderFile<'a> {
    fn new(
        index: usize,
        spec: &GenerateSpec,
        regions: &[PlannedRegion],
        people: &'a People,
        format: &'a SourceFile,
    ) -> Self {
        let mut before = 0;
        let mut mine = Vec::new();
        for region in regions.iter().filter(|region| region.members.contains(&index)) {
            // An address has one spelling of its letters everywhere: plain where one of its holders writes Latin-1.
            mine.push((before, region.first, region.members.contains(&LATIN1_HOLDER)));
            before += region.count;
        }
        let mut rng = rng(spec.seed, index as u64 + 1);
        Self {
            index,
            rows: spec.rows,
            sorts: plan::sorts(index, spec.rows),
            people,
            regions: mine,
            order: Permutation::new(spec.rows, &mut rng),
            format,
            rng,
            line: String::new(),
            email: String::new(),
        }
    }

    /// Writes the file and says how many rows of which sort were written.
    fn write(mut self, out: &mut impl std::io::Write) -> std::io::Result<Sorts> {
        let mut written = Sorts { unique: 0, duplicate: 0, invalid: 0, empty: 0 };
        if self.format.byte_order_mark {
            out.write_all("\u{feff}".as_bytes())?;
        }
        self.line.push_str(&COLUMNS.join(self.format.delimiter.encode_utf8(&mut [0; 4])));
        self.end_line(out)?;
        for number in 0..self.rows {
            let row = self.row(number);
            match row {
                Row::Customer(_) => written.unique += 1,
                Row::Again(_) => written.duplicate += 1,
                Row::Invalid(_) => written.invalid += 1,
                Row::Empty(_) => written.empty += 1,
            }
            self.write_row(number, &row);
            self.end_line(out)?;
            // Blank lines are no rows: one in the middle, one at the end, and some in between.
            if number + 1 == self.rows || number == self.rows / 2 || self.draw(700) == 0 {
                self.end_line(out)?;
            }
        }
        Ok(written)
    }

    /// Says what a row is: a place in the shuffled sequence of customers, repetitions and mistakes.
    fn row(&self, number: u64) -> Row {
        let Sorts { unique, duplicate, invalid, .. } = self.sorts;
        let place = self.order.at(number);
        let stranger = self.people.strangers + self.index as u64 * self.rows + place;
        match place {
            _ if place < unique => Row::Customer(place),
            _ if place < unique + duplicate => Row::Again(mix(place ^ self.people.key) % unique),
            _ if place < unique + duplicate + invalid => Row::Invalid(stranger),
            _ => Row::Empty(stranger),
        }
    }

    /// Gives the person of one of the holder's distinct customers, and whether its address is a plain one.
    fn customer(&self, number: u64) -> (u64, bool) {
        let region = self.regions.partition_point(|(before, ..)| *before <= number) - 1;
        let (before, first, plain) = self.regions[region];
        (first + number - before, plain)
    }

    fn write_row(&mut self, number: u64, row: &Row) {
        let (id, plain) = match row {
            Row::Customer(customer) | Row::Again(customer) => self.customer(*customer),
            Row::Invalid(stranger) | Row::Empty(stranger) => (*stranger, true),
        };
        let person = self.people.person(id);
        self.email.clear();
        person.write_email(plain, &mut self.email);
        let spelled = match row {
            Row::Customer(_) => self.spell(18),
            Row::Again(_) => self.spell(100),
            Row::Invalid(_) => self.spoil(),
            Row::Empty(_) => ["", " ", "", "  "][self.pick(4)].to_owned(),
        };

        let initial = self.format.holder.as_str().chars().next().unwrap_or('c').to_ascii_uppercase();
        let customer_id = format!("{initial}{:07}", number + 1);
        let name = match self.index % 3 {
            2 => format!("{}, {}", person.last_name(), person.first_name()),
            _ => format!("{} {}", person.first_name(), person.last_name()),
        };
        let mut phone = String::new();
        if self.draw(25) > 0 {
            let separator = [Some(' '), None, Some('.'), Some(' '), Some('-')][(self.index + self.pick(2)) % 5];
            person.write_phone(separator, &mut phone);
        }
        let segment = ["retail", "retail", "retail", "premium", "business", "student"][self.pick(6)];
        // Mostly small, sometimes large, now and then overdrawn; in cents.
        let cents = self.draw(4_000) * self.draw(1_200);
        let sign = if cents > 0 && self.draw(20) == 0 { "-" } else { "" };
        let balance = format!("{sign}{}.{:02}", cents / 100, cents % 100);
        let city = person.city(mix(id ^ self.people.key));

        for (position, field) in
            [&customer_id, &name, &spelled, &phone, segment, &balance, city].into_iter().enumerate()
        {
            if position > 0 {
                self.line.push(self.format.delimiter);
            }
            self.push_field(field);
        }
    }

    /// Spells the address as people do, in so many of a hundred cases otherwise than plainly.
    fn spell(&mut self, percent: u64) -> String {
        let otherwise = self.draw(100) < percent;
        let (local, domain) = self.email.split_once('@').unwrap_or((&self.email, ""));
        // Only ASCII letters change case: that of others does not always come back.
        let capitalised = |text: &str| {
            let mut before = '.';
            text.chars()
                .map(|letter| {
                    let letter = if before.is_alphanumeric() { letter } else { letter.to_ascii_uppercase() };
                    before = letter;
                    letter
                })
                .collect::<String>()
        };
        if otherwise {
            match below(20, &mut self.rng) {
                0..=8 => format!("{}@{domain}", capitalised(local)),
                9..=12 => self.email.to_ascii_uppercase(),
                13..=14 => format!(" {}", self.email),
                15..=16 => format!("{}  ", self.email),
                17..=18 => format!("{local}@{}", capitalised(domain)),
                _ => format!(" {}@{domain} ", capitalised(local)),
            }
        } else {
            self.email.clone()
        }
    }

    /// Spoils the address so that no reading of `email-v1` takes it: it lacks its `@`, its local part or the dot in its domain, or
    /// has one `@` too many.
    fn spoil(&mut self) -> String {
        let (local, domain) = self.email.split_once('@').unwrap_or((&self.email, ""));
        match below(8, &mut self.rng) {
            0 => format!("{local}.{domain}"),
            1 => format!("{local}@@{domain}"),
            2 => format!("{local}@"),
            3 => format!("@{domain}"),
            4 => format!("{local}@localhost"),
            5 => format!("{local}@{domain}@{domain}"),
            6 => "unknown".to_owned(),
            _ => "n/a".to_owned(),
        }
    }

    /// Appends a field to the line, quoted where it must be.
    fn push_field(&mut self, field: &str) {
        if field.contains([self.format.delimiter, '"', '\n', '\r']) {
            self.line.push('"');
            self.line.push_str(&field.replace('"', "\"\""));
            self.line.push('"');
        } else {
            self.line.push_str(field);
        }
    }

    fn end_line(&mut self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        match self.format.encoding {
            SourceEncoding::Utf8 => {
                self.line.push('\n');
                out.write_all(self.line.as_bytes())?;
            }
            SourceEncoding::Latin1 => {
                self.line.push_str("\r\n");
                let bytes: Vec<_> = self.line.chars().map(latin1).collect();
                out.write_all(&bytes)?;
            }
        }
        self.line.clear();
        Ok(())
    }

    fn draw(&mut self, bound: u64) -> u64 {
        below(bound, &mut self.rng)
    }

    fn pick(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw(bound as u64)).unwrap_or(0)
    }
}

/// A character in Latin-1; one that is not in it without its accent.
fn latin1(character: char) -> u8 {
    u8::try_from(character).unwrap_or_else(|_| {
        let plain = people::plain_letter(character);
        let plain = if character.is_uppercase() { plain.to_ascii_uppercase() } else { plain };
        u8::try_from(plain).unwrap_or(b'?')
    })
}

#[cfg(test)]
mod tests;
