//! Microseconds a record and how many times as fast as dalek one point at a time, as a Markdown table.
//!
//! `cargo bench -p datafuse-group --bench ratios [-- ROUNDS]`. In each round every implementation does the step once for
//! one batch, another one first each time: whatever else the machine does then slows all of them, and a ratio is taken
//! within its round. Printed are medians over the rounds.
#![allow(missing_docs)]

mod implementations;

use std::env;
use std::time::Instant;

use crate::implementations::{Implementation, RECORDS, Records, Step};

const ROUNDS: usize = 15;

/// What the others are compared with.
const REFERENCE: Implementation = Implementation::DalekOneAtATime;

fn main() {
    // `cargo bench` says so in an argument; anything else only wants to see it run.
    let rounds = if env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let rounds = env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(rounds).max(1);
    let records = Records::new();
    let implementations = Implementation::all(&records);

    println!("\nMicroseconds a record, and how many times as fast as {}: medians of", REFERENCE.name());
    println!("{rounds} rounds with batches of {RECORDS} records, on one core.\n");
    println!("| | {} |", Step::ALL.map(Step::name).join(" | "));
    println!("| --- |{}", " --- |".repeat(Step::ALL.len()));
    let columns = Step::ALL.map(|step| column(step, &implementations, &records, rounds));
    for (row, implementation) in implementations.iter().enumerate() {
        let cells: Vec<_> = columns.iter().map(|column| column[row].as_str()).collect();
        println!("| {} | {} |", implementation.name(), cells.join(" | "));
    }
}

/// Returns a cell for each implementation.
fn column(step: Step, implementations: &[Implementation], records: &Records, rounds: usize) -> Vec<String> {
    let mut works: Vec<_> = implementations.iter().map(|it| it.prepare(step, records)).collect();
    let mut micros = vec![Vec::with_capacity(rounds); works.len()];
    for work in works.iter_mut().flatten() {
        work();
    }
    for round in 0..rounds {
        for turn in 0..works.len() {
            let which = (round + turn) % works.len();
            if let Some(work) = &mut works[which] {
                let start = Instant::now();
                work();
                micros[which].push(start.elapsed().as_secs_f64() * 1e6 / RECORDS as f64);
            }
        }
    }

    let reference = implementations.iter().position(|it| *it == REFERENCE).expect("dalek runs anywhere");
    let cell = |which: usize| match &works[which] {
        Some(_) => {
            let ratios = micros[reference].iter().zip(&micros[which]).map(|(reference, micros)| reference / micros);
            format!("{:.2} ({:.2}x)", median(micros[which].clone()), median(ratios.collect()))
        }
        None => String::new(),
    };
    (0..works.len()).map(cell).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
