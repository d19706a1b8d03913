//! The leak drill: plays the leak of keys against everything that a space has at rest, and says what falls.
//!
//! ```text
//! files at rest  -> Evidence --+
//! key files      -> Leaked  ---+--> attack --> Haul --> Table
//! source files   -> Dictionary-+
//! ```
//!
//! The attacker works on bytes and knows the protocol by its specification only: it derives keys, opens what opens, computes
//! every product of the numbers that it has, makes the images of a dictionary that holds every true identifier under all of
//! them, and looks for these images at every place of every file. It is told nothing of what should fall, so the same code shows
//! that a scheme with a shared salt falls altogether.
//!
//! | module | noun |
//! | --- | --- |
//! | `evidence` | files at rest, read and never changed |
//! | `leak` | stolen secrets, and what is derived from them |
//! | `scene` | what everybody knows of a space |
//! | `dictionary` | identifiers to try, and who really has which |
//! | `wire`, `state`, `column` | messages and envelopes, the workload's database, Parquet files: opened with any key |
//! | `knowledge`, `algebra` | numbers, what they are products of, and what follows |
//! | `images`, `search` | what keys and salts make of the dictionary, and where it is found |
//! | `attack`, `trial` | all of it in order: opening, then trying |
//! | `table` | the result |
//!
//! It prints and keeps no identifier, only counts. Everything is held in memory, and the work grows with the product of
//! dictionary and keys: it is meant for drills on up to some hundred thousand identifiers.

mod algebra;
mod attack;
mod column;
mod dictionary;
mod evidence;
mod images;
mod knowledge;
mod leak;
mod scene;
mod search;
mod state;
mod table;
mod trial;
mod wire;

pub use attack::Case;
pub use dictionary::{Dictionary, Purpose};
pub use evidence::{Artifact, Evidence, collect, collect_folder};
pub use leak::{Leaked, Part};
pub use scene::Scene;
pub use table::{Control, ControlOf, Row, Table};

/// Plays an attack and tables what it found.
#[must_use]
pub fn drill(case: &Case<'_>) -> Table {
    Table::new(case, attack::attack(case))
}
