//! Finds the delimiter of a CSV file by its beginning.
//!
//! Each candidate cuts the first records into fields; the right one cuts them into the same number, and more than one.

use csv_core::ReadRecordResult;

use super::super::input::Input;

/// The delimiters that are found without being named, for messages.
pub const SUPPORTED_DELIMITERS: &str = "',' ';' '\\t' '|'";

const DELIMITERS: [u8; 4] = *b",;\t|";

/// How much of a file is looked at to find its delimiter.
pub(super) const SAMPLE_BYTES: usize = 64 << 10;

/// How many records of the sample are compared.
const SAMPLE_RECORDS: usize = 100;

/// Finds the delimiter that cuts most records of the beginning into as many fields as the first; `,` when none does.
pub(super) fn sniff_delimiter(input: &Input) -> u8 {
    let sample = &input.data()[..input.data().len().min(SAMPLE_BYTES)];
    let is_whole = input.ended() && sample.len() == input.data().len();
    let score = |delimiter: u8| {
        let counts = field_counts(sample, is_whole, delimiter);
        let first = counts.first().copied().unwrap_or(0);
        if first < 2 {
            return (0, 0);
        }
        let same = counts.iter().filter(|&&count| count == first).count();
        (same * 1000 / counts.len(), first)
    };
    // The first of equals: `max_by_key` gives the last.
    DELIMITERS.into_iter().rev().max_by_key(|&delimiter| score(delimiter)).unwrap_or(b',')
}

fn field_counts(sample: &[u8], is_whole: bool, delimiter: u8) -> Vec<usize> {
    let mut core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let mut counts = Vec::new();
    let mut output = [0; 1024];
    let mut ends = [0; 64];
    let (mut position, mut fields) = (0, 0);
    while counts.len() < SAMPLE_RECORDS {
        let (result, read, _, ended) = core.read_record(&sample[position..], &mut output, &mut ends);
        position += read;
        fields += ended;
        match result {
            ReadRecordResult::Record => counts.push(std::mem::take(&mut fields)),
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {}
            // The sample may end within a record, which then tells nothing.
            ReadRecordResult::InputEmpty if is_whole || counts.is_empty() => {}
            ReadRecordResult::InputEmpty | ReadRecordResult::End => break,
        }
    }
    counts
}
