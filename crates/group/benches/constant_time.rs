//! Statistical test for times that depend on secrets: "Dude, is my code constant time?" (Reparaz, Balasch and
//! Verbauwhede, DATE 2017).
//!
//! `cargo bench -p datafuse-group --bench constant_time [-- SECONDS]`, 60 seconds in all unless told otherwise. In: two
//! classes of inputs a case, of which one holds the same secret every time and the other a random one; a seeded coin
//! draws the class of each measurement. Out: a line for each case with Welch's t for the difference of the mean times,
//! of all measurements or of those up to some percentile, whichever shows the most.
//!
//! The first cases are for the method itself: two that have to be found, and one where there is nothing to find. A large
//! t says that there is a difference; a small one, only that this many measurements on this machine show none. Nothing
//! fails here: it is read by people.
#![allow(missing_docs)]

use std::array::from_fn;
use std::env;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar as DalekScalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use datafuse_group::{Backend, Scalar};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const DST: &[u8] = b"BENCH-V01-R255_XMD:SHA-512_R255MAP_RO_";

/// Records of a batch: few, so that a measurement is short and there are many; enough to fill the lanes.
const RECORDS: usize = 8;

/// Inputs of a class. They are used in turn.
const INPUTS: usize = 2048;

/// Measurements that pass before any is kept.
const WARM_UP: usize = 100;

/// Parts of the measurements, from the fastest, that are compared on their own: interrupts only lengthen a time, and a
/// difference may drown in them.
const CROPS: [f64; 10] = [1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.2, 0.1];

/// |t| from which a difference may be, and is there.
const SUSPECTED: f64 = 4.5;
const FOUND: f64 = 10.0;

/// All that a batch needs.
#[derive(Clone)]
struct Input {
    k: Scalar,
    messages: [[u8; 64]; RECORDS],
    encodings: [[u8; 32]; RECORDS],
}

/// What is the same every time in the first class, and random in the second.
#[derive(Clone, Copy)]
enum Secret {
    /// This scalar.
    Scalar(&'static str, [u8; 64]),
    /// The messages, and the encodings.
    Records,
    /// Nothing: the classes are alike.
    None,
}

impl Secret {
    const FIXED_SCALAR: Self = Self::Scalar("scalar 0x5a5a.. / random", [0x5a; 64]);
    const ONE: Self = Self::Scalar("scalar 1 / random", power_of_two(0));
    const HIGH_BIT: Self = Self::Scalar("scalar 2^200 / random", power_of_two(200));

    fn name(self) -> &'static str {
        match self {
            Self::Scalar(name, _) => name,
            Self::Records => "records fixed / random",
            Self::None => "both random",
        }
    }

    /// Returns the random inputs with the secret of the first of them in all. What is no secret stays as it is, so that
    /// the two classes differ in nothing else, memory included.
    fn fixed_in(self, random: &[Input]) -> Vec<Input> {
        let mut inputs = random.to_vec();
        for input in &mut inputs {
            match self {
                Self::Scalar(_, bytes) => input.k = Scalar::from_wide_bytes(&bytes),
                Self::Records => (input.messages, input.encodings) = (random[0].messages, random[0].encodings),
                Self::None => {}
            }
        }
        if let Self::None = self {
            inputs.rotate_left(INPUTS / 2);
        }
        inputs
    }
}

const fn power_of_two(exponent: usize) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[exponent / 8] = 1 << (exponent % 8);
    bytes
}

