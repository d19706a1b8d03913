//! Records a second on one core: each step and both whole paths, one line for each implementation.
//!
//! `cargo bench -p datafuse-group --bench paths`; the throughput that criterion prints is records a second. Figures for
//! comparing implementations with each other come from `ratios`, which takes turns among them.
#![allow(missing_docs)]

mod implementations;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use crate::implementations::{Implementation, RECORDS, Records, Step};

fn paths(criterion: &mut Criterion) {
    let records = Records::new();
    let implementations = Implementation::all(&records);
    for step in Step::ALL {
        let mut group = criterion.benchmark_group(step.name());
        group.throughput(Throughput::Elements(RECORDS as u64));
        for implementation in &implementations {
            if let Some(mut work) = implementation.prepare(step, &records) {
                group.bench_function(implementation.name(), |bencher| bencher.iter(&mut work));
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = paths
}
criterion_main!(benches);