fn main() {
    // `cargo bench` says so in an argument; anything else only wants to see it run.
    let seconds = if env::args().any(|argument| argument == "--bench") { 60.0 } else { 1.0 };
    let seconds: f64 = env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(seconds);
    let mut rng = ChaCha8Rng::seed_from_u64(0x0da7_af05_e000_0002);
    let random: Vec<Input> = (0..INPUTS).map(|_| random_input(&mut rng)).collect();

    let backends: Vec<_> = Backend::names().iter().filter_map(|name| Backend::named(name).ok()).collect();
    let secrets = [Secret::FIXED_SCALAR, Secret::ONE, Secret::HIGH_BIT, Secret::Records];
    let time_a_case = Duration::from_secs_f64(seconds / (3 + backends.len() * 2 * secrets.len()) as f64);
    let mut case = |who: &str, what: &str, secret: Secret, run: &mut dyn FnMut(&Input)| {
        let times = measure([&secret.fixed_in(&random), &random], run, time_a_case, &mut rng);
        println!("| {who} | {what} | {} | {} |", secret.name(), Finding::of(&times));
    };

    println!("\n|t| below {SUSPECTED}: no difference found; from {FOUND}: a difference; between: inconclusive.");
    println!("Measured are batches of {RECORDS} records.\n");
    println!("| | | classes | measurements | t | difference of medians | verdict |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut variable_time = variable_time();
    case("control: variable-time", "multiply", Secret::ONE, &mut variable_time);
    case("control: variable-time", "multiply", Secret::FIXED_SCALAR, &mut variable_time);
    case("control: classes alike", "hash_mul_encode", Secret::None, &mut hash_mul_encode(Backend::fastest()));
    for backend in backends {
        for secret in secrets {
            case(backend.name(), "hash_mul_encode", secret, &mut hash_mul_encode(backend));
            case(backend.name(), "decode_mul_encode", secret, &mut decode_mul_encode(backend));
        }
    }
}

fn random_input(rng: &mut ChaCha8Rng) -> Input {
    let mut bytes = || {
        let mut bytes = [0; 64];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let encoding = |wide: [u8; 64]| RistrettoPoint::from_uniform_bytes(&wide).compress().to_bytes();
    Input {
        k: Scalar::from_wide_bytes(&bytes()),
        messages: from_fn(|_| bytes()),
        encodings: from_fn(|_| encoding(bytes())),
    }
}

fn hash_mul_encode(backend: Backend) -> impl FnMut(&Input) {
    let mut out = [[0; 32]; RECORDS];
    move |input| {
        let messages: [&[u8]; RECORDS] = from_fn(|i| input.messages[i].as_slice());
        backend.hash_mul_encode(DST, &messages, &input.k, black_box(&mut out));
    }
}

fn decode_mul_encode(backend: Backend) -> impl FnMut(&Input) {
    let mut out = [[0; 32]; RECORDS];
    move |input| {
        backend.decode_mul_encode(&input.k, &input.encodings, black_box(&mut out)).expect("all are encodings");
    }
}

/// Multiplies by the scalar as nothing may that is secret: skipping the zeros of its signed digits.
fn variable_time() -> impl FnMut(&Input) {
    let point = RistrettoPoint::mul_base(&DalekScalar::from(7u8));
    move |input| {
        let k = DalekScalar::from_canonical_bytes(input.k.to_bytes()).expect("below the order");
        for _ in 0..RECORDS {
            black_box(RistrettoPoint::vartime_multiscalar_mul([&k], [&point]));
        }
    }
}

/// Times `run` on inputs of both classes, as a coin falls, until `time` is over. Returns nanoseconds a run.
///
/// Every input is copied to the same place before the clock starts, so that where it came from shows in no time.
fn measure(classes: [&[Input]; 2], run: &mut dyn FnMut(&Input), time: Duration, rng: &mut ChaCha8Rng) -> [Vec<f64>; 2] {
    let mut nanos = [Vec::new(), Vec::new()];
    let began = Instant::now();
    for measurement in 0.. {
        let class = (rng.next_u32() & 1) as usize;
        let input = black_box(classes[class][measurement % INPUTS].clone());
        let start = Instant::now();
        run(&input);
        let elapsed = start.elapsed();
        if measurement >= WARM_UP {
            nanos[class].push(elapsed.as_nanos() as f64);
        }
        if measurement % 16 == 0 && measurement > 2 * WARM_UP && began.elapsed() >= time {
            break;
        }
    }
    nanos
}

/// What the measurements of a case say.
struct Finding {
    measurements: usize,
    /// Welch's t where it is farthest from zero; above it, the first class is the slower one.
    t: f64,
    /// By which part the first class is slower in the median, which no outlier moves.
    difference: f64,
}

impl Finding {
    fn of(nanos: &[Vec<f64>; 2]) -> Self {
        let mut all = nanos.concat();
        all.sort_by(f64::total_cmp);
        let [a, b] = [0, 1].map(|class: usize| median(&nanos[class]));
        let mut finding = Self { measurements: all.len(), t: 0.0, difference: a / b - 1.0 };
        for crop in CROPS {
            let longest = all[((all.len() as f64 * crop) as usize).clamp(1, all.len()) - 1];
            let [a, b] = [0, 1].map(|class: usize| Moments::of(nanos[class].iter().filter(|nanos| **nanos <= longest)));
            let t = (a.mean - b.mean) / (a.variance / a.count + b.variance / b.count).sqrt();
            if t.is_finite() && t.abs() > finding.t.abs() {
                finding.t = t;
            }
        }
        finding
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.t.abs() {
            t if t >= FOUND => "a difference",
            t if t >= SUSPECTED => "inconclusive",
            _ => "no difference found",
        };
        let Self { measurements, t, difference } = self;
        write!(formatter, "{measurements} | {t:+.1} | {:+.3} % | {verdict}", difference * 100.0)
    }
}

/// How many values, their mean, and their variance.
struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count, mean, variance }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
